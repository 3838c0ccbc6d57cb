# The folders of libos/ that build hosted (libc++, sanitizers) for the unit tests, without the rest of libos/. Add yours when
# it does; libos/arch/hosted is always in. Of some folders only files do.
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
set(OCCLUM_HOSTED_FILES
  sched/fault_injection.cpp
  sched/host_files.cpp
)
