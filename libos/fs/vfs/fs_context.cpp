// See libos/fs/fs_context.h.
#include "libos/fs/fs_context.h"

namespace occlum {

FsContext::FsContext(State state) : state_(LockRank::kFiles, std::move(state)) {}

Result<RefPtr<FsContext>> FsContext::create(Path root, Path cwd, uint32_t umask) {
  return make_ref<FsContext>(State{std::move(root), std::move(cwd), umask});
}

Result<RefPtr<FsContext>> FsContext::clone() const {
  return make_ref<FsContext>(state_.with([](const State& state) { return state; }));
}

Path FsContext::root() const {
  return state_.with([](const State& state) { return state.root; });
}
Path FsContext::cwd() const {
  return state_.with([](const State& state) { return state.cwd; });
}
void FsContext::set_root(Path root) {
  state_.with([&](State& state) { std::swap(state.root, root); });
}
void FsContext::set_cwd(Path cwd) {
  state_.with([&](State& state) { std::swap(state.cwd, cwd); });
}
uint32_t FsContext::umask() const {
  return state_.with([](const State& state) { return state.umask; });
}
uint32_t FsContext::set_umask(uint32_t mask) {
  return state_.with([&](State& state) { return std::exchange(state.umask, mask & 0777); });
}

WalkContext FsContext::walk(const Credentials& credentials) const {
  return state_.with(
      [&](const State& state) { return WalkContext{state.root, state.cwd, &credentials}; });
}

}  // namespace occlum
