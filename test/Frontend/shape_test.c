/* Shapes: what is part of one, which pairs fuse, which sets of flags are kept, and instructions taken apart
 * into address and operation. */
#include "Frontend/shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { EIP = 0x08048000 };

static struct insn decode(const uint8_t *bytes, size_t size) {
  struct insn insn;
  assert_int_equal(insn_decode(&insn, bytes, size, EIP), INSN_OK);
  assert_int_equal(insn.length, size);
  return insn;
}
#define INSN(...) decode((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static bool same_shape(struct insn a, struct insn b) {
  struct shape x, y;
  memset(&x, 0x11, sizeof x);
  memset(&y, 0x22, sizeof y);
  shape_of(&x, &a, 1, FLAGS_ALL);
  shape_of(&y, &b, 1, FLAGS_ALL);
  bool same = memcmp(&x, &y, sizeof x) == 0;
  if (same)
    assert_true(shape_hash(&x) == shape_hash(&y));
  else
    assert_false(shape_hash(&x) == shape_hash(&y)); /* 64 bits: a collision here would be a weak hash */
  return same;
}

/* --- What is part of a shape -----------------------------------------------------------------------------
 */

static void constants_are_open(void **state) {
  (void)state;
  assert_true(same_shape(INSN(0xB8, 1, 2, 3, 4), INSN(0xB8, 5, 6, 7, 8))); /* mov eax,imm32 */
  assert_true(
      same_shape(INSN(0x8B, 0x81, 1, 2, 3, 4), INSN(0x8B, 0x81, 0, 0, 0, 8))); /* mov eax,[ecx+disp32] */
  assert_true(same_shape(INSN(0x8B, 0x01), INSN(0x8B, 0x41, 0)));              /* [ecx], [ecx+0] */
  assert_true(same_shape(INSN(0x8B, 0x41, 4), INSN(0x8B, 0x81, 1, 2, 3, 4)));  /* [ecx+disp8] too */
  assert_true(same_shape(INSN(0x74, 4), INSN(0x0F, 0x84, 0, 0, 0, 1)));        /* je near and far */
  assert_true(same_shape(INSN(0xE8, 4, 0, 0, 0), INSN(0xE8, 0, 0, 1, 0)));     /* call */
  assert_true(same_shape(INSN(0x8B, 0xC1), INSN(0x89, 0xC8)));                 /* mov eax,ecx both ways */
}

static void the_rest_is_not(void **state) {
  (void)state;
  assert_false(same_shape(INSN(0x01, 0xC8), INSN(0x01, 0xD0)));             /* add eax,ecx; add eax,edx */
  assert_false(same_shape(INSN(0x01, 0xC8), INSN(0x29, 0xC8)));             /* sub */
  assert_false(same_shape(INSN(0x01, 0xC8), INSN(0x66, 0x01, 0xC8)));       /* add ax,cx */
  assert_false(same_shape(INSN(0x00, 0xC8), INSN(0x00, 0xE8)));             /* add al,cl; add al,ch */
  assert_false(same_shape(INSN(0x8B, 0x01), INSN(0x8B, 0x41, 4)));          /* [ecx]; [ecx+4] */
  assert_false(same_shape(INSN(0x8B, 0x04, 0x48), INSN(0x8B, 0x04, 0x88))); /* scale */
  assert_false(same_shape(INSN(0x8B, 0x01), INSN(0x64, 0x8B, 0x01)));       /* fs: */
  assert_false(same_shape(INSN(0x64, 0x8B, 0x01), INSN(0x65, 0x8B, 0x01))); /* gs: */
  assert_false(same_shape(INSN(0x8B, 0x47, 4), INSN(0x67, 0x8B, 0x5F, 4))); /* 16-bit address */
  assert_false(same_shape(INSN(0x01, 0x01), INSN(0xF0, 0x01, 0x01)));       /* lock */
  assert_false(same_shape(INSN(0xA4), INSN(0xF3, 0xA4)));                   /* movsb; rep movsb */
  assert_false(same_shape(INSN(0xF3, 0xA6), INSN(0xF2, 0xA6)));             /* repe, repne cmpsb */
  assert_false(same_shape(INSN(0x74, 4), INSN(0x75, 4)));                   /* je, jne */
  assert_false(
      same_shape(INSN(0x0F, 0xC6, 0xC1, 1), INSN(0x0F, 0xC6, 0xC1, 2))); /* shufps: the constant selects */
}

