/* The loss of one trial: targets, offsets, gradient, multiplier updates. */
#include <math.h>
#include <string.h>

#include "kdsweep/distill.h"
#include "kdsweep/metrics.h"
#include "parts.h"

void kds_loss_take(kds_loss *loss, int32_t n_classes, int32_t n_groups, int32_t max_rows, kds_arena *arena)
{
    size_t m = (size_t)n_classes, rows = (size_t)max_rows, most = (size_t)(n_groups > n_classes ? n_groups : n_classes);
    *loss = (kds_loss){.n_classes = n_classes, .n_groups = n_groups};
    double **const of_classes[] = {
        &loss->prior,  &loss->teacher_marginal, &loss->class_weight, &loss->teacher_class_weight,
        &loss->margin, &loss->teacher_margin,   &loss->log_cost};
    double **const of_multipliers[] = {&loss->log_multiplier, &loss->multiplier, &loss->risk_offset,
                                       &loss->risk_sum,       &loss->risk_mass,  &loss->validation_share};
    for (size_t i = 0; i < sizeof of_classes / sizeof of_classes[0]; i++) {
        *of_classes[i] = KDS_ARENA_TAKE(arena, m, double);
    }
    for (size_t i = 0; i < sizeof of_multipliers / sizeof of_multipliers[0]; i++) {
        *of_multipliers[i] = KDS_ARENA_TAKE(arena, most, double);
    }
    loss->row_work = KDS_ARENA_TAKE(arena, rows, double);
    loss->class_work = KDS_ARENA_TAKE(arena, 8 * m, double);
    loss->one_hot_offset = KDS_ARENA_TAKE(arena, m, float);
    loss->teacher_offset = KDS_ARENA_TAKE(arena, m, float);
    loss->scratch = KDS_ARENA_TAKE(arena, 2 * m, float);
    loss->one_hot_target = KDS_ARENA_TAKE(arena, rows * m, float);
    loss->teacher_target = KDS_ARENA_TAKE(arena, rows * m, float);
    loss->student_softmax = KDS_ARENA_TAKE(arena, rows * m, float);
}

/* pi^t_y = (1/n) sum_i p^t_y(x_i): the teacher's own marginal, which its temperature shifts away from the class prior. */
static void measure_marginal(kds_loss *loss, const float *teacher_logits, int64_t n, float temperature,
                             double *marginal)
{
    int32_t m = loss->n_classes;
    memset(marginal, 0, (size_t)m * sizeof(double));
    for (int64_t i = 0; i < n; i++) {
        loss->kernels->softmax(1, m, teacher_logits + i * m, 1.0f / temperature, loss->scratch);
        for (int32_t y = 0; y < m; y++) {
            marginal[y] += (double)loss->scratch[y];
        }
    }
    for (int32_t y = 0; y < m; y++) {
        marginal[y] /= (double)n;
    }
}

static void measure_validation_shares(kds_loss *loss, const kds_loss_inputs *inputs)
{
    if (loss->teacher_validates) {
        measure_marginal(loss, inputs->teacher_validation_logits, inputs->n_validation, loss->validation_temperature,
                         loss->validation_share);
        return;
    }
    const int32_t *count = kds_recipe_of_groups(loss->recipe) ? inputs->validation_group_count
                                                              : inputs->validation_count;
    for (int32_t j = 0; j < loss->n_multipliers; j++) {
        loss->validation_share[j] = (double)count[j] / (double)inputs->n_validation;
    }
}

/* What the student's keys say of the two terms. */
static void set_terms(kds_loss *loss, const kds_distill_spec *distill, uint32_t traits)
{
    loss->with_teacher = distill && distill->mixing > 0;
    loss->with_one_hot = true;
    loss->teacher_validates = distill && distill->validation_labels == KDS_LABELS_TEACHER &&
                              (traits & KDS_OBJECTIVE_GROUPS) == 0;
    loss->teacher_temperature = loss->validation_temperature = loss->student_temperature = 1.0f;
    loss->margin_temperature = 1.0f;
    loss->teacher_weight = 0.0f;
    loss->one_hot_weight = 1.0f;
    if (distill) {
        double t = distill->temperature, one_hot_weight = distill->one_hot_weight;
        bool both = distill->tempered == KDS_TEMPERED_BOTH && (traits & KDS_OBJECTIVE_OWN_TEMPERING) == 0;
        if (one_hot_weight < 0) { /* not settled */
            one_hot_weight = distill->mixing < 1 ? 1.0 - distill->mixing : 0.0;
        }
        loss->with_one_hot = one_hot_weight > 0;
        loss->teacher_temperature = (float)t;
        loss->validation_temperature = (float)(distill->validation_temperature > 0 ? distill->validation_temperature
                                                                                   : t);
        loss->margin_temperature = (float)(distill->ada_temperature > 0 ? distill->ada_temperature : t);
        loss->student_temperature = both ? (float)t : 1.0f;
        loss->teacher_weight = (float)(distill->mixing * (both && distill->t_squared ? t * t : 1.0));
        loss->one_hot_weight = (float)one_hot_weight;
    }
}

