#include "Frontend/lift.h"

const struct lift_rule lift_rules_bits[] = {{0, NULL}};
