#include <math.h>

#include "decisions.h"
#include "parts.h"

/* Equal errors, of classes without examples too (0), move no multiplier against another. */
static bool all_equal(int32_t n, const double *error)
{
    for (int32_t y = 1; y < n; y++) {
        if (error[y] != error[0]) {
            return false;
        }
    }
    return true;
}

bool kds_decision_post_shift(const kds_decision_inputs *inputs, double *log_weight, double *work, float *weight)
{
    const int32_t m = inputs->n_classes;
    double *log_lambda = work, *log_g = work + m;
    kds_decision_search search = kds_decision_search_begin(inputs, log_weight, work + 2 * m, weight);
    for (int32_t y = 0; y < m; y++) {
        log_lambda[y] = -log(m);
    }
    for (int32_t update = 0; update <= inputs->measure->decision_updates; update++) {
        kds_decision_weigh(inputs, log_lambda, log_g);
        if (!kds_decision_look(&search, log_g, false)) {
            return false;
        }
        if (all_equal(m, search.error)) {
            break;
        }
        for (int32_t y = 0; y < m; y++) {
            log_lambda[y] += inputs->measure->decision_step * search.error[y];
        }
        kds_normalise_logs(m, log_lambda);
    }
    return true;
}
