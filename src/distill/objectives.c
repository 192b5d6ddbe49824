/* The registry of objectives: one line each, at the number that a recipe holds. */
#include "objectives.h"

static const kds_objective_rule *const rules[] = {
    [KDS_OBJECTIVE_STANDARD] = &kds_objective_standard,
    [KDS_OBJECTIVE_BALANCED] = &kds_objective_balanced,
    [KDS_OBJECTIVE_ROBUST] = &kds_objective_robust,
    [KDS_OBJECTIVE_TRADEOFF] = &kds_objective_tradeoff,
};

const kds_objective_rule *kds_objective_get(int32_t objective)
{
    KDS_ASSERT(objective >= 0 && (size_t)objective < sizeof rules / sizeof rules[0]);
    return rules[objective];
}
