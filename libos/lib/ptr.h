// Owning pointers over the kernel heap.
//
// OwnPtr<T> has one owner and moves. RefPtr<T> counts its owners in the object itself, which
// derives from RefCounted<T> (the class at the root of its hierarchy names itself: `class File :
// public RefCounted<File>`; classes that derive from File need a virtual ~File). Both remember how
// many bytes to give back, so an object may be destroyed through a base class. Both are nullable;
// following a null pointer panics.
//
//     RefPtr<File> file = TRY(make_ref<Pipe>(flags));     // kNoMem is the only error
//     OwnPtr<Buffer> buffer = TRY(make_own<Buffer>());
//
// What constructors can fail at belongs in a `static Result<RefPtr<T>> create(...)`.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "libos/lib/panic.h"
#include "libos/lib/ptr_raw.h"
#include "libos/lib/result.h"

namespace occlum {

namespace ptr_detail {
// An owner of a From may become the owner of a To, and then destroy it as one.
template <typename From, typename To>
concept OwnerConverts = std::convertible_to<From*, To*> &&
                        (std::same_as<std::remove_cv_t<From>, std::remove_cv_t<To>> ||
                         std::has_virtual_destructor_v<To>);

[[noreturn]] void null_pointer_followed();
[[noreturn]] void reference_count_broken();
}  // namespace ptr_detail

template <typename T>
class OwnPtr {
 public:
  constexpr OwnPtr() = default;
  constexpr OwnPtr(std::nullptr_t) {}

