/* The registry of decisions, made from their list, and what they share. */
#include "decisions.h"

#include <math.h>
#include <string.h>

#include "kdsweep/metrics.h"

static kds_decision_rule *const rules[KDS_N_DECISIONS] = {
#define X(name, word, meaning) [KDS_DECISION_##name] = kds_decision_##word,
    KDS_DECISIONS(X)
#undef X
};

kds_decision_rule *kds_decision_get(int32_t decision)
{
    KDS_ASSERT(decision >= 0 && decision < KDS_N_DECISIONS);
    return rules[decision];
}

/* Four arrays of a search, one of log masses, one of log weights. */
size_t kds_decision_work(int32_t n_classes)
{
    return 6 * (size_t)n_classes;
}

double kds_decision_log(double mass)
{
    return log(mass > KDS_MASS_FLOOR ? mass : KDS_MASS_FLOOR);
}

void kds_decision_weigh(const kds_decision_inputs *inputs, const double *log_mass, double *log_weight)
{
    for (int32_t y = 0; y < inputs->n_classes; y++) {
        log_weight[y] = fmax(log_mass[y], log(KDS_MASS_FLOOR)) - kds_decision_log(inputs->prior[y]);
    }
}

double kds_decision_factors(int32_t n_classes, const double *log_weight, float *weight)
{
    double highest = -INFINITY;
    for (int32_t y = 0; y < n_classes; y++) {
        highest = fmax(highest, log_weight[y]);
    }
    for (int32_t y = 0; y < n_classes; y++) {
        weight[y] = (float)exp(log_weight[y] - highest);
    }
    return highest;
}

/* ---- looks at validation -------------------------------------------------------------------------------------------- */

kds_decision_search kds_decision_search_begin(const kds_decision_inputs *inputs, double *best, double *work,
                                              float *weight)
{
    const int32_t m = inputs->n_classes;
    return (kds_decision_search){.inputs = inputs,
                                 .best = best,
                                 .best_worst = -1,
                                 .best_mean = -1,
                                 .error = work,
                                 .loss = work + m,
                                 .n = work + 2 * m,
                                 .product = work + 3 * m,
                                 .weight = weight};
}

/* sum_j w_j q_j, in partial sums that a compiler can do side by side without changing a bit. */
static float weighted_sum(int32_t n, const float *q, const float *weight)
{
    enum { N_LANES = 8 };
    float lane[N_LANES] = {0}, total = 0;
    int32_t j = 0;
    for (; j + N_LANES <= n; j += N_LANES) {
        for (int l = 0; l < N_LANES; l++) {
            lane[l] += weight[j + l] * q[j + l];
        }
    }
    for (; j < n; j++) {
        total += weight[j] * q[j];
    }
    for (int l = 0; l < N_LANES; l++) {
        total += lane[l];
    }
    return total;
}

static bool interrupted(const kds_decision_inputs *inputs)
{
    return inputs->interrupt && inputs->interrupt(inputs->context);
}

/* Errors, and sums of log sum_j w_j q_j, over these examples of each class. A product of such sums has one logarithm for many: none is above
 * 1 but by rounding, nor far below the smallest weight. */
static void add_examples(kds_decision_search *search, int64_t first, int64_t end, bool wants_loss)
{
    static const double smallest_product = 1e-200;
    const int32_t m = search->inputs->n_classes;
    for (int64_t i = first; i < end; i++) {
        const float *q = search->inputs->validation_probability + i * m;
        const int32_t label = search->inputs->validation_label[i];
        search->n[label] += 1;
        search->error[label] += !kds_decides(m, q, search->weight, label);
        if (wants_loss) {
            double *product = &search->product[label];
            *product *= (double)weighted_sum(m, q, search->weight);
            if (*product < smallest_product) {
                search->loss[label] += log(*product);
                *product = 1;
            }
        }
    }
}

/* Over all examples. False when interrupted. */
static bool add_all(kds_decision_search *search, bool wants_loss)
{
    const kds_decision_inputs *inputs = search->inputs;
    const int64_t n = inputs->n_validation, n_at_once = 1 + (1 << 22) / inputs->n_classes;
    for (int32_t y = 0; y < inputs->n_classes; y++) {
        search->error[y] = search->loss[y] = search->n[y] = 0;
        search->product[y] = 1;
    }
    for (int64_t i = 0; i < n; i += n_at_once) {
        if (interrupted(inputs)) {
            return false;
        }
        add_examples(search, i, i + n_at_once < n ? i + n_at_once : n, wants_loss);
    }
    return true;
}

bool kds_decision_look(kds_decision_search *search, const double *log_weight, bool wants_loss)
{
    static const double largest_loss = 1e30; /* where a mean of -log q_y is no float */
    const kds_decision_inputs *inputs = search->inputs;
    const int32_t m = inputs->n_classes;
    double worst = 1, sum = 0, n_present = 0;
    const double highest = kds_decision_factors(m, log_weight, search->weight);
    if (!add_all(search, wants_loss)) {
        return false;
    }
    for (int32_t y = 0; y < m; y++) {
        const double n = search->n[y];
        if (n == 0) {
            continue;
        }
        search->error[y] /= n;
        search->loss[y] = fmin((search->loss[y] + log(search->product[y])) / n - (log_weight[y] - highest) +
                                   (double)inputs->validation_log_loss[y],
                               largest_loss);
        worst = fmin(worst, 1 - search->error[y]);
        sum += 1 - search->error[y];
        n_present++;
    }
    const double mean = n_present > 0 ? sum / n_present : 0;
    if (worst > search->best_worst || (worst == search->best_worst && mean > search->best_mean)) {
        search->best_worst = worst;
        search->best_mean = mean;
        memcpy(search->best, log_weight, (size_t)m * sizeof *log_weight);
    }
    search->is_complete = search->best_worst == 1;
    return true;
}
