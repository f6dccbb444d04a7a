# The scenarios of the guest programs, once through the kernel's own i386 entry and once through lib/Linux.
set(scenarios "")
foreach(name files directory stat poll)
  add_library(scenario_${name} OBJECT ../guests/linux/${name}.c)
  target_compile_definitions(scenario_${name} PRIVATE SCENARIO_IN_PROCESS scenario=scenario_${name})
  target_compile_options(scenario_${name} PRIVATE -w)
  list(APPEND scenarios $<TARGET_OBJECTS:scenario_${name}>)
endforeach()
uemu_unit_test(linux_file_calls SOURCES file_calls_test.c ${scenarios}
               LIBRARIES uemu_linux uemu_test_support)
set_tests_properties(linux_file_calls PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 120)

uemu_unit_test(linux_file_units SOURCES file_units_test.c LIBRARIES uemu_linux)