static void kept_flags_are_part(void **state) {
  (void)state;
  struct insn add = INSN(0x01, 0xC8), mov = INSN(0x89, 0xC8);
  struct shape none, all;
  shape_of(&none, &add, 1, FLAGS_NONE);
  shape_of(&all, &add, 1, FLAGS_ALL);
  assert_memory_not_equal(&none, &all, sizeof all);
  assert_int_equal(all.flags_live, FLAGS_ALL);
  /* An instruction that changes none has one shape, whatever lives on past it. */
  shape_of(&none, &mov, 1, FLAGS_NONE);
  shape_of(&all, &mov, 1, FLAGS_ALL);
  assert_memory_equal(&none, &all, sizeof all);
}

/* --- Sets of flags
 * -------------------------------------------------------------------------------------------- */

static void rounded_flags(void **state) {
  (void)state;
  bool seen[FLAGS_ALL + 1] = {false};
  unsigned sets = 0;
  for (unsigned changed = 0; changed <= FLAGS_ALL; changed++)
    for (unsigned live = 0; live <= FLAGS_ALL; live++) {
      uint8_t kept = shape_round_flags((uint8_t)live, (uint8_t)changed);
      assert_int_equal(live & changed & ~kept, 0); /* nothing that is needed is lost */
      assert_int_equal(kept & ~changed, 0);        /* nothing is kept that is not made */
      assert_int_equal(shape_round_flags(kept, (uint8_t)changed), kept);
      if (!(live & changed))
        assert_int_equal(kept, 0);
      if (changed == FLAGS_ALL && !seen[kept])
        seen[kept] = true, sets++;
    }
  assert_true(sets <= 8); /* what rounding is for */
}

/* --- Pairs
 * ------------------------------------------------------------------------------------------------------ */

#define FUSES(first, second) assert_true(shape_can_fuse(&first, &second))
#define FUSES_NOT(first, second) assert_false(shape_can_fuse(&first, &second))

static void pairs_fuse(void **state) {
  (void)state;
  struct insn cmp = INSN(0x39, 0xC8), cmp_memory = INSN(0x39, 0x01), test = INSN(0x85, 0xC0),
              add = INSN(0x01, 0xC8), je = INSN(0x74, 0), setb = INSN(0x0F, 0x92, 0xC0),
              cmove = INSN(0x0F, 0x44, 0xC1), adc = INSN(0x11, 0xD3);
  FUSES(cmp, je);
  FUSES(cmp_memory, je);
  FUSES(test, je);
  FUSES(add, je);
  FUSES(cmp, setb);
  FUSES(cmp, cmove);
  FUSES(add, adc);
}

