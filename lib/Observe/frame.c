/* Unwinding translated code. A guest call is a host call, and nothing else is on the stack of its frames:
 * wherever the host is in the code, the return address is what rsp points at. So one rule describes all of it
 * (DWARF 4, section 6.4, in the form of .eh_frame, LSB 5.0 chapter 10). */
#include "Observe/span.h"

#include <string.h>

void frame_describe(uint8_t bytes[FRAME_SIZE], int64_t distance, uint64_t size) {
  enum {
    RETURN_ADDRESS = 16,
    RSP = 7,
    PC_RELATIVE_8_BYTES = 0x1C,
    DEF_CFA = 0x0C,
    OFFSET = 0x80,
    MINUS_8 = 0x78
  };
  /* clang-format off */
  static const uint8_t common[FRAME_CODE] = {
      20, 0, 0, 0,         /* length */
      0, 0, 0, 0,          /* this is a CIE */
      1, 'z', 'R', 0,      /* version, augmentation */
      1, MINUS_8, RETURN_ADDRESS,
      1, PC_RELATIVE_8_BYTES,
      DEF_CFA, RSP, 8,                /* before the call rsp was 8 more … */
      OFFSET | RETURN_ADDRESS, 1,     /* … and 8 below that is the return address */
      0, 0};
  static const uint8_t code[8] = {
      28, 0, 0, 0,
      FRAME_CODE + 4, 0, 0, 0}; /* back to the CIE */
  /* clang-format on */
  enum { START = FRAME_CODE + sizeof code };
  const int64_t start = distance - START;
  memset(bytes, 0, FRAME_SIZE);
  memcpy(bytes, common, sizeof common);
  memcpy(bytes + FRAME_CODE, code, sizeof code);
  memcpy(bytes + START, &start, 8);
  memcpy(bytes + START + 8, &size, 8);
}
