#include "Frontend/lift.h"

const struct lift_rule lift_rules_simd[] = {{0, NULL}};
