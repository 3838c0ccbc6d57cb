# ./dev run -- CMD [ARG...]: a host program in an enclave, from a fresh clone.

dev_run() {
  [[ ${1:-} == -- ]] && shift
  [[ $# -gt 0 ]] || fail "name a program: ./dev run -- /usr/bin/python3 -c 'print(1)'"
  need build
  [[ -x $occlum ]] || fail "the build made no $occlum: look at cli/CMakeLists.txt"
  exec "$occlum" do "$@"
}
