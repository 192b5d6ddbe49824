# The external libraries, each behind one imported target:
#
#   kds::mpi         MPI 3 (only with KDSWEEP_MPI)
#   kds::hdf5        HDF5 with the high-level library: the parallel flavour that belongs to this MPI, or the serial one
#   kds::blas        OpenBLAS
#   kds::config      libconfig
#   kds::zlib        zlib
#   kds::cmocka      cmocka; without it BUILD_TESTING is off for this configuration

find_package(PkgConfig REQUIRED)

function(kds_external name)
  add_library(kds_external_${name} INTERFACE)
  target_link_libraries(kds_external_${name} INTERFACE ${ARGN})
  add_library(kds::${name} ALIAS kds_external_${name})
endfunction()

# --- MPI ---
set(KDSWEEP_MPI_WORDS "none")
if(KDSWEEP_MPI)
  set(MPI_DETERMINE_LIBRARY_VERSION ON)
  set(MPI_CXX_SKIP_MPICXX ON)
  find_package(MPI 3.0 REQUIRED COMPONENTS C)
  kds_external(mpi MPI::MPI_C)
  string(REGEX REPLACE "[,\n].*" "" KDSWEEP_MPI_WORDS "${MPI_C_LIBRARY_VERSION_STRING}")
  string(REGEX REPLACE "[ \t]+" " " KDSWEEP_MPI_WORDS "${KDSWEEP_MPI_WORDS}")
endif()

# --- HDF5 ---
# Several flavours may be installed side by side (Debian: serial, openmpi, mpich), so the flavour is chosen by name first
# and checked afterwards. HDF5_C_COMPILER_EXECUTABLE or HDF5_ROOT overrides.
if(NOT KDSWEEP_MPI)
  set(KDSWEEP_PARALLEL_HDF5 OFF)
endif()
if(KDSWEEP_PARALLEL_HDF5)
  set(HDF5_PREFER_PARALLEL ON)
  if(NOT HDF5_C_COMPILER_EXECUTABLE AND NOT HDF5_ROOT AND NOT DEFINED ENV{HDF5_ROOT})
    set(flavour "")
    if(MPI_C_LIBRARY_VERSION_STRING MATCHES "Open MPI")
      set(flavour openmpi)
    elseif(MPI_C_LIBRARY_VERSION_STRING MATCHES "MPICH")
      set(flavour mpich)
    endif()
    if(flavour)
      find_program(KDSWEEP_H5PCC NAMES h5pcc.${flavour})
      mark_as_advanced(KDSWEEP_H5PCC)
      if(KDSWEEP_H5PCC)
        set(HDF5_C_COMPILER_EXECUTABLE "${KDSWEEP_H5PCC}" CACHE FILEPATH "HDF5 compiler wrapper")
      endif()
    endif()
  endif()
  find_package(HDF5 REQUIRED COMPONENTS C HL)
  if(NOT HDF5_IS_PARALLEL)
    message(FATAL_ERROR "HDF5 ${HDF5_VERSION} (${HDF5_C_LIBRARIES}) was built without MPI. "
                        "Set HDF5_C_COMPILER_EXECUTABLE to a parallel h5pcc, or configure with -DKDSWEEP_PARALLEL_HDF5=OFF "
                        "(rank 0 writes for all) or -DKDSWEEP_MPI=OFF.")
  endif()
  foreach(pair "Open MPI:_mpich" "MPICH:_openmpi")
    string(REPLACE ":" ";" pair "${pair}")
    list(GET pair 0 mpi_name)
    list(GET pair 1 wrong_suffix)
    if(MPI_C_LIBRARY_VERSION_STRING MATCHES "${mpi_name}" AND "${HDF5_C_LIBRARIES}" MATCHES "hdf5${wrong_suffix}")
      message(FATAL_ERROR "HDF5 (${HDF5_C_LIBRARIES}) belongs to another MPI than ${KDSWEEP_MPI_WORDS}. "
                          "Set HDF5_C_COMPILER_EXECUTABLE to the h5pcc of this MPI.")
    endif()
  endforeach()
  set(KDSWEEP_HDF5_WORDS "${HDF5_VERSION} parallel")
