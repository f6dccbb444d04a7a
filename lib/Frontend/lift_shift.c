#include "Frontend/lift.h"

const struct lift_rule lift_rules_shift[] = {{0, NULL}};
