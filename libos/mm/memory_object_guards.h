// Scopes of MemoryObject: a copy in flight, and a change of the layout, which waits for copies to end.
#pragma once

#include "libos/mm/memory_object.h"

namespace occlum {

class ObjectCopy {
 public:
  explicit ObjectCopy(MemoryObject& object) : object_(object) { object_.begin_copy(); }
  ObjectCopy(const ObjectCopy&) = delete;
  ~ObjectCopy() { object_.end_copy(); }

 private:
  MemoryObject& object_;
};

class ObjectChange {
 public:
  explicit ObjectChange(MemoryObject& object) : object_(object) { object_.begin_change(); }
  ObjectChange(const ObjectChange&) = delete;
  ~ObjectChange() { object_.end_change(); }

 private:
  MemoryObject& object_;
};

}  // namespace occlum
