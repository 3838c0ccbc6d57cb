// FunctionRef<R(Args...)>: a callable that is borrowed, not owned. For parameters: the callable
// must outlive the call, which a temporary in the argument list does. It takes lambdas and other
// function objects; wrap a plain function in a lambda. Two words; never allocates.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace occlum {

template <typename Signature>
class FunctionRef;

template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  template <typename F>
    requires(std::is_class_v<std::remove_cvref_t<F>> &&
             !std::is_same_v<std::remove_cvref_t<F>, FunctionRef> &&
             std::is_invocable_r_v<R, F&, Args...>)
  FunctionRef(F&& callable)
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
        invoke_(&invoke<std::remove_reference_t<F>>) {}

  R operator()(Args... args) const { return invoke_(object_, std::forward<Args>(args)...); }

 private:
  template <typename F>
  static R invoke(void* object, Args... args) {
    return (*static_cast<F*>(object))(std::forward<Args>(args)...);
  }

  void* object_;
  R (*invoke_)(void*, Args...);
};

}  // namespace occlum
