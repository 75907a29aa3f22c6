# cmake --install: the libraries, their headers (in include/mutant/core/ and so on, so that `#include "core/error.hpp"`
# means there what it means here), the program, and a CMake package with the targets mutant::core and mutant::actors.
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/mutant")

set(libraries mutant_core)
if(TARGET mutant_actors)
  list(APPEND libraries mutant_actors)
endif()
install(TARGETS ${libraries} EXPORT mutantTargets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/mutant")
if(TARGET mutant)
  install(TARGETS mutant RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
if(TARGET mutant-load)
  install(TARGETS mutant-load RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
install(EXPORT mutantTargets NAMESPACE mutant:: DESTINATION "${package_dir}")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/mutantConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/mutantConfig.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/mutantConfigVersion.cmake"
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/mutantConfig.cmake"
  "${PROJECT_BINARY_DIR}/mutantConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/MutantDependencies.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/FindCAF.cmake"
  DESTINATION "${package_dir}")