  OwnPtr(OwnPtr&& other) noexcept
      : object_(std::exchange(other.object_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

  template <typename U>
    requires(!std::same_as<U, T> && ptr_detail::OwnerConverts<U, T>)
  OwnPtr(OwnPtr<U>&& other) noexcept
      : object_(std::exchange(other.object_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

  OwnPtr& operator=(OwnPtr other) noexcept {
    std::swap(object_, other.object_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  ~OwnPtr() { clear(); }

  // For containers that link objects which they own: gives the object to the caller, who owes an
  // adopt.
  [[nodiscard]] T* leak() {
    static_assert(!std::is_polymorphic_v<T> || std::is_final_v<T>);
    bytes_ = 0;
    return std::exchange(object_, nullptr);
  }
  static OwnPtr adopt(T& object) {
    static_assert(!std::is_polymorphic_v<T> || std::is_final_v<T>);
    return OwnPtr(&object, sizeof(T));
  }

  // Destroys the object, if there is one.
  void clear() {
    T* object = std::exchange(object_, nullptr);
    if (object != nullptr) ptr_detail::destroy_on_heap(object, std::exchange(bytes_, 0));
  }

  T* get() const { return object_; }
  T& operator*() const { return *checked(); }
  T* operator->() const { return checked(); }
  explicit operator bool() const { return object_ != nullptr; }

  friend bool operator==(const OwnPtr& a, std::nullptr_t) { return a.object_ == nullptr; }

 private:
  template <typename U>
  friend class OwnPtr;
  template <typename U, typename... Args>
  friend Result<OwnPtr<U>> make_own(Args&&... args);
  template <typename To, typename From>
  friend OwnPtr<To> static_ptr_cast(OwnPtr<From> pointer);

  OwnPtr(T* object, std::size_t bytes) : object_(object), bytes_(bytes) {}

  T* checked() const {
    if (object_ == nullptr) [[unlikely]]
      ptr_detail::null_pointer_followed();
    return object_;
  }

  T* object_ = nullptr;
  std::size_t bytes_ = 0;
};

template <typename T, typename... Args>
Result<OwnPtr<T>> make_own(Args&&... args) {
  T* object = ptr_detail::construct_on_heap<T>(std::forward<Args>(args)...);
  if (object == nullptr) return Errno::kNoMem;
  return OwnPtr<T>(object, sizeof(T));
}

// The caller knows that the object is a To.
template <typename To, typename From>
OwnPtr<To> static_ptr_cast(OwnPtr<From> pointer) {
  static_assert(ptr_detail::OwnerConverts<From, To> || std::has_virtual_destructor_v<From>);
  To* object = static_cast<To*>(std::exchange(pointer.object_, nullptr));
  return OwnPtr<To>(object, std::exchange(pointer.bytes_, 0));
}

template <typename T>
class RefPtr;

// The count of an object's owners. It starts at one, which make_ref's RefPtr holds.
template <typename T>
class RefCounted {
 public:
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void ref() const {
    const std::uint32_t before = references_.fetch_add(1, std::memory_order_relaxed);
    if (before == 0 || before >= kMaxReferences) [[unlikely]]
      ptr_detail::reference_count_broken();
  }

  // For tables that do not own what they list: takes a reference unless the last one is already
  // gone (the object is then being destroyed, and its destructor will take it off the table under
  // the table's lock).
  [[nodiscard]] bool try_ref() const {
    std::uint32_t count = references_.load(std::memory_order_relaxed);
    while (count != 0) {
      if (count >= kMaxReferences) [[unlikely]]
        ptr_detail::reference_count_broken();
      if (references_.compare_exchange_weak(count, count + 1, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  void unref() const {
    if (is_unref_last()) destroy();
  }

  // A snapshot: others may change it at any time, and who takes references with try_ref() even when it is 1. What former
  // owners did is seen.
  std::uint32_t reference_count() const { return references_.load(std::memory_order_acquire); }

 protected:
  RefCounted() = default;
  ~RefCounted() = default;

 private:
  template <typename U, typename... Args>
  friend Result<RefPtr<U>> make_ref(Args&&... args);
  template <typename U, typename Next>
  friend void drop_chain(RefPtr<U> first, Next&& next);

  // When it was the last, nobody gets another, and destroy() is due.
  bool is_unref_last() const {
    const std::uint32_t before = references_.fetch_sub(1, std::memory_order_acq_rel);
    if (before == 0) [[unlikely]]
      ptr_detail::reference_count_broken();
    return before == 1;
  }
  void destroy() const { ptr_detail::destroy_on_heap(static_cast<const T*>(this), bytes_); }

  static constexpr std::uint32_t kMaxReferences = std::numeric_limits<std::uint32_t>::max() / 2;

  mutable std::atomic<std::uint32_t> references_{1};
  std::uint32_t bytes_ = 0;
};

template <typename T>
class RefPtr {
 public:
  constexpr RefPtr() = default;
  constexpr RefPtr(std::nullptr_t) {}

  // Takes a reference of its own.
  explicit RefPtr(T* object) : object_(object) {
    if (object_ != nullptr) object_->ref();
  }

  RefPtr(const RefPtr& other) : RefPtr(other.object_) {}
  RefPtr(RefPtr&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}

  template <typename U>
    requires(!std::same_as<U, T> && ptr_detail::OwnerConverts<U, T>)
  RefPtr(const RefPtr<U>& other) : RefPtr(static_cast<T*>(other.object_)) {}

  template <typename U>
    requires(!std::same_as<U, T> && ptr_detail::OwnerConverts<U, T>)
  RefPtr(RefPtr<U>&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}

  RefPtr& operator=(RefPtr other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }

  ~RefPtr() { clear(); }

  // Takes over a reference that the caller holds (from try_ref, or from leak).
  static RefPtr adopt(T& object) {
    RefPtr result;
    result.object_ = &object;
    return result;
  }

  // Gives the reference to the caller, who owes an unref or an adopt.
  [[nodiscard]] T* leak() { return std::exchange(object_, nullptr); }

  void clear() {
    T* object = std::exchange(object_, nullptr);
    if (object != nullptr) object->unref();
  }

  T* get() const { return object_; }
  T& operator*() const { return *checked(); }
  T* operator->() const { return checked(); }
  explicit operator bool() const { return object_ != nullptr; }

  template <typename U>
  friend bool operator==(const RefPtr& a, const RefPtr<U>& b) {
    return a.get() == b.get();
  }
  friend bool operator==(const RefPtr& a, const T* b) { return a.object_ == b; }
  friend bool operator==(const RefPtr& a, std::nullptr_t) { return a.object_ == nullptr; }

 private:
  template <typename U>
  friend class RefPtr;

  T* checked() const {
    if (object_ == nullptr) [[unlikely]]
      ptr_detail::null_pointer_followed();
    return object_;
  }

  T* object_ = nullptr;
};

template <typename T, typename... Args>
Result<RefPtr<T>> make_ref(Args&&... args) {
  static_assert(sizeof(T) <= std::numeric_limits<std::uint32_t>::max());
  T* object = ptr_detail::construct_on_heap<T>(std::forward<Args>(args)...);
  if (object == nullptr) return Errno::kNoMem;
  object->bytes_ = sizeof(T);
  return RefPtr<T>::adopt(*object);
}

// Drops a reference, and what it kept alive as `next(object)`, one after the other: chains, such as a directory's parents,
// must not unwind on the kernel stack. `next` takes the reference out of an object that nobody can reach any more.
template <typename T, typename Next>
void drop_chain(RefPtr<T> first, Next&& next) {
  while (T* object = first.leak()) {
    if (!object->is_unref_last()) return;
    first = next(*object);
    object->destroy();
  }
}

// A new owner of an object that somebody owns already.
template <typename T>
RefPtr<T> ref_to(T& object) {
  return RefPtr<T>(&object);
}

// The caller knows that the object is a To.
template <typename To, typename From>
RefPtr<To> static_ptr_cast(RefPtr<From> pointer) {
  From* object = pointer.leak();
  if (object == nullptr) return nullptr;
  return RefPtr<To>::adopt(*static_cast<To*>(object));
}

}  // namespace occlum
