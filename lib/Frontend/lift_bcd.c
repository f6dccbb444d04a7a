#include "Frontend/lift.h"

const struct lift_rule lift_rules_bcd[] = {{0, NULL}};
