/*
 * DROPS (Wei et al. 2023), after google-research/drops: drops_test_time.py. Other than there
 *
 * - the iterate that is best on validation decides, the plain decision among them, not the last: where the divergence cannot be reached the
 *   temperature falls to its floor and g goes round a cycle of single classes, each of which takes every example;
 * - the temperature has that floor; theirs may become negative, and then the best class has the most weight;
 * - the number of updates is a key (theirs: 25), and the divergence has no 1e-12 in its logarithms.
 */
#include <math.h>

#include "decisions.h"
#include "parts.h"

/* At this temperature a class whose risk is larger by 0.03 has all the weight but 1e-13. */
static const double smallest_temperature = 1e-3;
static const double close_enough = 1e-5; /* of the divergence to the one that is wanted */

/* KL(g || uniform) */
static double divergence_of(int32_t m, const double *log_g)
{
    double divergence = log(m);
    for (int32_t y = 0; y < m; y++) {
        divergence += exp(log_g[y]) * log_g[y];
    }
    return divergence;
}

bool kds_decision_drops(const kds_decision_inputs *inputs, double *log_weight, double *work, float *weight)
{
    const kds_measure_spec *keys = inputs->measure;
    const int32_t m = inputs->n_classes;
    const bool is_entropy = keys->decision_risk == KDS_RISK_CROSS_ENTROPY;
    double *log_g = work, *log_w = work + m, temperature = 1, excess = INFINITY;
    kds_decision_search search = kds_decision_search_begin(inputs, log_weight, work + 2 * m, weight);
    const double *risk = is_entropy ? search.loss : search.error;
    for (int32_t y = 0; y < m; y++) {
        log_g[y] = -log(m);
        log_w[y] = 0;
    }
    if (!kds_decision_look(&search, log_w, false)) {
        return false;
    }
    for (int32_t update = 0;; update++) {
        kds_decision_weigh(inputs, log_g, log_w);
        const bool is_last = update == keys->decision_updates || fabs(excess) < close_enough ||
                             !(keys->decision_divergence > 0);
        if (!kds_decision_look(&search, log_w, is_entropy && !is_last)) {
            return false;
        }
        if (is_last || search.is_complete) {
            return true;
        }
        excess = divergence_of(m, log_g) - keys->decision_divergence;
        for (int32_t y = 0; y < m; y++) {
            log_g[y] = risk[y] / temperature;
        }
        kds_normalise_logs(m, log_g);
        temperature = fmax(temperature + keys->decision_step * excess, smallest_temperature);
    }
}
