// Building the enclave through the Linux SGX uAPI: ECREATE, EADD+EEXTEND, EINIT. (asm/sgx.h)
#include "host/enclave.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <span>
#include <utility>

#include "abi/enclave_image.h"
#include "sgx/arch.h"

namespace host {
namespace {

using Error = std::unexpected<std::string>;

// The image file, mapped. Lives as long as the load does: the driver copies from it.
class ImageFile {
 public:
  static std::expected<ImageFile, std::string> open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return Error(fmt::format("cannot open the enclave {}: {}", path, strerror(errno)));
    struct stat status{};
    fstat(fd, &status);
    const size_t size = static_cast<size_t>(status.st_size);
    void* data = size == 0 ? MAP_FAILED
                           : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    ::close(fd);
    if (data == MAP_FAILED) return Error(fmt::format("cannot read the enclave {}", path));
    return ImageFile({static_cast<const std::byte*>(data), size});
  }

  ImageFile(ImageFile&& other) : bytes_(std::exchange(other.bytes_, {})) {}
  ~ImageFile() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  bool holds(uint64_t offset, uint64_t size) const {
    return offset <= bytes_.size() && size <= bytes_.size() - offset;
  }
  const std::byte* at(uint64_t offset) const { return bytes_.data() + offset; }
  template <typename T>
  T read(uint64_t offset) const {
    T value;
    memcpy(&value, at(offset), sizeof(value));
    return value;
  }

 private:
  explicit ImageFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

struct AlignedFree {
  void operator()(std::byte* memory) const { ::free(memory); }
};

uint64_t host_xcr0() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

int segment_protection(uint64_t secinfo_flags) {
  if ((secinfo_flags & sgx::secinfo_flags::kTypeMask) == sgx::secinfo_flags::kTcs)
    return PROT_READ | PROT_WRITE;
  return ((secinfo_flags & sgx::secinfo_flags::kR) != 0 ? PROT_READ : 0) |
         ((secinfo_flags & sgx::secinfo_flags::kW) != 0 ? PROT_WRITE : 0) |
         ((secinfo_flags & sgx::secinfo_flags::kX) != 0 ? PROT_EXEC : 0);
}

bool again(int error) { return error == EAGAIN || error == EBUSY || error == EINTR; }

class Builder {
 public:
  Builder(const Device& device, const ImageFile& file, const std::string& path, int fd)
      : device_(device), file_(file), path_(path), fd_(fd) {}

  std::expected<uint64_t, std::string> build() {
    if (!file_.holds(0, sizeof(header_))) return damaged();
    header_ = file_.read<abi::EnclaveImageHeader>(0);
    if (memcmp(header_.magic, abi::kEnclaveImageMagic, sizeof(header_.magic)) != 0 ||
        header_.header_size != sizeof(header_) || header_.elrange_size != abi::kElrangeSize ||
        !file_.holds(sizeof(header_), header_.segment_count * sizeof(abi::EnclaveImageSegment)) ||
        !file_.holds(header_.sigstruct_offset, sizeof(sgx::Sigstruct))) {
      return damaged();
    }
    if (auto error = reserve(); !error.empty()) return Error(error);
    if (auto error = create(); !error.empty()) return Error(error);
    for (uint32_t i = 0; i < header_.segment_count; ++i) {
      const auto segment = file_.read<abi::EnclaveImageSegment>(
          sizeof(header_) + i * sizeof(abi::EnclaveImageSegment));
      if (auto error = add(segment); !error.empty()) return Error(error);
    }
    if (auto error = initialise(); !error.empty()) return Error(error);
    return header_.tcs_address;
  }

 private:
  Error damaged() const {
    return Error(fmt::format("the enclave {} is damaged: build it again", path_));
  }

  // Programs' range and the LibOS's dynamic range, executable as far as the EPCM will allow; the rest of ELRANGE is
  // kept free of anything else.
  std::string reserve() {
    auto map = [&](uint64_t from, uint64_t to, int prot) {
      return device_.mmap(reinterpret_cast<void*>(from), to - from, prot,
                          MAP_SHARED | MAP_FIXED_NOREPLACE, fd_, 0) != MAP_FAILED;
    };
    if (map(abi::kElrangeFirstMapped, abi::kConfigAddress, PROT_READ | PROT_WRITE | PROT_EXEC) &&
        map(abi::kConfigAddress, abi::kElrangeSize, PROT_NONE)) {
      return {};
    }
    if (errno == EPERM)
      return "/dev is mounted noexec, or vm.mmap_min_addr is above 65536: enclaves cannot be "
             "mapped";
    return fmt::format("the address range of the enclave cannot be mapped: {}", strerror(errno));
  }

  std::string create() {
    auto secs = std::make_unique<sgx::Secs>();
    secs->size = abi::kElrangeSize;
    secs->baseaddr = 0;
    secs->ssaframesize = header_.ssa_frame_size;
    secs->miscselect = header_.miscselect;
    secs->attributes.flags = header_.attributes;
    secs->attributes.xfrm = (host_xcr0() & header_.xfrm_allowed) | header_.xfrm_required;
    sgx_enclave_create request{.src = reinterpret_cast<uint64_t>(secs.get())};
    int result = 0;
    do {
      result = device_.ioctl(fd_, SGX_IOC_ENCLAVE_CREATE, &request);
    } while (result != 0 && again(errno));
    if (result == 0) return {};
    return fmt::format("the enclave cannot be created: {}", strerror(errno));
  }

