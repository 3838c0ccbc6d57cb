// The root image that arch maps, as a file system.
#include "libos/arch/arch.h"
#include "libos/fs/erofs/erofs.h"

namespace occlum {

namespace {

class RootImageReader final : public ImageReader {
 public:
  uint64_t size() const override { return root_image_size(); }
  Result<void> read(uint64_t offset, std::span<std::byte> to) override {
    return read_root_image(offset, to);
  }
};

}  // namespace

Result<RefPtr<FileSystem>> open_root_image(const VerifiedImage::Layout& layout) {
  OwnPtr<ImageReader> reader = TRY(make_own<RootImageReader>());
  return TRY(ErofsFs::create(TRY(VerifiedImage::open(std::move(reader), layout))));
}

}  // namespace occlum
