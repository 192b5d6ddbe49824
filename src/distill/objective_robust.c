/*
 * robust: max_y E[l | Y = y], and tradeoff: (1-a) balanced + a robust. Methods 2.1 and 2.4 (margin-based distributionally robust
 * optimisation): costs c = beta / pi with beta = lambda, or (1-a)/m + a lambda, where the multipliers lambda are learnt by
 * exponentiated gradient on the validation risk of each class.
 */
#include <math.h>

#include "objectives.h"

static void log_costs_of(int32_t n_classes, const double *marginal, const double *multiplier, double a,
                         double *log_cost)
{
    for (int32_t y = 0; y < n_classes; y++) {
        double beta = (1 - a) / n_classes + a * multiplier[y];
        log_cost[y] = log(fmax(beta, KDS_MASS_FLOOR)) - log(fmax(marginal[y], KDS_MASS_FLOOR));
    }
}

static void robust_log_costs(int32_t n_classes, const double *marginal, const double *multiplier, double tradeoff,
                             double *log_cost)
{
    (void)tradeoff;
    log_costs_of(n_classes, marginal, multiplier, 1.0, log_cost);
}

static double robust_factor(double tradeoff)
{
    (void)tradeoff;
    return 1.0;
}

/* exponent g * a * R_j */
static double tradeoff_factor(double tradeoff)
{
    return tradeoff;
}

const kds_objective_rule kds_objective_robust = {
    .name = "robust",
    .has_costs = true,
    .has_multipliers = true,
    .log_costs = robust_log_costs,
    .exponent_factor = robust_factor,
};

const kds_objective_rule kds_objective_tradeoff = {
    .name = "tradeoff",
    .has_costs = true,
    .has_multipliers = true,
    .log_costs = log_costs_of,
    .exponent_factor = tradeoff_factor,
};
