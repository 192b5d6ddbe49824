# kds_module(<name>
#            [USES <module>...]        modules whose headers it may include
#            [HEADERS <name.h>...]     its headers in include/kdsweep beside <name>.h and <name>_*.h
#            [LIBS <target>...]        external libraries
#            [MPI_LIBS <target>...]    the same, only with KDSWEEP_MPI
#            [ALLOW <h>=<glob>...]     external headers, and the files of the module that may include them
#            [ALLOW_ONCE <h>=<glob>...] the same, but at most one file may do so)
#
# Makes the static library kds_<name> from src/<name>/*.c, or an INTERFACE library while there is no source yet. main.c is
# left out: it belongs to the program. Twins, chosen by file name:
#
#   *_mpi.c *_mpi_*.c                       only with KDSWEEP_MPI; *_serial.c only without
#   *_mpio.c                                only with KDSWEEP_PARALLEL_HDF5; *_mpio_serial.c only without
#
# Kernels for one instruction set, *_avx2.c, *_avx512.c and *_neon.c, are compiled with exactly the flags that the selector checks
# (AArch64 always has NEON and needs none).
# The table of modules is written to <build>/modules.json, where tests/lint reads it: there is no second list.

include(CheckCCompilerFlag)
set(THREADS_PREFER_PTHREAD_FLAG ON)

set(KDS_MODULES "" CACHE INTERNAL "")

# --- what every target is compiled with ---
add_library(kds_options INTERFACE)
target_include_directories(kds_options INTERFACE "${PROJECT_SOURCE_DIR}/include")
target_compile_definitions(kds_options INTERFACE
  _POSIX_C_SOURCE=200809L
  KDSWEEP_VERSION="${PROJECT_VERSION}"
  KDSWEEP_WITH_MPI=$<BOOL:${KDSWEEP_MPI}>)
# -ffp-contract=off: whether a*b+c is one rounding or two must not be the compiler's choice (kernels say fma themselves).
target_compile_options(kds_options INTERFACE
  -ffp-contract=off
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes)
if(KDSWEEP_WERROR)
  target_compile_options(kds_options INTERFACE -Werror)
endif()
if(KDSWEEP_SANITIZE)
  set(kds_sanitize -fsanitize=${KDSWEEP_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(kds_options INTERFACE ${kds_sanitize})
  target_link_options(kds_options INTERFACE ${kds_sanitize})
endif()
find_package(Threads REQUIRED)
target_link_libraries(kds_options INTERFACE m Threads::Threads)

# --- instruction sets ---
set(KDSWEEP_AVX2_FLAGS -mavx2 -mfma)
set(KDSWEEP_AVX512_FLAGS -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma)
set(KDSWEEP_HAVE_AVX2 OFF)
set(KDSWEEP_HAVE_AVX512 OFF)
set(KDSWEEP_HAVE_NEON OFF)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  foreach(isa AVX2 AVX512)
    string(REPLACE ";" " " CMAKE_REQUIRED_FLAGS "${KDSWEEP_${isa}_FLAGS}")
    check_c_compiler_flag("" KDSWEEP_COMPILER_KNOWS_${isa})
    unset(CMAKE_REQUIRED_FLAGS)
    set(KDSWEEP_HAVE_${isa} ${KDSWEEP_COMPILER_KNOWS_${isa}})
  endforeach()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(KDSWEEP_HAVE_NEON ON)
endif()

# The sources of src/<name> that belong to this configuration.
function(kds_sources out folder)
  file(GLOB all CONFIGURE_DEPENDS "${folder}/*.c")
  set(chosen "")
  foreach(source IN LISTS all)
    get_filename_component(file_name "${source}" NAME)
    if(file_name STREQUAL "main.c")
      continue()
    elseif(file_name MATCHES "_mpio(_serial)?\\.c$")
      if((KDSWEEP_PARALLEL_HDF5 AND file_name MATCHES "_mpio\\.c$") OR
         (NOT KDSWEEP_PARALLEL_HDF5 AND file_name MATCHES "_mpio_serial\\.c$"))
        list(APPEND chosen "${source}")
      endif()
    elseif(file_name MATCHES "_serial\\.c$")
      if(NOT KDSWEEP_MPI)
        list(APPEND chosen "${source}")
      endif()
    elseif(file_name MATCHES "_mpi(_[a-z0-9_]+)?\\.c$")
      if(KDSWEEP_MPI)
        list(APPEND chosen "${source}")
      endif()
    elseif(file_name MATCHES "_avx2\\.c$")
      if(KDSWEEP_HAVE_AVX2)
        set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "${KDSWEEP_AVX2_FLAGS}")
        list(APPEND chosen "${source}")
      endif()
    elseif(file_name MATCHES "_avx512\\.c$")
      if(KDSWEEP_HAVE_AVX512)
        set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "${KDSWEEP_AVX512_FLAGS}")
        list(APPEND chosen "${source}")
      endif()
    elseif(file_name MATCHES "_neon\\.c$")
      if(KDSWEEP_HAVE_NEON)
        list(APPEND chosen "${source}")
      endif()
    else()
      list(APPEND chosen "${source}")
    endif()
  endforeach()
  set(${out} "${chosen}" PARENT_SCOPE)