else()
  # Debian calls the serial flavour hdf5-serial; there, plain hdf5 and h5cc may be switched to a parallel one.
  if(NOT HDF5_C_COMPILER_EXECUTABLE AND NOT HDF5_ROOT AND NOT DEFINED ENV{HDF5_ROOT})
    pkg_check_modules(KDSWEEP_HDF5_SERIAL QUIET IMPORTED_TARGET hdf5-serial)
  endif()
  if(KDSWEEP_HDF5_SERIAL_FOUND)
    find_library(KDSWEEP_HDF5_SERIAL_HL NAMES hdf5_serial_hl hdf5_hl HINTS ${KDSWEEP_HDF5_SERIAL_LIBRARY_DIRS})
    mark_as_advanced(KDSWEEP_HDF5_SERIAL_HL)
    if(NOT KDSWEEP_HDF5_SERIAL_HL)
      message(FATAL_ERROR "The high-level library of serial HDF5 (hdf5_serial_hl) was not found.")
    endif()
    set(HDF5_VERSION "${KDSWEEP_HDF5_SERIAL_VERSION}")
    set(HDF5_IS_PARALLEL FALSE)
    set(KDSWEEP_HDF5_TARGETS "${KDSWEEP_HDF5_SERIAL_HL}" PkgConfig::KDSWEEP_HDF5_SERIAL)
  else()
    set(HDF5_PREFER_PARALLEL OFF)
    find_package(HDF5 REQUIRED COMPONENTS C HL)
  endif()
  if(HDF5_IS_PARALLEL)
    message(FATAL_ERROR "A serial HDF5 was asked for, but the HDF5 that was found (${HDF5_C_LIBRARIES}) needs MPI. "
                        "Install the serial flavour (Debian: libhdf5-dev) or set HDF5_C_COMPILER_EXECUTABLE to its h5cc.")
  endif()
  set(KDSWEEP_HDF5_WORDS "${HDF5_VERSION} serial")
endif()
if(NOT KDSWEEP_HDF5_TARGETS)
  set(KDSWEEP_HDF5_TARGETS hdf5::hdf5_hl hdf5::hdf5)
endif()
if(HDF5_VERSION VERSION_LESS 1.10)
  message(FATAL_ERROR "HDF5 1.10 or newer is needed, found ${HDF5_VERSION}.")
endif()
if(KDSWEEP_PARALLEL_HDF5)
  kds_external(hdf5 ${KDSWEEP_HDF5_TARGETS} MPI::MPI_C) # hdf5.h of a parallel build includes mpi.h
else()
  kds_external(hdf5 ${KDSWEEP_HDF5_TARGETS})
endif()

# --- OpenBLAS ---
pkg_check_modules(KDSWEEP_OPENBLAS QUIET IMPORTED_TARGET openblas)
if(KDSWEEP_OPENBLAS_FOUND)
  kds_external(blas PkgConfig::KDSWEEP_OPENBLAS)
  set(KDSWEEP_OPENBLAS_WORDS "${KDSWEEP_OPENBLAS_VERSION}")
else()
  find_library(KDSWEEP_OPENBLAS_LIBRARY NAMES openblas REQUIRED)
  find_path(KDSWEEP_OPENBLAS_INCLUDE NAMES cblas.h PATH_SUFFIXES openblas REQUIRED)
  kds_external(blas "${KDSWEEP_OPENBLAS_LIBRARY}")
  target_include_directories(kds_external_blas SYSTEM INTERFACE "${KDSWEEP_OPENBLAS_INCLUDE}")
  set(KDSWEEP_OPENBLAS_WORDS "${KDSWEEP_OPENBLAS_LIBRARY}")
endif()

# --- the small ones ---
pkg_check_modules(KDSWEEP_LIBCONFIG QUIET IMPORTED_TARGET libconfig>=1.5)
if(NOT KDSWEEP_LIBCONFIG_FOUND)
  message(FATAL_ERROR "libconfig 1.5 or newer was not found by pkg-config (Debian: libconfig-dev).")
endif()
kds_external(config PkgConfig::KDSWEEP_LIBCONFIG)
find_package(ZLIB REQUIRED)
kds_external(zlib ZLIB::ZLIB)
if(BUILD_TESTING)
  pkg_check_modules(KDSWEEP_CMOCKA QUIET IMPORTED_TARGET cmocka>=1.1)
  if(KDSWEEP_CMOCKA_FOUND)
    kds_external(cmocka PkgConfig::KDSWEEP_CMOCKA)
  else()
    # Whoever only wants the program need not have it. Not cached: the next configuration looks again.
    message(STATUS "No cmocka 1.1 or newer (Debian: libcmocka-dev): the tests are left out")
    set(BUILD_TESTING OFF)
  endif()
endif()
