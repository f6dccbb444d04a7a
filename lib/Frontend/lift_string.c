#include "Frontend/lift.h"

const struct lift_rule lift_rules_string[] = {{0, NULL}};
