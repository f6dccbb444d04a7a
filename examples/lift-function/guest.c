/* The i386 program that a function is taken from. It could as well be one whose source is lost. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Four bits at a time, with a table: the lifted function reads it where the program has it. */
static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                   0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                   0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};

__attribute__((noinline)) uint32_t crc32(const uint8_t *data, uint32_t length) {
  uint32_t crc = 0xFFFFFFFF;
  for (uint32_t i = 0; i < length; i++) {
    crc ^= data[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    printf("%08x  %s\n", crc32((const uint8_t *)argv[i], (uint32_t)strlen(argv[i])), argv[i]);
  return 0;
}