void kds_loss_init(kds_loss *loss, const kds_loss_inputs *inputs)
{
    const kds_recipe *recipe = inputs->recipe;
    uint32_t traits = kds_objective_traits(recipe->objective);
    bool is_standard = !inputs->distill && (traits & KDS_OBJECTIVE_TAUGHT) != 0;
    loss->kernels = inputs->kernels;
    loss->rule = kds_objective_get(is_standard ? KDS_OBJECTIVE_STANDARD : recipe->objective);
    loss->recipe = recipe;
    loss->distill = inputs->distill;
    loss->n_multipliers = kds_recipe_of_groups(loss->recipe) ? loss->n_groups : loss->n_classes;
    KDS_ASSERT(loss->n_multipliers > 0);
    memcpy(loss->prior, inputs->prior, (size_t)loss->n_classes * sizeof(double));
    set_terms(loss, inputs->distill, traits);
    if (loss->with_teacher) {
        measure_marginal(loss, inputs->teacher_train_logits, inputs->n_train, loss->teacher_temperature,
                         loss->teacher_marginal);
    }
    if (kds_recipe_validates(recipe)) {
        measure_validation_shares(loss, inputs);
    }
    for (int32_t j = 0; j < loss->n_multipliers; j++) {
        loss->log_multiplier[j] = -log((double)loss->n_multipliers);
        loss->risk_offset[j] = 0;
    }
    if (loss->rule->begin) {
        loss->rule->begin(loss, inputs);
    }
    kds_loss_refresh(loss);
}

static void refresh_offset(kds_loss *loss, const double *marginal, float *offset)
{
    loss->rule->log_costs(loss, marginal, loss->log_cost);
    for (int32_t y = 0; y < loss->n_classes; y++) {
        offset[y] = (float)-loss->log_cost[y];
    }
}

void kds_loss_refresh(kds_loss *loss)
{
    for (int32_t j = 0; j < loss->n_multipliers; j++) {
        loss->multiplier[j] = exp(loss->log_multiplier[j]);
    }
    if (loss->rule->log_costs) {
        refresh_offset(loss, loss->prior, loss->one_hot_offset);
        if (loss->with_teacher) {
            refresh_offset(loss, loss->teacher_marginal, loss->teacher_offset);
        }
    }
}

double kds_loss_gradient(kds_loss *loss, const kds_loss_rows *rows, float *d_logits)
{
    size_t m = (size_t)loss->n_classes;
    if (loss->with_teacher) {
        loss->kernels->softmax(rows->n_rows, loss->n_classes, rows->teacher_logits, 1.0f / loss->teacher_temperature,
                               loss->teacher_target);
    }
    if (loss->with_one_hot) {
        memset(loss->one_hot_target, 0, (size_t)rows->n_rows * m * sizeof(float));
        for (int32_t i = 0; i < rows->n_rows; i++) {
            loss->one_hot_target[(size_t)i * m + (size_t)rows->label[i]] = 1.0f;
        }
    }
    if (loss->rule->label) {
        loss->rule->label(loss, rows);
    }
    if (loss->rule->gradient) {
        return loss->rule->gradient(loss, rows, d_logits);
    }
    kds_softmax_term terms[2];
    int32_t n_terms = kds_loss_terms(loss, terms);
    return loss->kernels->softmax_gradient(rows->n_rows, loss->n_classes, rows->logits, n_terms, terms, d_logits,
                                           loss->scratch);
}

void kds_loss_update_begin(kds_loss *loss)
{
    memset(loss->risk_sum, 0, (size_t)loss->n_multipliers * sizeof(double));
    loss->n_risk_rows = 0;
}

void kds_loss_update_add(kds_loss *loss, const kds_loss_rows *rows)
{
    int32_t m = loss->n_classes;
    const bool of_groups = kds_recipe_of_groups(loss->recipe);
    const bool zero_one = loss->recipe->robust_risk ==
                          KDS_RISK_ZERO_ONE; /* or the cross-entropy: one sum for all classes */
    loss->n_risk_rows += rows->n_rows;
    for (int32_t i = 0; i < rows->n_rows; i++) {
        const float *f = rows->logits + (size_t)i * (size_t)m;
        int32_t decision = zero_one ? kds_predict(m, f) : 0, label = rows->label[i];
        double log_sum = zero_one ? 0 : kds_log_sum_exp_row(m, f);
        if (!loss->teacher_validates) {
            int32_t j = of_groups ? rows->group[i] : label;
            loss->risk_sum[j] += zero_one ? (double)(label != decision) : log_sum - (double)f[label];
            continue;
        }
        loss->kernels->softmax(1, m, rows->teacher_logits + (size_t)i * (size_t)m, 1.0f / loss->validation_temperature,
                               loss->scratch);
        for (int32_t j = 0; j < m; j++) {
            double p = (double)loss->scratch[j];
            loss->risk_sum[j] += p * (zero_one ? (double)(j != decision) : log_sum - (double)f[j]);
        }
    }
}

void kds_loss_update_end(kds_loss *loss)
{
    for (int32_t j = 0; j < loss->n_multipliers; j++) {
        loss->risk_mass[j] = (double)loss->n_risk_rows * loss->validation_share[j];
    }
    kds_loss_multiply(loss, loss->risk_mass);
}

void kds_loss_multiply(kds_loss *loss, const double *mass)
{
    double factor = loss->recipe->robust_step * (loss->rule->exponent_factor ? loss->rule->exponent_factor(loss) : 1.0);
    for (int32_t j = 0; j < loss->n_multipliers; j++) {
        if (loss->log_multiplier[j] > -INFINITY) { /* what has none gets none, whatever its risk */
            loss->log_multiplier[j] += factor *
                                       ((mass[j] > 0 ? loss->risk_sum[j] / mass[j] : 0.0) + loss->risk_offset[j]);
        }
    }
    kds_normalise_logs(loss->n_multipliers, loss->log_multiplier);
    kds_loss_refresh(loss);
}
