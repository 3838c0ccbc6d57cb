# ./dev test: unit and component tests by ctest, then the guest programs, the whole programs and random sequences of system
# calls, each natively and in the enclave. Every suite writes a JUnit file; the summary is made from those. A crash or a
# hang is one failed test.

dev_test() {
  local filter= long= native_only= relaxed= suites=()
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --long) long=1 ;;
      --native-only) native_only=1 ;;
      --relaxed) relaxed=--relaxed ;;
      --filter) filter=${2:?"--filter wants a part of a name"}; shift ;;
      --suite) suites+=("${2:?"--suite wants ctest, guest, programs or random"}"); shift ;;
      *) fail "test has no option '$1': ./dev --help lists them" ;;
    esac
    shift
  done
  [[ ${#suites[@]} == 0 ]] && suites=(ctest guest programs random)
  source "$root/dev.d/build.sh"
  if [[ -n $native_only ]]; then
    dev_build guest_programs test_programs random_program
  else
    dev_build
  fi

  [[ " ${suites[*]} " != *" programs "* || -n ${OCCLUM_NO_SETUP:-} ]] || need sources

  local results=$build_dir/test-results suite status=0
  rm -rf "$results"
  mkdir -p "$results"
  for suite in "${suites[@]}"; do
    say "suite $suite"
    case "$suite" in
      ctest) [[ -n $native_only ]] || run_ctest || status=1 ;;
      guest) run_python tests/run_guest.py guest 420 $relaxed || status=1 ;;
      programs) run_python tests/run_programs.py programs 900 || status=1 ;;
      random) run_python tests/run_random.py random 400 || status=1 ;;
      *) fail "there is no suite '$suite': ctest, guest, programs or random" ;;
    esac
  done
  "$python" "$root/tests/summary.py" "$results" --status "$status"
}

# ctest's own totals are left out: they would read as a second summary. Tests labelled `long` run with --long only.
run_ctest() {
  local args=(--test-dir "$build_dir" --output-on-failure --timeout 300 -j "$jobs" --no-tests=ignore
    --output-junit "$results/ctest.xml")
  [[ -n $long ]] || args+=(-LE '^long$')
  [[ -n $filter ]] && args+=(-R "$filter")
  OCCLUM_LONG=$long ctest "${args[@]}" </dev/null |
    sed -u '/tests passed, .* tests failed/d; /^Total Test time/d'
}

# run_python RUNNER SUITE SECONDS [OPTION...]: after SECONDS no further test starts, so that a product in which
# everything hangs fails in bounded time; unless --long.
run_python() {
  local args=(--build-dir "$build_dir" --junit "$results/$2.xml" --jobs "$jobs" "${@:4}")
  if [[ -n $long ]]; then
    args+=(--long)
  else
    args+=(--budget "$3")
  fi
  [[ -n $filter ]] && args+=(--filter "$filter")
  [[ -n $native_only ]] && args+=(--native-only)
  "$python" "$root/$1" "${args[@]}" </dev/null
}
