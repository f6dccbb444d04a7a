#include "Frontend/lift.h"

const struct lift_rule lift_rules_muldiv[] = {{0, NULL}};