endfunction()

function(kds_module name)
  cmake_parse_arguments(arg "" "" "USES;HEADERS;LIBS;MPI_LIBS;ALLOW;ALLOW_ONCE" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "kds_module(${name}): what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  foreach(used IN LISTS arg_USES)
    if(NOT TARGET kds_${used})
      message(FATAL_ERROR "kds_module(${name}): module ${used} must be declared before it is used")
    endif()
  endforeach()

  list(TRANSFORM arg_USES PREPEND kds_ OUTPUT_VARIABLE used_targets)
  set(libs ${arg_LIBS})
  if(KDSWEEP_MPI)
    list(APPEND libs ${arg_MPI_LIBS})
  endif()
  kds_sources(sources "${PROJECT_SOURCE_DIR}/src/${name}")
  if(sources)
    add_library(kds_${name} STATIC ${sources})
    target_link_libraries(kds_${name} PUBLIC kds_options ${used_targets} PRIVATE ${libs})
    if(name STREQUAL "kernels")
      target_compile_definitions(kds_kernels PRIVATE
        KDSWEEP_HAVE_AVX2=$<BOOL:${KDSWEEP_HAVE_AVX2}> KDSWEEP_HAVE_AVX512=$<BOOL:${KDSWEEP_HAVE_AVX512}>
        KDSWEEP_HAVE_NEON=$<BOOL:${KDSWEEP_HAVE_NEON}>)
    endif()
  else()
    add_library(kds_${name} INTERFACE)
    target_link_libraries(kds_${name} INTERFACE kds_options ${used_targets})
  endif()

  # one JSON object for the lint
  foreach(list_name USES HEADERS ALLOW ALLOW_ONCE)
    set(json_${list_name} "")
    foreach(item IN LISTS arg_${list_name})
      string(APPEND json_${list_name} "\"${item}\",")
    endforeach()
    string(REGEX REPLACE ",$" "" json_${list_name} "${json_${list_name}}")
  endforeach()
  set(archive "")
  if(sources)
    set(archive "$<TARGET_FILE:kds_${name}>")
  endif()
  set_property(GLOBAL APPEND_STRING PROPERTY KDS_MODULE_TABLE
    "  \"${name}\": {\"uses\": [${json_USES}], \"headers\": [${json_HEADERS}], \"allow\": [${json_ALLOW}], \"allow_once\": [${json_ALLOW_ONCE}], \"archive\": \"${archive}\"},\n")
  set_property(GLOBAL APPEND PROPERTY KDS_MODULE_NAMES ${name})
endfunction()

# After the last module: <build>/modules.json.
function(kds_write_module_table)
  get_property(table GLOBAL PROPERTY KDS_MODULE_TABLE)
  string(REGEX REPLACE ",\n$" "\n" table "${table}")
  file(GENERATE OUTPUT "${PROJECT_BINARY_DIR}/modules.json" CONTENT "{\n${table}}\n")
endfunction()
