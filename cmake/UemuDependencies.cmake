# What the project builds on, each by its Debian package:
#   llvm-19-dev (LLVM-C, ORC)   libzydis-dev (x86 decoder)   zlib1g-dev   libcmocka-dev (tests)

find_program(LLVM_CONFIG NAMES llvm-config-19 REQUIRED
             DOC "llvm-config of LLVM 19 (Debian: llvm-19-dev)")
execute_process(COMMAND ${LLVM_CONFIG} --includedir OUTPUT_VARIABLE UEMU_LLVM_INCLUDE
                OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND ${LLVM_CONFIG} --libdir OUTPUT_VARIABLE UEMU_LLVM_LIBDIR
                OUTPUT_STRIP_TRAILING_WHITESPACE)
add_library(uemu_llvm_c INTERFACE)
target_include_directories(uemu_llvm_c SYSTEM INTERFACE ${UEMU_LLVM_INCLUDE})
target_link_libraries(uemu_llvm_c INTERFACE ${UEMU_LLVM_LIBDIR}/libLLVM.so)

find_library(ZYDIS_LIBRARY NAMES Zydis REQUIRED)
find_library(ZYCORE_LIBRARY NAMES Zycore REQUIRED)
add_library(uemu_zydis INTERFACE)
target_link_libraries(uemu_zydis INTERFACE ${ZYDIS_LIBRARY} ${ZYCORE_LIBRARY})

find_package(ZLIB REQUIRED)
find_package(Threads REQUIRED)
