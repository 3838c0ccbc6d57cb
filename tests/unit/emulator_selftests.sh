#!/bin/bash
# The Linux kernel's SGX selftests, built unmodified from Debian's linux-source-6.1 and run over
# software SGX, on both of its paths. They are the emulator's oracle: all 16 must pass on each.
#
#   emulator_selftests.sh PRELOAD_LIBRARY WORK_DIRECTORY [fast|trap ...]
#
# The sources are unpacked into WORK_DIRECTORY once; a second run only runs.
set -euo pipefail

preload=$(realpath "$1")
work=$2
shift 2
paths=("$@")
[ ${#paths[@]} -gt 0 ] || paths=(fast trap)

archive=/usr/src/linux-source-6.1.tar.xz
expected=16
mkdir -p "$work"
work=$(realpath "$work")
tests=$work/linux/tools/testing/selftests/sgx

if [ ! -e "$work/built" ]; then
  if [ ! -e "$archive" ]; then
    echo "no $archive: run ./dev setup (it installs linux-source-6.1)" >&2
    exit 1
  fi
  rm -rf "$work/linux"
  mkdir -p "$work/linux"
  echo "unpacking the selftests"
  tar -xJf "$archive" -C "$work/linux" --strip-components=1 --wildcards \
    '*/tools/testing/selftests/sgx' '*/tools/testing/selftests/lib.mk' \
    '*/tools/testing/selftests/kselftest.h' '*/tools/testing/selftests/kselftest_harness.h' \
    '*/tools/testing/selftests/x86/check_cc.sh' \
    '*/tools/testing/selftests/x86/trivial_64bit_program.c' \
    '*/tools/include' '*/arch/x86/include/asm/sgx.h' '*/arch/x86/include/asm/enclu.h' \
    '*/arch/x86/include/uapi/asm/sgx.h'
  [ -e "$tests/main.c" ] || { echo "$archive holds no SGX selftests" >&2; exit 1; }
  if ! make -s -C "$tests" CC=gcc OUTPUT="$tests" "$tests/test_sgx" "$tests/test_encl.elf" \
    >"$work/build.log" 2>&1; then
    cat "$work/build.log" >&2
    echo "the selftests did not build" >&2
    exit 1
  fi
  touch "$work/built"
fi

cd "$tests"
failed=0
for path in "${paths[@]}"; do
  log=$work/$path.log
  status=0
  SGXEMU_PATH=$path LD_PRELOAD=$preload timeout 300 ./test_sgx >"$log" 2>&1 || status=$?
  passed=$(grep -c '^ok ' "$log" || true)
  skipped=$(grep -c '# SKIP' "$log" || true)
  if [ "$status" -eq 0 ] && [ "$passed" -eq "$expected" ] && [ "$skipped" -eq 0 ]; then
    echo "$path: $passed of $expected passed"
  else
    grep -vE '^ok |^# +OK|^# +RUN' "$log" | tail -40 || true
    echo "$path: $passed of $expected passed, $skipped skipped, exit status $status (log: $log)"
    failed=1
  fi
done
exit $failed