static void pairs_do_not_fuse(void **state) {
  (void)state;
  struct insn cmp = INSN(0x39, 0xC8), cmp_memory = INSN(0x39, 0x01), je = INSN(0x74, 0), jb = INSN(0x72, 0),
              mov = INSN(0x89, 0xC8), inc = INSN(0x40), locked = INSN(0xF0, 0x01, 0x01),
              shl_cl = INSN(0xD3, 0xE0), mul = INSN(0xF7, 0xE1);
  FUSES_NOT(mov, je);
  FUSES_NOT(cmp, mov);
  FUSES_NOT(je, cmp);
  FUSES_NOT(inc, jb); /* the carry is older */
  FUSES_NOT(locked, je);
  FUSES_NOT(shl_cl, je); /* perhaps the flags are older */
  FUSES_NOT(mul, je);
  /* The second may not access memory: which of the two faulted could not be told. */
  struct insn sete_memory = INSN(0x0F, 0x94, 0x01), cmove_memory = INSN(0x0F, 0x44, 0x01),
              adc_memory = INSN(0x11, 0x01);
  FUSES_NOT(cmp, sete_memory);
  FUSES_NOT(cmp, cmove_memory);
  FUSES_NOT(cmp, adc_memory);
  /* adc wants no second immediate, and no memory before it. */
  struct insn adc_immediate = INSN(0x83, 0xD0, 1), adc = INSN(0x11, 0xD3);
  FUSES_NOT(cmp, adc_immediate);
  FUSES_NOT(cmp_memory, adc);
  /* Conditions on flags that a comparison of floats clears are constants. */
  struct insn comiss = INSN(0x0F, 0x2F, 0xC1), ja = INSN(0x77, 0), js = INSN(0x78, 0), jl = INSN(0x7C, 0);
  FUSES(comiss, ja);
  FUSES_NOT(comiss, js);
  FUSES_NOT(comiss, jl);
}

static void fused_shape(void **state) {
  (void)state;
  struct insn pair[2] = {INSN(0x39, 0xC8), INSN(0x74, 0)}, other[2] = {INSN(0x39, 0xC8), INSN(0x75, 0)};
  struct shape a, b;
  shape_of(&a, pair, 2, 0);
  shape_of(&b, other, 2, 0);
  assert_memory_not_equal(&a, &b, sizeof a);
  shape_of(&b, pair, 1, 0);
  assert_memory_not_equal(&a, &b, sizeof a);
}

/* --- Address and operation
 * --------------------------------------------------------------------------------------- */

/* Values of an address part: what lea of it would give for these registers. */
static uint32_t lea_value(const struct insn *lea, const uint32_t gpr[GPR_COUNT]) {
  const struct operand *op = &lea->form.op[1];
  uint32_t value = op->has_disp ? lea->disp : 0;
  if (op->reg != REGISTER_NONE)
    value += gpr[op->reg];
  if (op->index != REGISTER_NONE)
    value += gpr[op->index] << op->scale;
  return value;
}

static void split(void **state) {
  (void)state;
  /* add [ecx+esi*4+0x10203040], eax */
  struct insn whole = INSN(0x01, 0x84, 0xB1, 0x40, 0x30, 0x20, 0x10), parts[2];
  assert_true(shape_split_address(&whole, parts));
  const uint32_t gpr[GPR_COUNT] = {1, 0x1000, 3, 4, 5, 6, 0x20, 8};
  assert_int_equal(lea_value(&parts[0], gpr), 0x1000 + 0x80 + 0x10203040);
  assert_int_equal(parts[0].form.op[0].reg, REGISTER_TEMPORARY);
  assert_int_equal(parts[0].flags_changed, 0);
  assert_int_equal(parts[0].can_fault, 0);
  assert_int_equal(parts[0].eip, whole.eip);
  assert_int_equal(insn_next(&parts[0]), insn_next(&whole));
  /* The operation is the same on what the temporary points to. */
  struct operand *op = &parts[1].form.op[0];
  assert_int_equal(op->kind, OPERAND_MEMORY);
  assert_int_equal(op->reg, REGISTER_TEMPORARY);
  assert_int_equal(op->index, REGISTER_NONE);
  assert_false(op->has_disp);
  assert_int_equal(op->size, 4);
  assert_true(op->read && op->written);
  assert_int_equal(parts[1].form.mnemonic, whole.form.mnemonic);
  assert_int_equal(parts[1].flags_changed, whole.flags_changed);
  assert_memory_equal(&parts[1].form.op[1], &whole.form.op[1], sizeof(struct operand));
  /* Once is enough. */
  struct insn again[2];
  assert_false(shape_split_address(&parts[1], again));
}

