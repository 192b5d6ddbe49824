/* The loss of one trial: targets, offsets, gradient, multiplier updates. */
#include <math.h>
#include <string.h>

#include "kdsweep/distill.h"
#include "kdsweep/metrics.h"

void kds_loss_take(kds_loss *loss, int32_t n_classes, int32_t max_rows, kds_arena *arena)
{
    size_t m = (size_t)n_classes, batch = (size_t)max_rows * m;
    *loss = (kds_loss){.n_classes = n_classes};
    double **const doubles[] = {&loss->prior,    &loss->teacher_marginal, &loss->log_multiplier, &loss->multiplier,
                                &loss->log_cost, &loss->risk_sum,         &loss->risk_mass};
    for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++) {
        *doubles[i] = KDS_ARENA_TAKE(arena, m, double);
    }
    loss->one_hot_offset = KDS_ARENA_TAKE(arena, m, float);
    loss->teacher_offset = KDS_ARENA_TAKE(arena, m, float);
    loss->scratch = KDS_ARENA_TAKE(arena, m, float);
    loss->one_hot_target = KDS_ARENA_TAKE(arena, batch, float);
    loss->teacher_target = KDS_ARENA_TAKE(arena, batch, float);
}

/* pi^t_y = (1/n) sum_i p^t_y(x_i): the teacher's own marginal, which its temperature shifts away from the class prior. */
static void measure_teacher_marginal(kds_loss *loss, const float *teacher_logits, int64_t n_train)
{
    int32_t m = loss->n_classes;
    memset(loss->teacher_marginal, 0, (size_t)m * sizeof(double));
    for (int64_t i = 0; i < n_train; i++) {
        loss->kernels->softmax(1, m, teacher_logits + i * m, 1.0f / loss->teacher_temperature, loss->scratch);
        for (int32_t y = 0; y < m; y++) {
            loss->teacher_marginal[y] += (double)loss->scratch[y];
        }
    }
    for (int32_t y = 0; y < m; y++) {
        loss->teacher_marginal[y] /= (double)n_train;
    }
}

void kds_loss_init(kds_loss *loss, const kds_kernels *kernels, const kds_recipe *recipe,
                   const kds_distill_spec *distill, const double *prior, const float *teacher_logits, int64_t n_train)
{
    loss->kernels = kernels;
    loss->rule = kds_objective_get(recipe->objective);
    loss->tradeoff = recipe->tradeoff;
    loss->step = recipe->robust_step;
    loss->risk = recipe->robust_risk;
    loss->with_teacher = distill && distill->mixing > 0;
    loss->with_one_hot = !distill || distill->mixing < 1;
    loss->teacher_validates = distill && distill->validation_labels == KDS_LABELS_TEACHER;
    loss->teacher_temperature = loss->validation_temperature = loss->student_temperature = 1.0f;
    loss->teacher_weight = 0.0f;
    loss->one_hot_weight = 1.0f;
    memcpy(loss->prior, prior, (size_t)loss->n_classes * sizeof(double));
    if (distill) {
        double t = distill->temperature;
        bool both = distill->tempered == KDS_TEMPERED_BOTH;
        loss->teacher_temperature = (float)t;
        loss->validation_temperature = (float)(distill->validation_temperature > 0 ? distill->validation_temperature
                                                                                   : t);
        loss->student_temperature = both ? (float)t : 1.0f;
        loss->teacher_weight = (float)(distill->mixing * (both && distill->t_squared ? t * t : 1.0));
        loss->one_hot_weight = (float)(1.0 - distill->mixing);
    }
    if (loss->with_teacher) {
        measure_teacher_marginal(loss, teacher_logits, n_train);
    }
    for (int32_t y = 0; y < loss->n_classes; y++) {
        loss->log_multiplier[y] = -log((double)loss->n_classes);
    }
    kds_loss_refresh(loss);
}

static void refresh_offset(kds_loss *loss, const double *marginal, float *offset)
{
    loss->rule->log_costs(loss->n_classes, marginal, loss->multiplier, loss->tradeoff, loss->log_cost);
    for (int32_t y = 0; y < loss->n_classes; y++) {
        offset[y] = (float)-loss->log_cost[y];
    }
}

