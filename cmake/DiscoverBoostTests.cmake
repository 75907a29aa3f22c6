# Run after a Boost.Test program was linked: asks it for its top-level suites and writes one add_test for each.
# Variables: program, label, timeout, list_file; `environment` is set where list_file is included.
execute_process(COMMAND "${program}" --list_content=HRF
  OUTPUT_VARIABLE output ERROR_VARIABLE content RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${program} --list_content: ${status}\n${output}${content}")
endif()

# Nested suites and cases are indented; a name ends in '*' unless it is disabled; ':' starts a description.
string(REGEX MATCHALL "(^|\n)[A-Za-z_][A-Za-z0-9_]*[*]" names "${content}")
set(script "")
foreach(name IN LISTS names)
  string(REGEX REPLACE "[\n*]" "" name "${name}")
  string(APPEND script
    "add_test(${label}.${name} \"${program}\" --run_test=${name} --color_output=no)\n"
    "set_tests_properties(${label}.${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout} SKIP_RETURN_CODE 77\n"
    "  ENVIRONMENT \"\${environment}\")\n")
endforeach()
file(WRITE "${list_file}" "${script}")
