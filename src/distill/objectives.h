/* Every objective's rule, one line each. */
#ifndef KDSWEEP_OBJECTIVES_H
#define KDSWEEP_OBJECTIVES_H

#include "kdsweep/distill.h"

extern const kds_objective_rule kds_objective_standard;
extern const kds_objective_rule kds_objective_balanced;
extern const kds_objective_rule kds_objective_robust;
extern const kds_objective_rule kds_objective_tradeoff;

#endif
