# What every ./dev command uses: messages, the build directory, and "do first what I need".

build_dir=${OCCLUM_BUILD_DIR:-$root/build}
jobs=${OCCLUM_JOBS:-2}
occlum=$build_dir/bin/occlum
# Debian's own python3, not another one that happens to be first in PATH.
python=/usr/bin/python3

# say TEXT: one line of progress, on stderr so that a program's stdout stays its own.
say() {
  printf 'dev: %s\n' "$*" >&2
}

# fail SENTENCE: what went wrong and what to do about it.
fail() {
  printf 'dev: error: %s\n' "$*" >&2
  exit 1
}

# need COMMAND...: run other dev commands first, in this process.
need() {
  local name
  for name in "$@"; do
    source "$root/dev.d/$name.sh"
    "dev_$name"
  done
}
export PYTHONDONTWRITEBYTECODE=1  # No __pycache__ in the source tree.
