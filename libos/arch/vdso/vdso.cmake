# The vDSO, for programs: compiled apart from the LibOS, for user mode, linked into one two-page image that
# image_raw.S embeds. Sets VDSO_IMAGE. Included by libos/CMakeLists.txt.
set(vdso_dir ${CMAKE_CURRENT_LIST_DIR}/program)
set(VDSO_IMAGE ${CMAKE_CURRENT_BINARY_DIR}/vdso.so)
add_custom_command(
  OUTPUT ${VDSO_IMAGE}
  COMMAND ${CMAKE_CXX_COMPILER} -std=c++23 -O2 -Wall -Wextra -Werror -I${CMAKE_SOURCE_DIR}
    -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -ffreestanding -fPIC -fno-exceptions -fno-rtti -fno-stack-protector
    -fasynchronous-unwind-tables -fcf-protection=none -mno-sse -mno-mmx -mno-avx
    -c -o ${VDSO_IMAGE}.o ${vdso_dir}/vdso.cpp
  COMMAND ${CMAKE_CXX_COMPILER} -shared -nostdlib -fuse-ld=lld -Wl,-soname,linux-vdso.so.1 -Wl,--hash-style=both
    -Wl,--build-id=none -Wl,-Bsymbolic -Wl,--eh-frame-hdr -Wl,-z,max-page-size=4096 -Wl,-z,norelro
    -Wl,-z,noseparate-code -Wl,--no-undefined -Wl,--strip-all
    -Wl,-T,${vdso_dir}/vdso.lds -o ${VDSO_IMAGE} ${VDSO_IMAGE}.o
  DEPENDS ${vdso_dir}/vdso.cpp ${vdso_dir}/vdso.lds ${CMAKE_CURRENT_LIST_DIR}/vdso_data.h
  COMMENT "vDSO for programs" VERBATIM)
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/image_raw.S PROPERTIES
  OBJECT_DEPENDS ${VDSO_IMAGE} COMPILE_OPTIONS "-I${CMAKE_CURRENT_BINARY_DIR}")
