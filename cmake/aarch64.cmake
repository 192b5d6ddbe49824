# Cross-compile for AArch64, and run what comes out with qemu-user. The libraries are those of build/aarch64-root (cmake/aarch64-root.sh).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

get_filename_component(KDSWEEP_AARCH64_ROOT "${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-root" ABSOLUTE)
set(CMAKE_SYSROOT "${KDSWEEP_AARCH64_ROOT}")
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${KDSWEEP_AARCH64_ROOT}")
set(ENV{PKG_CONFIG_LIBDIR} "${KDSWEEP_AARCH64_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig")

# A Cortex-A72 has what every AArch64 has and nothing newer, so that nothing newer is used by accident.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu cortex-a72 -L "${KDSWEEP_AARCH64_ROOT}")
