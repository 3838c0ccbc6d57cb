// The verified root image: what mkfs.erofs writes is read back as it was; whatever byte of the file the host changes, a
// read gives the right data or EIO; and a malformed image under a right hash tree is refused without harm.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "libos/fs/erofs/erofs.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"

namespace occlum {
namespace {

using std::string;
using Bytes = std::vector<std::byte>;

class MemoryReader final : public ImageReader {
 public:
  explicit MemoryReader(const Bytes& bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  Result<void> read(uint64_t offset, std::span<std::byte> to) override {
    if (offset > bytes_.size() || to.size() > bytes_.size() - offset) return Errno::kIo;
    copy_bytes(to, std::span(bytes_).subspan(offset, to.size()));
    return {};
  }

 private:
  const Bytes& bytes_;
};

Sha256Digest salted(const VerifiedImage::Salt& salt, std::span<const std::byte> block) {
  Sha256 hash;
  hash.update(salt.span());
  hash.update(block);
  return hash.finish();
}

// The image with its tree behind it, top level first, as image/verity.cpp lays it out.
struct Image {
  Bytes file;
  VerifiedImage::Layout layout;

  explicit Image(Bytes data) {
    data.resize((data.size() + 4095) / 4096 * 4096);
    layout.data_size = data.size();
    layout.salt.size = 32;
    std::vector<Bytes> levels;
    const Bytes* below = &data;
    do {
      Bytes level;
      for (size_t at = 0; at < below->size(); at += 4096) {
        const Sha256Digest digest = salted(layout.salt, std::span(*below).subspan(at, 4096));
        level.insert(level.end(), digest.begin(), digest.end());
      }
      level.resize((level.size() + 4095) / 4096 * 4096);
      levels.push_back(std::move(level));
      below = &levels.back();
    } while (below->size() > 4096);
    layout.root_hash = salted(layout.salt, levels.back());
    file = data;
    file.resize(file.size() + 4096);  // the verity superblock, which we do not read
    layout.hash_offset = file.size();
    for (size_t level = levels.size(); level-- > 0;) {
      file.insert(file.end(), levels[level].begin(), levels[level].end());
    }
  }

