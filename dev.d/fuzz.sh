# ./dev fuzz [NAME] [SECONDS]: libFuzzer targets of fuzz/, built in their own directory. The corpus is kept in
# build-fuzz/corpus/NAME; a crashing input is left beside it and named.

dev_fuzz() {
  local only=${1:-} seconds=${2:-60} target name ran=0
  if [[ $only =~ ^[0-9]+$ ]]; then
    seconds=$only
    only=
  fi
  build_dir=${OCCLUM_BUILD_DIR:-$root/build}-fuzz
  need setup
  if [[ ! -f $build_dir/build.ninja ]]; then
    (cd "$root" && cmake --preset fuzz -B "$build_dir" >&2) || fail "cmake could not configure: see above"
  fi
  ninja -C "$build_dir" -j "$jobs" fuzz_targets >&2 || fail "the fuzz targets did not build: see above"
  for target in "$build_dir"/bin/fuzz_*; do
    [[ -x $target ]] || continue
    name=${target##*/fuzz_}
    [[ -n $only && $name != "$only" ]] && continue
    ran=$((ran + 1))
    mkdir -p "$build_dir/corpus/$name"
    local seeds=()
    [[ -d $root/fuzz/seeds/$name ]] && seeds=("$root/fuzz/seeds/$name")
    say "fuzzing $name for $seconds s"
    "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix="$build_dir/corpus/$name-" "$build_dir/corpus/$name" "${seeds[@]}" ||
      fail "fuzz_$name found a bug: run it on the input named above"
  done
  [[ $ran -gt 0 ]] || fail "there is no fuzz target '${only:-*}': fuzz/CMakeLists.txt lists them"
}
