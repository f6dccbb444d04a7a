#include "Frontend/lift.h"

const struct lift_rule lift_rules_x87[] = {{0, NULL}};
