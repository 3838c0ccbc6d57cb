# The folders of libos/ that build hosted (libc++, sanitizers) for the unit tests. Add yours when it does; libos/arch/hosted
# is always in.
set(OCCLUM_HOSTED_DIRS
  fs/dev
  fs/erofs
  fs/hostfs
  fs/tmpfs
  fs/union
  fs/vfs
  ipc
  lib
  mm
  net
  process/rewrite
)
