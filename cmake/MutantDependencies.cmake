# What mutant links with, as imported targets. The project includes this file, and so does the installed package: a
# program that embeds mutant finds the same libraries by the same rules.
#
# libsodium, libcbor, LMDB, zstd, libcurl and pugixml come with pkg-config files; HighwayHash with neither that nor a
# CMake package.
# Expects CMAKE_MODULE_PATH to hold the folder of FindCAF.cmake. Variables: MUTANT_BUILD_ACTORS, MUTANT_WITH_RADOS.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(mutant_sodium REQUIRED IMPORTED_TARGET libsodium>=1.0.18)
pkg_check_modules(mutant_cbor REQUIRED IMPORTED_TARGET libcbor>=0.8)
pkg_check_modules(mutant_lmdb REQUIRED IMPORTED_TARGET lmdb>=0.9.24)
pkg_check_modules(mutant_curl REQUIRED IMPORTED_TARGET libcurl>=7.85)
pkg_check_modules(mutant_pugixml REQUIRED IMPORTED_TARGET pugixml>=1.12)
pkg_check_modules(mutant_zstd REQUIRED IMPORTED_TARGET libzstd>=1.4.8)
find_package(tl-expected REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)

find_path(HIGHWAYHASH_INCLUDE_DIR highwayhash/highwayhash_target.h)
find_library(HIGHWAYHASH_LIBRARY highwayhash)
mark_as_advanced(HIGHWAYHASH_INCLUDE_DIR HIGHWAYHASH_LIBRARY)
if(NOT HIGHWAYHASH_INCLUDE_DIR OR NOT HIGHWAYHASH_LIBRARY)
  message(FATAL_ERROR "HighwayHash not found: install libhighwayhash-dev, or run scripts/install-dependencies")
endif()
if(NOT TARGET mutant::highwayhash)
  add_library(mutant::highwayhash UNKNOWN IMPORTED)
  set_target_properties(mutant::highwayhash PROPERTIES
    IMPORTED_LOCATION "${HIGHWAYHASH_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${HIGHWAYHASH_INCLUDE_DIR}")
endif()

# Ceph is optional. MUTANT_HAVE_RADOS says whether core/engine/rados*.cpp is part of the build.
set(MUTANT_HAVE_RADOS OFF)
if(NOT MUTANT_WITH_RADOS STREQUAL "OFF")
  find_path(RADOS_INCLUDE_DIR rados/librados.hpp)
  find_library(RADOS_LIBRARY rados)
  mark_as_advanced(RADOS_INCLUDE_DIR RADOS_LIBRARY)
  if(RADOS_INCLUDE_DIR AND RADOS_LIBRARY)
    # Ceph 16's header compares iterators in a way that is ambiguous in C++20: g++ lets it pass, clang does not.
    include(CheckCXXSourceCompiles)
    set(CMAKE_REQUIRED_INCLUDES "${RADOS_INCLUDE_DIR}")
    set(CMAKE_REQUIRED_FLAGS "-std=c++20")
    check_cxx_source_compiles("#include <rados/librados.hpp>\nint main() {}" MUTANT_RADOS_HEADER_COMPILES)
    unset(CMAKE_REQUIRED_INCLUDES)
    unset(CMAKE_REQUIRED_FLAGS)
  endif()
  if(MUTANT_RADOS_HEADER_COMPILES)
    set(MUTANT_HAVE_RADOS ON)
    if(NOT TARGET mutant::rados)
      add_library(mutant::rados UNKNOWN IMPORTED)
      set_target_properties(mutant::rados PROPERTIES
        IMPORTED_LOCATION "${RADOS_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${RADOS_INCLUDE_DIR}")
    endif()
  elseif(NOT MUTANT_WITH_RADOS STREQUAL "AUTO")
    message(FATAL_ERROR "rados/librados.hpp not found, or not to be compiled by this compiler: install libradospp-dev, use g++,"
      " or set MUTANT_WITH_RADOS to AUTO or OFF")
  endif()
endif()

if(MUTANT_BUILD_ACTORS)
  find_package(CAF 0.17.6 REQUIRED COMPONENTS core io openssl)
endif()
