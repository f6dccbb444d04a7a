# Sockets, IPC, time: conversions on their own, and their structs against the system's i386 headers.
uemu_unit_test(linux_control_messages SOURCES control_message_test.c LIBRARIES uemu_linux)

include(UemuGuestPrograms)
if(UEMU_GUEST_CC)
  set(layout "${CMAKE_CURRENT_BINARY_DIR}/abi_layout")
  guest_program(OUTPUT "${layout}" SOURCE abi_layout.c FLAGS "-I${PROJECT_SOURCE_DIR}/lib")
  add_custom_target(linux_abi_layout ALL DEPENDS "${layout}")
  add_test(NAME linux_abi_layout COMMAND "${layout}")
endif()
