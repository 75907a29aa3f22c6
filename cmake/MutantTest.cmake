# How tests are registered. Every CTest has a time limit and a label: core, actors, simulation, load, system, layering,
# benchmark or ceph.

find_package(Boost 1.74 REQUIRED COMPONENTS unit_test_framework)
find_package(nlohmann_json REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# What sanitizers are told at run time; harmless to programs without one. UBSan's suppressions only work on checks that
# are compiled to go on, so that it is the run time that stops at the first report.
set(MUTANT_TEST_ENVIRONMENT
  "ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1"
  "UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:suppressions=${PROJECT_SOURCE_DIR}/cmake/ubsan.supp"
  "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan.supp"
  "LSAN_OPTIONS=print_suppressions=0:suppressions=${PROJECT_SOURCE_DIR}/cmake/lsan.supp"
  "MUTANT_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
  "PYTHONDONTWRITEBYTECODE=1"
  "MUTANT_SANITIZE=${MUTANT_SANITIZE}")

# What all tests and benchmarks are compiled with. The library they test is optimised as in the preset; they need not be,
# and it is half of what their compilation costs.
add_library(mutant_test_options INTERFACE)
target_compile_options(mutant_test_options INTERFACE ${MUTANT_TEST_OPTIONS})
target_compile_definitions(mutant_test_options INTERFACE BOOST_TEST_DYN_LINK)
target_link_libraries(mutant_test_options INTERFACE Boost::unit_test_framework nlohmann_json::nlohmann_json)

# One precompiled header for all of them that use actors: target_precompile_headers(x REUSE_FROM mutant_test_precompiled).
if(TARGET mutant_actors)
  file(WRITE "${PROJECT_BINARY_DIR}/mutant_test_precompiled.cpp" "")
  add_library(mutant_test_precompiled OBJECT "${PROJECT_BINARY_DIR}/mutant_test_precompiled.cpp")
  target_link_libraries(mutant_test_precompiled PRIVATE mutant_actors mutant_test_options)
  get_target_property(precompiled mutant_actors MUTANT_PRECOMPILED)
  target_precompile_headers(mutant_test_precompiled PRIVATE ${precompiled} <boost/test/unit_test.hpp>)
  mutant_warnings(mutant_test_precompiled)
endif()

# mutant_test_runner(NAME x LABEL l TIMEOUT seconds SOURCES … [LIBRARIES …])
# A Boost.Test program. Each of its top-level suites (or test cases, outside any) becomes the CTest <label>.<suite>.
# The source called main.cpp is the one that defines BOOST_TEST_MODULE; it must not see the precompiled header.
function(mutant_test_runner)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;LABEL;TIMEOUT" "SOURCES;LIBRARIES")
  add_executable(${arg_NAME} ${arg_SOURCES})
  target_link_libraries(${arg_NAME} PRIVATE ${arg_LIBRARIES} mutant_test_options)
  foreach(source IN LISTS arg_SOURCES)
    if(source MATCHES "/main\\.cpp$")
      set_source_files_properties(${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endforeach()
  mutant_warnings(${arg_NAME})

  math(EXPR timeout "${arg_TIMEOUT} * ${MUTANT_TEST_TIMEOUT_FACTOR}")
  set(list_file "${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}.tests.cmake")
  add_custom_command(TARGET ${arg_NAME} POST_BUILD
    COMMAND ${CMAKE_COMMAND} -D "program=$<TARGET_FILE:${arg_NAME}>" -D "label=${arg_LABEL}" -D "timeout=${timeout}"
      -D "list_file=${list_file}" -P "${PROJECT_SOURCE_DIR}/cmake/DiscoverBoostTests.cmake"
    VERBATIM)
  # Before the first build there is no list yet: one failing test says so, instead of a silent "no tests".
  set(include_file "${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}.include.cmake")
  file(WRITE "${include_file}"
    "set(environment \"${MUTANT_TEST_ENVIRONMENT}\")\n"
    "if(EXISTS \"${list_file}\")\n  include(\"${list_file}\")\n"
    "else()\n  add_test(${arg_NAME}_NOT_BUILT ${arg_NAME}_NOT_BUILT)\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${include_file}")
endfunction()

# mutant_script_test(NAME n LABELS l… TIMEOUT seconds COMMAND …): a program that exits with 0, or with 77 to be skipped.
function(mutant_script_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;TIMEOUT" "LABELS;COMMAND;ENVIRONMENT;PROPERTIES")
  math(EXPR timeout "${arg_TIMEOUT} * ${MUTANT_TEST_TIMEOUT_FACTOR}")
  add_test(NAME ${arg_NAME} COMMAND ${arg_COMMAND})
  set_tests_properties(${arg_NAME} PROPERTIES
    LABELS "${arg_LABELS}" TIMEOUT ${timeout} SKIP_RETURN_CODE 77
    ENVIRONMENT "${MUTANT_TEST_ENVIRONMENT};${arg_ENVIRONMENT}" ${arg_PROPERTIES})
endfunction()
