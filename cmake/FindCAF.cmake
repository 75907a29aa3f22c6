# Finds the C++ Actor Framework 0.17 (Debian's libcaf-dev ships neither a CMake package nor a pkg-config file).
#
#   find_package(CAF 0.17.6 REQUIRED COMPONENTS core io openssl)
#
# Gives the targets caf::core, caf::io and caf::openssl, and CAF_VERSION. CAF_ROOT (CMake or environment variable) names
# another installation, such as one that scripts/build-caf-with-sanitizer made; it wins over the system's, and static
# libraries (libcaf_core_static.a) are taken there when there are no shared ones. 0.18 and later have another interface
# and are refused.

if(NOT CAF_FIND_COMPONENTS)
  set(CAF_FIND_COMPONENTS core)
endif()

find_path(CAF_INCLUDE_DIR caf/config.hpp)
mark_as_advanced(CAF_INCLUDE_DIR)

if(CAF_INCLUDE_DIR)
  # CAF_VERSION is one number: 1706 is 0.17.6
  file(STRINGS "${CAF_INCLUDE_DIR}/caf/config.hpp" _caf_line REGEX "^#define CAF_VERSION +[0-9]+")
  string(REGEX REPLACE "^#define CAF_VERSION +([0-9]+).*" "\\1" _caf_number "${_caf_line}")
  if(_caf_number)
    math(EXPR _caf_major "${_caf_number} / 10000")
    math(EXPR _caf_minor "${_caf_number} / 100 % 100")
    math(EXPR _caf_patch "${_caf_number} % 100")
    set(CAF_VERSION "${_caf_major}.${_caf_minor}.${_caf_patch}")
  endif()
endif()

set(_caf_libraries)
foreach(_caf_component IN LISTS CAF_FIND_COMPONENTS)
  string(TOUPPER "${_caf_component}" _caf_upper)
  find_library(CAF_${_caf_upper}_LIBRARY NAMES caf_${_caf_component} caf_${_caf_component}_static NAMES_PER_DIR)
  mark_as_advanced(CAF_${_caf_upper}_LIBRARY)
  list(APPEND _caf_libraries CAF_${_caf_upper}_LIBRARY)
  if(CAF_${_caf_upper}_LIBRARY)
    set(CAF_${_caf_component}_FOUND TRUE)
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CAF
  REQUIRED_VARS CAF_INCLUDE_DIR ${_caf_libraries}
  VERSION_VAR CAF_VERSION
  HANDLE_COMPONENTS
  REASON_FAILURE_MESSAGE "install libcaf-dev (Debian 12), or set CAF_ROOT")

if(CAF_FOUND AND CAF_VERSION VERSION_GREATER_EQUAL 0.18)
  set(CAF_FOUND FALSE)
  if(CAF_FIND_REQUIRED)
    message(FATAL_ERROR "CAF ${CAF_VERSION} in ${CAF_INCLUDE_DIR}: mutant is written for 0.17")
  endif()
endif()

if(CAF_FOUND)
  find_package(Threads REQUIRED)
  foreach(_caf_component IN LISTS CAF_FIND_COMPONENTS)
    string(TOUPPER "${_caf_component}" _caf_upper)
    if(NOT TARGET caf::${_caf_component})
      add_library(caf::${_caf_component} UNKNOWN IMPORTED)
      set_target_properties(caf::${_caf_component} PROPERTIES
        IMPORTED_LOCATION "${CAF_${_caf_upper}_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${CAF_INCLUDE_DIR}")
    endif()
  endforeach()
  # What each of them needs: of its own family, and of the system (static libraries do not say it themselves).
  set_property(TARGET caf::core APPEND PROPERTY INTERFACE_LINK_LIBRARIES Threads::Threads)
  if(TARGET caf::io)
    set_property(TARGET caf::io APPEND PROPERTY INTERFACE_LINK_LIBRARIES caf::core)
  endif()
  if(TARGET caf::openssl)
    set_property(TARGET caf::openssl APPEND PROPERTY INTERFACE_LINK_LIBRARIES caf::io caf::core)
    if(CAF_OPENSSL_LIBRARY MATCHES "\\.a$")
      find_package(OpenSSL REQUIRED)
      set_property(TARGET caf::openssl APPEND PROPERTY INTERFACE_LINK_LIBRARIES OpenSSL::SSL OpenSSL::Crypto)
    endif()
  endif()
endif()
