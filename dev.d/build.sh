# ./dev build: configures once (again when a CMake file changed: ninja does that by itself) and compiles.

dev_build() {
  need setup
  if [[ ! -f $build_dir/build.ninja ]]; then
    say "configuring into $build_dir"
    (cd "$root" && cmake --preset default -B "$build_dir" >&2) ||
      fail "cmake could not configure: see its message above; after a change of compiler delete $build_dir"
  fi
  # Nothing to do is the common case and prints nothing.
  local plan
  plan=$(ninja -C "$build_dir" -n "$@" 2>&1) || true
  [[ $plan == *'no work to do'* ]] && return
  say "compiling into $build_dir"
  ninja -C "$build_dir" -j "$jobs" "$@" >&2 || fail "the build failed: the first error above says where"
}