void kds_loss_refresh(kds_loss *loss)
{
    for (int32_t y = 0; y < loss->n_classes; y++) {
        loss->multiplier[y] = exp(loss->log_multiplier[y]);
    }
    if (loss->rule->has_costs) {
        refresh_offset(loss, loss->prior, loss->one_hot_offset);
        if (loss->with_teacher) {
            refresh_offset(loss, loss->teacher_marginal, loss->teacher_offset);
        }
    }
}

double kds_loss_gradient(kds_loss *loss, int32_t n_rows, const float *logits, const int32_t *label,
                         const float *teacher_logits, float *d_logits)
{
    kds_softmax_term terms[2];
    int32_t n_terms = 0;
    size_t m = (size_t)loss->n_classes;
    bool shifted = loss->rule->has_costs;
    if (loss->with_teacher) {
        loss->kernels->softmax(n_rows, loss->n_classes, teacher_logits, 1.0f / loss->teacher_temperature,
                               loss->teacher_target);
        terms[n_terms++] = (kds_softmax_term){.target = loss->teacher_target,
                                              .offset = shifted ? loss->teacher_offset : NULL,
                                              .inverse_temperature = 1.0f / loss->student_temperature,
                                              .weight = loss->teacher_weight};
    }
    if (loss->with_one_hot) {
        memset(loss->one_hot_target, 0, (size_t)n_rows * m * sizeof(float));
        for (int32_t i = 0; i < n_rows; i++) {
            loss->one_hot_target[(size_t)i * m + (size_t)label[i]] = 1.0f;
        }
        terms[n_terms++] = (kds_softmax_term){.target = loss->one_hot_target,
                                              .offset = shifted ? loss->one_hot_offset : NULL,
                                              .inverse_temperature = 1.0f,
                                              .weight = loss->one_hot_weight};
    }
    return loss->kernels->softmax_gradient(n_rows, loss->n_classes, logits, n_terms, terms, d_logits, loss->scratch);
}

void kds_loss_update_begin(kds_loss *loss)
{
    memset(loss->risk_sum, 0, (size_t)loss->n_classes * sizeof(double));
    memset(loss->risk_mass, 0, (size_t)loss->n_classes * sizeof(double));
}

/* l(j, f): 1 unless j is the decision, or the cross-entropy. */
static double risk_of(const kds_loss *loss, const float *f, int32_t j, int32_t decision)
{
    return loss->risk == KDS_RISK_ZERO_ONE ? (double)(j != decision) : kds_cross_entropy_row(loss->n_classes, f, j);
}

void kds_loss_update_add(kds_loss *loss, int32_t n_rows, const float *logits, const int32_t *label,
                         const float *teacher_logits)
{
    int32_t m = loss->n_classes;
    for (int32_t i = 0; i < n_rows; i++) {
        const float *f = logits + (size_t)i * (size_t)m;
        int32_t decision = kds_predict(m, f);
        if (!loss->teacher_validates) {
            loss->risk_mass[label[i]] += 1;
            loss->risk_sum[label[i]] += risk_of(loss, f, label[i], decision);
            continue;
        }
        loss->kernels->softmax(1, m, teacher_logits + (size_t)i * (size_t)m, 1.0f / loss->validation_temperature,
                               loss->scratch);
        for (int32_t j = 0; j < m; j++) {
            double p = (double)loss->scratch[j];
            loss->risk_mass[j] += p;
            loss->risk_sum[j] += p * risk_of(loss, f, j, decision);
        }
    }
}

void kds_loss_update_end(kds_loss *loss)
{
    int32_t m = loss->n_classes;
    double factor = loss->step * loss->rule->exponent_factor(loss->tradeoff);
    double largest = -INFINITY;
    for (int32_t j = 0; j < m; j++) {
        double risk = loss->risk_mass[j] > 0 ? loss->risk_sum[j] / loss->risk_mass[j] : 0.0;
        loss->log_multiplier[j] += factor * risk;
        largest = fmax(largest, loss->log_multiplier[j]);
    }
    double sum = 0;
    for (int32_t j = 0; j < m; j++) {
        sum += exp(loss->log_multiplier[j] - largest);
    }
    double log_sum = largest + log(sum);
    for (int32_t j = 0; j < m; j++) {
        loss->log_multiplier[j] -= log_sum;
    }
    kds_loss_refresh(loss);
}
