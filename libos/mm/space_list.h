// All address spaces, to find out who has an address.
#pragma once

#include "libos/arch/memory.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/ptr.h"
#include "libos/mm/address_space.h"

namespace occlum {

struct Areas;

class SpaceList {
 public:
  static void add(AddressSpace& space);
  static void remove(AddressSpace& space);
  // An address space that is not `but`, nor in its group, with a private area, or addresses reserved for its heap, in
  // the range.
  static RefPtr<AddressSpace> find_owner(const AddressSpace& but, AddressRange range);
  // One that is not `but`, nor in its group, and maps the object at its home.
  static RefPtr<AddressSpace> find_mapper(const AddressSpace& but, const MemoryObject& object);

 private:
  static RefPtr<AddressSpace> find(const AddressSpace& but,
                                   FunctionRef<bool(const Areas& areas)> matches);
  using List = IntrusiveList<AddressSpace, &AddressSpace::all_node_>;
  static MutexLocked<List> spaces;
};

}  // namespace occlum