static void split_saves_shapes(void **state) {
  (void)state;
  struct insn one[2], two[2], three[2];
  struct insn a = INSN(0x01, 0x01), b = INSN(0x01, 0x84, 0xB1, 0, 0, 0, 1),
              c = INSN(0x64, 0x01, 0x46, 4); /* add [..],eax */
  assert_true(shape_split_address(&a, one) && shape_split_address(&b, two) && shape_split_address(&c, three));
  assert_true(same_shape(one[1], two[1]) && same_shape(one[1], three[1]));
  assert_false(same_shape(one[0], two[0]));
  assert_false(same_shape(three[0], INSN(0x8D, 0x46, 4))); /* the segment's base is part of the address */
  /* The address of different operations is one shape. */
  struct insn d = INSN(0x29, 0x01), four[2];
  assert_true(shape_split_address(&d, four));
  assert_true(same_shape(one[0], four[0]));
  /* Vector operands and their like too. */
  struct insn e = INSN(0x0F, 0x58, 0x01), five[2]; /* addps xmm0,[ecx] */
  assert_true(shape_split_address(&e, five));
  assert_true(same_shape(one[0], five[0]));
}

static void not_split(void **state) {
  (void)state;
  struct insn parts[2];
  const struct insn whole[] = {INSN(0x01, 0xC8), /* no memory */
                               INSN(0x8D, 0x01), /* lea */
                               INSN(0x8F, 0x01), /* pop [ecx] */
                               INSN(0xF3, 0xA4), /* rep movsb */
                               INSN(0x50),       INSN(0xC3)};
  for (unsigned i = 0; i < sizeof whole / sizeof whole[0]; i++)
    assert_false(shape_split_address(&whole[i], parts));
}

/* Shapes of one instruction on all plain addresses become one; others stay. */
static void generalised(void **state) {
  (void)state;
  struct insn a = INSN(0x03, 0x43, 0x04), b = INSN(0x03, 0x04, 0x8D, 0, 0, 1, 0), fs = INSN(0x64, 0x03, 0x03);
  struct shape one, two, before;
  shape_of(&one, &a, 1, 0);
  shape_of(&two, &b, 1, 0);
  assert_true(memcmp(&one, &two, sizeof one) != 0);
  assert_int_equal(shape_generalise(&one), 1);
  assert_int_equal(shape_generalise(&two), 1);
  assert_memory_equal(&one, &two, sizeof one);
  assert_int_equal(shape_generalise(&one), -1);
  shape_of(&two, &fs, 1, 0);
  before = two;
  assert_int_equal(shape_generalise(&two), -1);
  assert_memory_equal(&two, &before, sizeof two);
}

static void hash_spreads(void **state) {
  (void)state;
  /* All mov r32,r32 and add r32,[r32+disp]: as good as random in a table of 256. */
  unsigned bucket[256] = {0}, worst = 0, count = 0;
  for (unsigned modrm = 0; modrm < 256; modrm++) {
    uint8_t bytes[7] = {0x03, (uint8_t)modrm, 0, 0, 0, 0, 0};
    struct insn insn;
    struct shape shape;
    if (insn_decode(&insn, bytes, sizeof bytes, EIP) != INSN_OK)
      continue;
    shape_of(&shape, &insn, 1, 0);
    unsigned n = ++bucket[shape_hash(&shape) & 255];
    worst = n > worst ? n : worst;
    count++;
  }
  assert_true(count > 200);
  assert_true(worst <= 16); /* disp8 and disp32 forms are one shape each: two of everything */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(constants_are_open),  cmocka_unit_test(the_rest_is_not),
      cmocka_unit_test(kept_flags_are_part), cmocka_unit_test(rounded_flags),
      cmocka_unit_test(pairs_fuse),          cmocka_unit_test(pairs_do_not_fuse),
      cmocka_unit_test(fused_shape),         cmocka_unit_test(split),
      cmocka_unit_test(split_saves_shapes),  cmocka_unit_test(not_split),
      cmocka_unit_test(generalised),         cmocka_unit_test(hash_spreads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
