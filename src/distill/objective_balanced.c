/* balanced: (1/m) sum_y E[l | Y = y], methods 2.1 and 2.3: costs c = 1 / pi. */
#include <math.h>

#include "objectives.h"

static void log_costs(int32_t n_classes, const double *marginal, const double *multiplier, double tradeoff,
                      double *log_cost)
{
    (void)multiplier;
    (void)tradeoff;
    for (int32_t y = 0; y < n_classes; y++) {
        log_cost[y] = -log(fmax(marginal[y], KDS_MASS_FLOOR));
    }
}

const kds_objective_rule kds_objective_balanced = {.name = "balanced", .has_costs = true, .log_costs = log_costs};