  std::string add(const abi::EnclaveImageSegment& segment) {
    const uint64_t page = sgx::kPageSize;
    if (segment.address % page != 0 || segment.memory_size % page != 0 ||
        segment.file_size > segment.memory_size || segment.memory_size == 0 ||
        segment.address < abi::kConfigAddress ||
        segment.address > abi::kElrangeSize - segment.memory_size ||
        !file_.holds(segment.file_offset, segment.file_size)) {
      return damaged().error();
    }
    std::unique_ptr<std::byte, AlignedFree> copy(
        static_cast<std::byte*>(aligned_alloc(page, segment.memory_size)));
    memcpy(copy.get(), file_.at(segment.file_offset), segment.file_size);
    memset(copy.get() + segment.file_size, 0, segment.memory_size - segment.file_size);
    sgx::Secinfo secinfo{};
    secinfo.flags = segment.secinfo_flags;
    // EBUSY is also what the driver says of a page that is there already: two segments overlap.
    constexpr unsigned kMaxFruitless = 1000;
    unsigned fruitless = 0;
    for (uint64_t done = 0; done < segment.memory_size;) {
      sgx_enclave_add_pages request{};
      request.src = reinterpret_cast<uint64_t>(copy.get()) + done;
      request.offset = segment.address + done;
      request.length = segment.memory_size - done;
      request.secinfo = reinterpret_cast<uint64_t>(&secinfo);
      request.flags = SGX_PAGE_MEASURE;
      const int result = device_.ioctl(fd_, SGX_IOC_ENCLAVE_ADD_PAGES, &request);
      done += request.count;
      fruitless = request.count == 0 ? fruitless + 1 : 0;
      if (result != 0 && (!again(errno) || fruitless > kMaxFruitless))
        return fmt::format("a page cannot be added to the enclave: {}", strerror(errno));
    }
    void* at = reinterpret_cast<void*>(segment.address);
    if (device_.mmap(at, segment.memory_size, segment_protection(segment.secinfo_flags),
                     MAP_SHARED | MAP_FIXED, fd_, 0) == MAP_FAILED) {
      return fmt::format("the enclave's pages cannot be mapped: {}", strerror(errno));
    }
    return {};
  }

  std::string initialise() {
    auto sigstruct =
        std::make_unique<sgx::Sigstruct>(file_.read<sgx::Sigstruct>(header_.sigstruct_offset));
    sgx_enclave_init request{.sigstruct = reinterpret_cast<uint64_t>(sigstruct.get())};
    int result = 0;
    do {
      result = device_.ioctl(fd_, SGX_IOC_ENCLAVE_INIT, &request);
    } while (result < 0 && again(errno));
    if (result == 0) return {};
    return fmt::format(
        "the signature of the enclave {} does not fit what is in it: it was changed after `occlum "
        "build`",
        path_);
  }

  const Device& device_;
  const ImageFile& file_;
  const std::string& path_;
  int fd_;
  abi::EnclaveImageHeader header_{};
};

}  // namespace

std::expected<Enclave, std::string> Enclave::load(const Device& device, const std::string& path) {
  auto file = ImageFile::open(path);
  if (!file) return Error(file.error());
  const int fd = device.open();
  if (fd < 0) return Error(fmt::format("SGX cannot be opened: {}", strerror(errno)));
  auto tcs = Builder(device, *file, path, fd).build();
  if (!tcs) {
    ::close(fd);
    return Error(tcs.error());
  }
  return Enclave(device, fd, *tcs);
}

int64_t Enclave::protect(uint64_t address, uint64_t length, int prot) const {
  return device_->mprotect(reinterpret_cast<void*>(address), length, prot) == 0 ? 0 : -errno;
}

namespace {

// Repeats an ioctl of the form {offset, length, ..., count} until all is done.
template <typename Request>
int64_t repeat(const Device& device, int fd, unsigned long number, Request request) {
  while (request.length > 0) {
    request.count = 0;
    const int result = device.ioctl(fd, number, &request);
    const int error = errno;
    request.offset += request.count;
    request.length -= request.count;
    if (result != 0 && !again(error)) return error == 0 ? -EIO : -error;
  }
  return 0;
}

}  // namespace

int64_t Enclave::modify_types(uint64_t address, uint64_t length, uint64_t type) const {
  return repeat(
      *device_, fd_, SGX_IOC_ENCLAVE_MODIFY_TYPES,
      sgx_enclave_modify_types{
          .offset = address, .length = length, .page_type = type, .result = 0, .count = 0});
}

int64_t Enclave::restrict_rights(uint64_t address, uint64_t length, uint64_t rights) const {
  return repeat(
      *device_, fd_, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS,
      sgx_enclave_restrict_permissions{
          .offset = address, .length = length, .permissions = rights, .result = 0, .count = 0});
}

int64_t Enclave::remove_pages(uint64_t address, uint64_t length) const {
  return repeat(*device_, fd_, SGX_IOC_ENCLAVE_REMOVE_PAGES,
                sgx_enclave_remove_pages{.offset = address, .length = length, .count = 0});
}

}  // namespace host
