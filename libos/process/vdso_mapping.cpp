// One object holds the image for all programs, mapped shared and never writable: so it has one address in all of them,
// and an exec pays for an area and nothing else. The object lives for good, hence its pages keep their rights.
#include "libos/process/vdso_mapping.h"

#include "libos/arch/vdso/vdso.h"
#include "libos/lib/memory.h"
#include "libos/mm/data_transfer.h"

namespace occlum {
namespace {

constinit MutexLocked<RefPtr<MemoryObject>> the_image{LockRank::kThreadGroup};

Result<RefPtr<MemoryObject>> make_image() {
  RefPtr<MemoryObject> object = TRY(MemoryObject::create(nullptr, kVdsoImageSize));
  DataSource image{std::span<const std::byte>(vdso_image())};
  const VdsoData constants = vdso_data();
  DataSource data{object_bytes(constants)};
  if (TRY(object->write(0, image)) != kVdsoImageSize ||
      TRY(object->write(kVdsoDataOffset, data)) != sizeof(VdsoData)) {
    return Errno::kNoMem;
  }
  return object;
}

Result<RefPtr<MemoryObject>> image() {
  return the_image.with([](RefPtr<MemoryObject>& object) -> Result<RefPtr<MemoryObject>> {
    if (!object) object = TRY(make_image());
    return object;
  });
}

}  // namespace

Result<uint64_t> map_vdso(AddressSpace& memory) {
  MapRequest request;
  request.length = kVdsoImageSize;
  request.prot = Prot::kRead | Prot::kExec;
  request.source.object = TRY(image());
  request.source.shared = true;
  request.source.may_write = false;
  request.keeps_size = true;
  request.source.name = TRY(String::create("[vdso]"));
  return memory.map(std::move(request));
}

}  // namespace occlum
