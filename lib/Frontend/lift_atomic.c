#include "Frontend/lift.h"

const struct lift_rule lift_rules_atomic[] = {{0, NULL}};
