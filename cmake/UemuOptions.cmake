# Compiler options that hold for every target of the project.
#
# UEMU_WERROR     warnings are errors (on in development builds, off for packagers)
# UEMU_SANITIZE   "undefined" or "address;undefined". ASan's shadow memory lies in the
#                 guest's 4 GiB, so it serves only targets that run no guest.

option(UEMU_WERROR "Treat warnings as errors" ON)
set(UEMU_SANITIZE "" CACHE STRING "Sanitizers, as a list for -fsanitize=")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)

add_compile_definitions(_GNU_SOURCE _FILE_OFFSET_BITS=64)
add_compile_options(-Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wshadow
                    -Wno-missing-field-initializers -fno-strict-aliasing)
if(UEMU_WERROR)
  add_compile_options(-Werror)
endif()
if(UEMU_SANITIZE)
  list(JOIN UEMU_SANITIZE "," UEMU_SANITIZE_JOINED)
  add_compile_options(-fsanitize=${UEMU_SANITIZE_JOINED} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${UEMU_SANITIZE_JOINED})
endif()
