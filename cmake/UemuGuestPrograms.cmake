# i386 programs: what the demo and the tests run under the emulator.
#
# UEMU_GUEST_CC          a C compiler that makes static i386 Linux programs; empty without one
# UEMU_GUEST_CC_FLAGS    flags that make it do so
#
# guest_program(OUTPUT file SOURCE file [FLAGS flags…] [LIBRARIES flags…] [DYNAMIC])
#   adds the rule that makes OUTPUT (below the current build folder, or absolute). The flags of the
#   project itself do not apply: these are programs for another machine.

include_guard(GLOBAL)

if(NOT DEFINED UEMU_GUEST_CC)
  file(WRITE "${CMAKE_BINARY_DIR}/guest-compiler-check.c" "#include <stdio.h>\nint main(void) { return puts(\"\"); }\n")
  set(found "")
  foreach(candidate "${CMAKE_C_COMPILER};-m32" "gcc;-m32" "i686-linux-gnu-gcc")
    execute_process(
      COMMAND ${candidate} -static -o "${CMAKE_BINARY_DIR}/guest-compiler-check"
              "${CMAKE_BINARY_DIR}/guest-compiler-check.c"
      RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    if(NOT failed)
      list(POP_FRONT candidate found)
      set(found_flags "${candidate}")
      break()
    endif()
  endforeach()
  if(found)
    message(STATUS "Compiler for i386 programs: ${found} ${found_flags}")
  else()
    message(WARNING "No compiler here makes i386 programs (Debian: gcc-multilib): "
                    "the demo and the tests that run i386 programs are left out.")
  endif()
  set(UEMU_GUEST_CC "${found}" CACHE STRING "C compiler for i386 programs; empty: none")
  set(UEMU_GUEST_CC_FLAGS "${found_flags}" CACHE STRING "Flags that make it compile for i386")
  mark_as_advanced(UEMU_GUEST_CC UEMU_GUEST_CC_FLAGS)
endif()

function(guest_program)
  cmake_parse_arguments(P "DYNAMIC" "OUTPUT;SOURCE" "FLAGS;LIBRARIES" ${ARGN})
  cmake_path(ABSOLUTE_PATH P_OUTPUT BASE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
  cmake_path(ABSOLUTE_PATH P_SOURCE BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
  cmake_path(GET P_OUTPUT PARENT_PATH folder)
  file(MAKE_DIRECTORY "${folder}")
  set(link -static)
  if(P_DYNAMIC)
    set(link "")
  endif()
  cmake_path(GET P_OUTPUT FILENAME name)
  add_custom_command(
    OUTPUT "${P_OUTPUT}"
    COMMAND ${UEMU_GUEST_CC} ${UEMU_GUEST_CC_FLAGS} -D_GNU_SOURCE -w ${P_FLAGS} ${link} -MD -MF "${P_OUTPUT}.d"
            -o "${P_OUTPUT}" "${P_SOURCE}" ${P_LIBRARIES}
    DEPENDS "${P_SOURCE}"
    DEPFILE "${P_OUTPUT}.d"
    COMMENT "i386: ${name}"
    VERBATIM)
endfunction()
