#include "Frontend/lift.h"

const struct lift_rule lift_rules_system[] = {{0, NULL}};
