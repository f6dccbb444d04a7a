/* CRC-32 by a table, a byte at a time: movzx, xor, shift, one long chain. */
#include "../kernel.h"

enum { SIZE = 1 << 20, ROUNDS = 300 };
static uint8_t data[SIZE];
static uint32_t table[256];

int main(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++)
      c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
    table[i] = c;
  }
  for (uint32_t i = 0; i < SIZE; i++)
    data[i] = (uint8_t)random_next();
  uint32_t crc = ~0u;
  for (int round = 0; round < ROUNDS; round++)
    for (uint32_t i = 0; i < SIZE; i++)
      crc = table[(crc ^ data[i]) & 0xFF] ^ crc >> 8;
  return kernel_end(~crc);
}
