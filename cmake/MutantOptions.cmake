# Options, and the flags that every target of ours is compiled with.

option(MUTANT_BUILD_ACTORS "Build the actors and the program (needs CAF)" ON)
option(MUTANT_BUILD_TESTS "Build the tests and the benchmarks" ${PROJECT_IS_TOP_LEVEL})
option(MUTANT_BUILD_FUZZERS "Build the fuzz targets (needs clang)" OFF)
option(MUTANT_WERROR "Treat warnings as errors" OFF)
option(MUTANT_ASSERTIONS "Keep assert() and libstdc++'s cheap checks in optimised builds" OFF)
set(MUTANT_SANITIZE "" CACHE STRING "What -fsanitize= takes, as in address,undefined; empty: nothing")
set(MUTANT_CORE_OPTIONS "" CACHE STRING "Compiler options of core/ alone, as in -O1")
set(MUTANT_TEST_OPTIONS "" CACHE STRING "Compiler options of the tests and benchmarks themselves, as in -O0")
set(MUTANT_TEST_TIMEOUT_FACTOR 1 CACHE STRING "Every test may take this many times its usual limit")
set(MUTANT_WITH_RADOS AUTO CACHE STRING "Ceph as an engine: ON, OFF, or AUTO (when its headers are there)")
set_property(CACHE MUTANT_WITH_RADOS PROPERTY STRINGS AUTO ON OFF)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# A compiler cache and a fast linker, when this machine has them. The sloppiness is what ccache asks for to cache
# translation units that use a precompiled header.
find_program(MUTANT_CCACHE ccache)
if(MUTANT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${MUTANT_CCACHE})
endif()
find_program(MUTANT_MOLD mold)
find_program(MUTANT_LLD ld.lld)
if(MUTANT_MOLD)
  add_link_options(-fuse-ld=mold)
elseif(MUTANT_LLD)
  add_link_options(-fuse-ld=lld)
endif()

if(MUTANT_SANITIZE)
  add_compile_options(-fsanitize=${MUTANT_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${MUTANT_SANITIZE})
else()
  add_compile_options("$<$<CONFIG:Release>:-fno-plt;-fstack-protector-strong;-D_FORTIFY_SOURCE=2>")
  add_link_options("$<$<CONFIG:Release>:LINKER:-z,relro,-z,now>")
endif()
if(MUTANT_ASSERTIONS)
  add_compile_options(-UNDEBUG)
endif()

# mutant_warnings(target): what must be silent in code of ours.
function(mutant_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
    $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>)  # not part of g++'s -Wconversion for C++
  if(MUTANT_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