  Result<RefPtr<Inode>> open() const {
    OwnPtr<ImageReader> reader = MUST(make_own<MemoryReader>(file));
    auto image = TRY(VerifiedImage::open(std::move(reader), layout));
    RefPtr<ErofsFs> file_system = TRY(ErofsFs::create(std::move(image)));
    return file_system->root();
  }
};

// Everything below a directory, as text; "EIO" where a read failed.
using Tree = std::map<string, string>;

void describe(Inode& directory, const string& prefix, Tree& out, int depth = 0) {
  std::vector<string> names;
  const Result<void> listed = directory.readdir(0, [&](const DirectoryEntry& entry) {
    names.emplace_back(entry.name);
    return names.size() < 100000;
  });
  if (listed.is_error()) out[prefix + "."] = "EIO";
  for (const string& name : names) {
    Result<RefPtr<Inode>> found = directory.lookup(name);
    if (found.is_error()) {
      out[prefix + name] = "EIO";
      continue;
    }
    Inode& inode = *found.value();
    const Stat stat = MUST(inode.stat());
    char text[160];
    std::snprintf(text, sizeof text, "mode %o uid %u gid %u nlink %u rdev %lx ", stat.mode,
                  stat.uid, stat.gid, stat.nlink, stat.rdev);
    string line = text;
    if (inode.is_symlink()) {
      const Result<String> target = inode.read_link();
      line = target.is_error() ? "EIO" : line + "-> " + string(target.value().view());
    } else if (inode.is_regular() && stat.size < (64 << 20)) {
      Bytes bytes(stat.size);
      DataSink sink(bytes);
      const Result<size_t> count = inode.read_at(0, sink);
      if (count.is_error() || count.value() != bytes.size()) {
        line = "EIO";
      } else {
        line += string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      }
    }
    if (Result<String> xattrs = inode.list_xattr(); !xattrs.is_error() && line != "EIO") {
      line += " [" + string(xattrs.value().view()) + "]";
    }
    out[prefix + name] = line;
    if (inode.is_directory() && depth < 8 && out.size() < 20000)
      describe(inode, prefix + name + "/", out, depth + 1);
  }
}

int shell(const string& command) { return std::system(command.c_str()); }

Bytes read_file(const string& path) {
  std::ifstream in(path, std::ios::binary);
  const string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  Bytes bytes(text.size());
  copy_bytes(bytes, std::as_bytes(std::span(text.data(), text.size())));
  return bytes;
}

// A tree with what an image can hold, and its image.
class ErofsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (shell("command -v mkfs.erofs > /dev/null") != 0) return;
    char path[] = "/tmp/occlum-erofs-XXXXXX";
    directory_ = new string(::mkdtemp(path));
    const string root = *directory_ + "/root";
    ASSERT_EQ(
        shell(
            "mkdir -p " + root + "/sub/deep " + root + "/many && cd " + root +
            " && printf hello > small && : > empty && head -c 4096 /dev/zero | tr '\\0' x > page"
            " && seq 1 30000 > numbers && head -c 12289 /dev/zero | tr '\\0' y > tail"
            " && ln -s ../small sub/link && ln small sub/hard && chmod 4755 page"
            " && mkfifo fifo && for i in $(seq 1 400); do : > many/a-file-with-a-long-name-$i; done"
            " && echo deep > sub/deep/file"),
        0);
    shell("cd " + root +
          " && mknod null c 1 3 2>/dev/null; setfattr -n user.colour -v blue small 2>/dev/null; "
          "true");
    ASSERT_EQ(
        shell("mkfs.erofs -T0 --all-root " + *directory_ + "/image " + root + " > /dev/null 2>&1"),
        0);
    ASSERT_EQ(
        shell("mkfs.erofs -zlz4 -T0 " + *directory_ + "/packed " + root + " > /dev/null 2>&1"), 0);
  }
  static void TearDownTestSuite() {
    if (directory_ != nullptr) shell("rm -rf " + *directory_);
  }
  void SetUp() override {
    if (directory_ == nullptr) GTEST_SKIP() << "mkfs.erofs is not installed";
    log_level.store(LogLevel::kOff);
  }
  static Bytes image() { return read_file(*directory_ + "/image"); }
  static string* directory_;
};
string* ErofsTest::directory_ = nullptr;

TEST_F(ErofsTest, ReadsWhatWasWritten) {
  const Image image(ErofsTest::image());
  const RefPtr<Inode> root = MUST(image.open());
  Tree tree;
  describe(*root, "", tree);
  const auto text = [&](const string& name) {
    return tree.count(name) != 0 ? tree[name] : "(missing)";
  };
  EXPECT_EQ(text("small").substr(0, 32), "mode 100644 uid 0 gid 0 nlink 2 ") << text("small");
  EXPECT_NE(text("small").find("hello"), string::npos);
  EXPECT_NE(text("page").find("mode 104755"), string::npos);
  EXPECT_NE(text("page").find(string(4096, 'x')), string::npos);
  EXPECT_NE(text("tail").find(string(12289, 'y')), string::npos);
  EXPECT_NE(text("numbers").find("\n30000\n"), string::npos);
  EXPECT_NE(text("sub/link").find("-> ../small"), string::npos);
  EXPECT_NE(text("sub/deep/file").find("deep\n"), string::npos);
  EXPECT_NE(text("fifo").find("mode 10644"), string::npos) << text("fifo");
  if (tree.count("null") != 0)
    EXPECT_NE(text("null").find("rdev 103 "), string::npos) << text("null");
  size_t many = 0;
  for (const auto& [name, line] : tree) many += name.starts_with("many/") ? 1 : 0;
  EXPECT_EQ(many, 400u);
  EXPECT_TRUE(root->lookup("no such name").error() == Errno::kNoEnt);
  EXPECT_TRUE(root->lookup("").error() == Errno::kNoEnt);
  const RefPtr<Inode> small = MUST(root->lookup("small"));
  EXPECT_EQ(MUST(MUST(root->lookup("sub"))->lookup("hard")), small);
}

TEST_F(ErofsTest, ReaddirGoesOnFromEveryCookie) {
  const Image image(ErofsTest::image());
  const RefPtr<Inode> many = MUST(MUST(image.open())->lookup("many"));
  std::vector<string> names;
  for (uint64_t cookie = 0;;) {
    const size_t before = names.size();
    MUST(many->readdir(cookie, [&](const DirectoryEntry& entry) {
      if (names.size() == before + 1) return false;
      names.emplace_back(entry.name);
      cookie = entry.next;
      return true;
    }));
    if (names.size() == before) break;
  }
  EXPECT_EQ(names.size(), 400u);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

TEST_F(ErofsTest, CompressedFilesAreListedButNotRead) {
  const Image image(read_file(*directory_ + "/packed"));
  const RefPtr<Inode> root = MUST(image.open());
  const RefPtr<Inode> numbers = MUST(root->lookup("numbers"));
  EXPECT_EQ(MUST(numbers->stat()).size, 168894u);
  Bytes bytes(100);
  DataSink sink(bytes);
  EXPECT_EQ(numbers->read_at(0, sink).error(), Errno::kIo);
}

// Every kind of place in the file, one flipped bit at a time.
TEST_F(ErofsTest, AFlippedBitIsEioOrHarmless) {
  Image image(ErofsTest::image());
  Tree truth;
  describe(*MUST(image.open()), "", truth);
  std::mt19937 random(7);
  size_t failures = 0;
  for (int round = 0; round < 120; ++round) {
    const size_t at = random() % image.file.size();
    const std::byte bit{static_cast<unsigned char>(1u << (random() % 8))};
    image.file[at] ^= bit;
    Result<RefPtr<Inode>> root = image.open();
    if (root.is_error()) {
      EXPECT_EQ(root.error(), Errno::kIo);
      ++failures;
    } else {
      Tree seen;
      describe(*root.value(), "", seen);
      for (const auto& [name, line] : seen) {
        if (line == "EIO") {
          ++failures;
        } else {
          EXPECT_EQ(line, truth[name]) << name << " after a flip at " << at;
        }
      }
    }
    image.file[at] ^= bit;
  }
  EXPECT_GT(failures, 30u);
}

TEST_F(ErofsTest, ATruncatedFileIsRefused) {
  Image image(ErofsTest::image());
  image.file.resize(image.file.size() - 1);
  EXPECT_TRUE(image.open().is_error());
  image.file.resize(4096);
  EXPECT_TRUE(image.open().is_error());
}

TEST_F(ErofsTest, AWrongRootHashIsRefused) {
  Image image(ErofsTest::image());
  image.layout.root_hash[31] ^= std::byte{1};
  EXPECT_EQ(image.open().error(), Errno::kIo);
}

// The parser alone: malformed metadata whose hashes are right.
TEST_F(ErofsTest, MalformedMetadataDoesNoHarm) {
  const Bytes original = ErofsTest::image();
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    Bytes mutated = original;
    const int changes = 1 + static_cast<int>(random() % 8);
    for (int i = 0; i < changes; ++i) {
      // The superblock and the first metadata blocks, mostly.
      const size_t limit =
          random() % 4 == 0 ? mutated.size() : std::min<size_t>(mutated.size(), 24576);
      const size_t at = 1024 + random() % (limit - 1024);
      mutated[at] = static_cast<std::byte>(random() % 3 == 0 ? 0xff : random());
    }
    const Image image(std::move(mutated));
    Result<RefPtr<Inode>> root = image.open();
    if (root.is_error()) continue;
    Tree seen;
    describe(*root.value(), "", seen);
  }
}

// The tree that veritysetup makes is the tree that we read.
TEST_F(ErofsTest, VeritysetupAgrees) {
  if (shell("command -v veritysetup > /dev/null") != 0)
    GTEST_SKIP() << "veritysetup is not installed";
  Image image(ErofsTest::image());
  const string path = *directory_ + "/verity", out = *directory_ + "/out";
  const string size = std::to_string(image.layout.data_size);
  const string blocks = std::to_string(image.layout.data_size / 4096);
  ASSERT_EQ(shell("cp " + *directory_ + "/image " + path + " && truncate -s " + size + " " + path +
                  " && veritysetup format --salt=" + string(64, '0') +
                  " --uuid=00000000-0000-0000-0000-000000000001 --data-blocks=" + blocks +
                  " --hash-offset=" + size + " " + path + " " + path +
                  " | sed -n 's/^Root hash:[[:space:]]*//p' > " + out),
            0);
  const Bytes text = read_file(out);
  ASSERT_GE(text.size(), 64u);
  const Sha256Digest theirs =
      MUST(VerifiedImage::parse_hash(string(reinterpret_cast<const char*>(text.data()), 64)));
  EXPECT_EQ(theirs, image.layout.root_hash);
  image.file = read_file(path);
  Tree tree;
  describe(*MUST(image.open()), "", tree);
  EXPECT_NE(tree["small"].find("hello"), string::npos);
}

}  // namespace
}  // namespace occlum
