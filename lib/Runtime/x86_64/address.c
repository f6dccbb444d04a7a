/* The guest's addresses in host instructions (SDM vol. 2, 2.1.5). */
#include "Runtime/x86_64/emit.h"

const uint8_t host_register[GPR_COUNT] = {[GPR_EAX] = 0, [GPR_ECX] = 1, [GPR_EDX] = 2, [GPR_EBX] = 7,
                                          [GPR_ESP] = 6, [GPR_EBP] = 8, [GPR_ESI] = 9, [GPR_EDI] = 12};
enum { MODRM_REG = 0x38 };

unsigned write_address(uint8_t *modrm, unsigned reg, unsigned base, unsigned index, unsigned scale,
                       uint32_t disp) {
  enum { NO_DISP = 0, DISP8 = 0x40, DISP32 = 0x80 };
  unsigned mod = DISP32, size = 1;
  if (disp == 0 && (base & 7) != RM_NO_BASE)
    mod = NO_DISP;
  else if ((int32_t)disp == (int8_t)disp)
    mod = DISP8;
  bool sib = index != SIB_NO_INDEX || (base & 7) == RM_SIB;
  modrm[0] = (uint8_t)(mod | reg | (sib ? RM_SIB : base & 7));
  if (sib)
    modrm[size++] = (uint8_t)(scale << 6 | (index & 7) << 3 | (base & 7));
  memcpy(modrm + size, &disp, 4);
  return size + (mod == DISP32 ? 4 : mod == DISP8 ? 1 : 0);
}

/* The prefix byte with the high bits of base and index: REX is 0100WRXB; the second byte of VEX has R, X and
 * B inverted above the map's number (SDM vol. 2, 2.3.5), and R is never that of a guest's register. */
static uint8_t with_high_bits(uint8_t prefix, unsigned base, unsigned index) {
  enum { VEX_NOT_B = 0x20, VEX_NOT_X = 0x40 };
  if ((prefix & 0xF0) == REX)
    return (uint8_t)((prefix & ~(REX_B | REX_X)) | (base & 8 ? REX_B : 0) | (index & 8 ? REX_X : 0));
  return (uint8_t)((prefix & ~(VEX_NOT_B | VEX_NOT_X)) | (base & 8 ? 0 : VEX_NOT_B) |
                   (index & 8 ? 0 : VEX_NOT_X));
}

unsigned stencil_shifted(const struct stencil *stencil, struct shift shift, unsigned offset) {
  return offset + (unsigned)(offset > stencil->memory.modrm ? shift.operand
                             : offset > stencil->memory.rex ? shift.rex
                                                            : 0);
}

/* The temporary always has a REX prefix. */
struct shift stencil_copy_with_address(uint8_t *code, const struct stencil *stencil,
                                       const struct operand *address, uint32_t disp) {
  const uint8_t *from = stencil_code_bytes(stencil);
  unsigned modrm = stencil->memory.modrm, rex = stencil->memory.rex;
  unsigned base = host_base(address), index = host_index(address);
  memcpy(code, from, modrm);
  code[rex] = with_high_bits(from[rex], base, index);
  const unsigned gone = code[rex] == REX && stencil->flags & STENCIL_REX_MAY_GO ? 1 : 0;
  memcpy(code + rex + 1 - gone, from + rex + 1, modrm - rex - 1);
  uint8_t *const at = code + modrm - gone;
  unsigned size =
      write_address(at, from[modrm] & MODRM_REG, base, index, address->scale, address->has_disp ? disp : 0);
  memcpy(at + size, from + modrm + 1, stencil->size - modrm - 1);
  return (struct shift){(int8_t)-gone, (int8_t)(size - 1 - gone)};
}
