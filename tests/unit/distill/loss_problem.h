/*
 * A small batch with all that a loss can ask for, and the loss of every objective on it, written out in double from the papers' formulas
 * (methods 0.4, 0.5, 1.3, 2.1-2.4, 4) without a look at how src/distill does it: test_loss.c differentiates it numerically.
 */
#ifndef LOSS_PROBLEM_H
#define LOSS_PROBLEM_H

#include <math.h>
#include <string.h>

#include "kds_test.h"
#include "kdsweep/distill.h"
#include "kdsweep/rng.h"

enum { M = 5, N_GROUPS = 7, N_ROWS = 6, MAX_ROWS = 9, N_TRAIN = 40, N_VALIDATION = 23 };

typedef struct problem {
    int32_t n_rows; /* of the batch that are looked at */
    int32_t train_count[M], group_count[N_GROUPS];
    double prior[M], lambda[N_GROUPS]; /* of classes the first M, normalised */
    float teacher_train[N_TRAIN * M], teacher_validation[N_VALIDATION * M];
    int32_t train_label[N_TRAIN], validation_label[N_VALIDATION];
    float logits[N_ROWS * M], teacher[N_ROWS * M];
    int32_t label[N_ROWS], group[N_ROWS];
} problem;

static inline problem make_problem(void)
{
    problem p = {.n_rows = N_ROWS,
                 .train_count = {20, 12, 5, 2, 1},
                 .group_count = {9, 0, 14, 3, 1, 6, 7},
                 .lambda = {0.1, 0.25, 0.05, 0.2, 0.4, 0.3, 0.15},
                 .group = {3, 0, 3, 5, 6, 3}}; /* groups 1, 2 and 4 are absent; class 0 is there twice */
    kds_rng rng = kds_rng_make(3, KDS_RNG_GENERATE, 0);
    int32_t *label = p.train_label;
    for (int y = 0; y < M; y++) {
        p.prior[y] = (double)p.train_count[y] / N_TRAIN;
        for (int i = 0; i < p.train_count[y]; i++) {
            *label++ = y;
        }
    }
    for (int i = 0; i < N_VALIDATION; i++) {
        p.validation_label[i] = (i * i + 1) % M;
    }
    for (int i = 0; i < N_TRAIN * M; i++) {
        p.teacher_train[i] = (float)(2 * kds_rng_normal(&rng) - 0.8 * (i % M));
    }
    for (int i = 0; i < N_VALIDATION * M; i++) {
        p.teacher_validation[i] = (float)(kds_rng_normal(&rng) + 1.5 * (i % M == p.validation_label[i / M]));
    }
    for (int i = 0; i < N_ROWS * M; i++) {
        p.logits[i] = (float)(1.5 * kds_rng_normal(&rng));
        p.teacher[i] = (float)(2 * kds_rng_normal(&rng));
    }
    for (int i = 0; i < N_ROWS; i++) {
        p.label[i] = i % M;
    }
    return p;
}

/* What a loss is made from, and when it is asked. */
typedef struct variant {
    kds_recipe recipe;
    kds_distill_spec distill;
    bool has_teacher;
    double epoch;
    double size; /* by how much larger its numbers are than those of a cross-entropy: tolerances; 0: not at all */
} variant;

/* ---- formulas --------------------------------------------------------------------------------------------------------- */

static inline double log_sum_exp(int n, const double *x)
{
    double largest = -INFINITY, sum = 0;
    for (int j = 0; j < n; j++) {
        largest = fmax(largest, x[j]);
    }
    for (int j = 0; j < n; j++) {
        sum += exp(x[j] - largest);
    }
    return largest + log(sum);
}

static inline void softmax_of(const double *z, double *q)
{
    double log_sum = log_sum_exp(M, z);
    for (int j = 0; j < M; j++) {
        q[j] = exp(z[j] - log_sum);
    }
}

static inline void divided(const float *f, double temperature, double *z)
{
    for (int j = 0; j < M; j++) {
        z[j] = (double)f[j] / temperature;
    }
}

static inline double average_margin(const double *p, int y)
{
    double others = 0;
    for (int j = 0; j < M; j++) {
        others += j == y ? 0 : p[j] / (M - 1);
    }
    return p[y] - others;
}

/* What the two terms are made of; [0]: the one-hot labels', [1]: the teacher's. */
typedef struct term_constants {
    double n[M];        /* examples of each class, or the mass of its labels */
    double log_cost[M]; /* log c */
    double rho[M];      /* one-sided margins */
    double class_weight[M];
} term_constants;

/* The multiplier of g before this batch, not normalised. group_dro: none for what training does not have. */
static inline double lambda_before(const problem *p, const kds_recipe *r, int g)
{
    bool is_absent = (r->dro_groups == KDS_DRO_GROUPS ? p->group_count : p->train_count)[g] == 0;
    return r->objective == KDS_OBJECTIVE_GROUP_DRO && is_absent ? 0 : p->lambda[g];
}

/* Everything but the logits. */
typedef struct constants {
    term_constants term[2];
    double scale;              /* of the logits */
    double teacher_margin[M];  /* G */
    double row_weight[N_ROWS]; /* of examples, in both terms */
    double lambda[N_GROUPS];   /* after what this batch does to it */
} constants;

/* (1 - beta) / (1 - beta^n) is 1 / (1 + beta + ... + beta^(n-1)). */
static inline void set_class_weights(const variant *v, term_constants *t)
{
    double sum = 0;
    for (int y = 0; y < M; y++) {
        t->class_weight[y] = (1 - v->recipe.beta) / (1 - pow(v->recipe.beta, fmax(t->n[y], 1)));
        sum += t->class_weight[y];
    }
    for (int y = 0; y < M; y++) {
        t->class_weight[y] = v->epoch >= v->recipe.reweight_from ? t->class_weight[y] * M / sum : 1;
    }
}

/* `temperature`: of the logits in this term */
static inline void set_term(const problem *p, const variant *v, double temperature, term_constants *t)
{
    const kds_recipe *r = &v->recipe;
    double smallest = INFINITY;
    for (int y = 0; y < M; y++) {
        smallest = fmin(smallest, fmax(t->n[y], 1));
    }
    for (int y = 0; y < M; y++) {
        double pi = t->n[y] / N_TRAIN, a = r->tradeoff;
        t->rho[y] = r->objective == KDS_OBJECTIVE_LDAM
                        ? r->ldam_scale * r->ldam_margin * pow(smallest / fmax(t->n[y], 1), 0.25) / temperature
                        : 0;
        t->log_cost[y] = r->objective == KDS_OBJECTIVE_BALANCED         ? -log(pi)
                         : r->objective == KDS_OBJECTIVE_ROBUST         ? log(p->lambda[y] / pi)
                         : r->objective == KDS_OBJECTIVE_TRADEOFF       ? log(((1 - a) / M + a * p->lambda[y]) / pi)
                         : r->objective == KDS_OBJECTIVE_LOGIT_ADJUSTED ? -r->tau * log(pi)
                                                                        : 0;
    }
    set_class_weights(v, t);
}

/* log(1 + sum_{j != y} exp(rho_y + log(c_y / c_j) - s (f_y - f_j))): methods 0.4 with costs and with one-sided margins. */
static inline double margin_loss(const constants *k, const term_constants *t, const double *z, int y)
{
    double u[M];
    for (int j = 0; j < M; j++) {
        u[j] = j == y ? 0 : t->rho[y] + t->log_cost[y] - t->log_cost[j] - k->scale * (z[y] - z[j]);
    }
    return log_sum_exp(M, u);
}

static inline double clipped(const variant *v, double margin)
{
    return fmin(fmax(v->distill.ada_scale * margin, v->distill.ada_minimum), v->distill.ada_maximum);
}

/* Cross-entropies of the batch decide which examples count, and what the multipliers become: fixed when the loss is differentiated. */
static inline void set_row_weights(const problem *p, const variant *v, constants *k)
{
    const kds_recipe *r = &v->recipe;
    bool of_groups = r->dro_groups == KDS_DRO_GROUPS;
    const int32_t *group = of_groups ? p->group : p->label, *size = of_groups ? p->group_count : p->train_count;
    int n = p->n_rows, n_multipliers = of_groups ? N_GROUPS : M, n_counting = (int)fmax(1, ceil(r->cvar_fraction * n));
    double of_row[N_ROWS], log_lambda[N_GROUPS], count[N_GROUPS] = {0};
    for (int i = 0; i < n; i++) {
        double z[M];
        divided(p->logits + i * M, 1, z);
        of_row[i] = log_sum_exp(M, z) - z[p->label[i]];
        count[group[i]]++;
    }
    for (int g = 0; g < n_multipliers; g++) {
        double sum = 0;
        for (int i = 0; i < n; i++) {
            sum += group[i] == g ? of_row[i] : 0;
        }
        bool moves = r->dro_learns == KDS_DRO_TRAINING && size[g] > 0;
        double risk = count[g] > 0 ? sum / count[g] : 0;
        log_lambda[g] = log(lambda_before(p, r, g)) +
                        (moves ? r->robust_step * (risk + r->dro_adjustment / sqrt(size[g])) : 0);
    }
    double log_sum = log_sum_exp(n_multipliers, log_lambda);
    for (int g = 0; g < n_multipliers; g++) {
        k->lambda[g] = exp(log_lambda[g] - log_sum);
    }
    for (int i = 0; i < n; i++) {
        int n_before = 0;
        for (int j = 0; j < n; j++) {
            n_before += of_row[j] > of_row[i] || (of_row[j] == of_row[i] && j < i);
        }
        k->row_weight[i] = r->objective == KDS_OBJECTIVE_GROUP_DRO ? k->lambda[group[i]] * n / count[group[i]]
                           : r->objective != KDS_OBJECTIVE_CVAR    ? 1
                           : n_before < n_counting                 ? (double)n / n_counting
                                                                   : 0;
    }
}

static inline void set_teacher_margins(const problem *p, const variant *v, constants *k)
{
    const kds_distill_spec *d = &v->distill;
    bool on_train = d->ada_from == KDS_ADA_TRAIN;
    double temperature = d->ada_temperature > 0 ? d->ada_temperature : d->temperature, z[M], q[M];
    for (int y = 0; y < M; y++) {
        double sum = 0, count = 0;
        for (int i = 0; i < (on_train ? N_TRAIN : N_VALIDATION); i++) {
            if ((on_train ? p->train_label : p->validation_label)[i] == y) {
                divided((on_train ? p->teacher_train : p->teacher_validation) + i * M, temperature, z);
                softmax_of(z, q);
                sum += average_margin(q, y);
                count++;
            }
        }
        k->teacher_margin[y] = count > 0 ? sum / count : 0;
    }
}

static inline constants constants_of(const problem *p, const variant *v)
{
    constants k = {.scale = v->recipe.objective == KDS_OBJECTIVE_LDAM ? v->recipe.ldam_scale : 1};
    for (int y = 0; y < M; y++) {
        k.term[0].n[y] = N_TRAIN * p->prior[y];
    }
    for (int i = 0; i < N_TRAIN && v->has_teacher; i++) {
        double z[M], q[M];
        divided(p->teacher_train + i * M, v->distill.temperature, z);
        softmax_of(z, q);
        for (int y = 0; y < M; y++) {
            k.term[1].n[y] += q[y];
        }
    }
    set_term(p, v, 1, &k.term[0]);
    set_row_weights(p, v, &k);
    if (v->has_teacher) {
        set_term(p, v, v->distill.tempered == KDS_TEMPERED_BOTH ? v->distill.temperature : 1, &k.term[1]);
        set_teacher_margins(p, v, &k);
    }
    return k;
}

/* sum_y labels_y l(y, z) of a term. */
static inline double term_loss(const variant *v, const constants *k, const term_constants *t, const double *labels,
                               const double *z)
{
    double loss = 0;
    for (int y = 0; y < M; y++) {
        double l = margin_loss(k, t, z, y);
        loss += labels[y] == 0 ? 0
                : v->recipe.objective == KDS_OBJECTIVE_FOCAL
                    ? labels[y] * pow(-expm1(-l), v->recipe.focal_gamma) * l /* q_y = exp(-l) */
                    : labels[y] * l;
    }
    return loss;
}

static inline double divergence(int n, const double *log_p, const double *log_q)
{
    double sum = 0;
    for (int j = 0; j < n; j++) {
        sum += exp(log_p[j]) == 0 ? 0 : exp(log_p[j]) * (log_p[j] - log_q[j]);
    }
    return sum;
}

/* log of (q_y, 1 - q_y), and of the softmax of the others. */
static inline void decouple(const double *z, int y, double *binary, double *rest)
{
    double others[M - 1], all = log_sum_exp(M, z);
    for (int j = 0, k = 0; j < M; j++) {
        if (j != y) {
            others[k++] = z[j];
        }
    }
    double log_others = log_sum_exp(M - 1, others);
    binary[0] = z[y] - all;
    binary[1] = log_others - all;
    for (int k = 0; k < M - 1; k++) {
        rest[k] = others[k] - log_others;
    }
}

static inline double dkd_row(const variant *v, const double *student, const double *teacher, int y)
{
    double p[2], q[2], p_rest[M - 1], q_rest[M - 1];
    decouple(teacher, y, p, p_rest);
    decouple(student, y, q, q_rest);
    double warmth = v->distill.dkd_warmup > 0 ? fmin((floor(v->epoch) + 1) / v->distill.dkd_warmup, 1) : 1;
    return warmth *
           (v->distill.dkd_alpha * divergence(2, p, q) + v->distill.dkd_beta * divergence(M - 1, p_rest, q_rest));
}

static inline double standardized_row(const variant *v, const double *student, const double *teacher)
{
    const double *f[2] = {teacher, student};
    double log_q[2][M];
    for (int side = 0; side < 2; side++) {
        double mean = 0, squares = 0;
        for (int j = 0; j < M; j++) {
            mean += f[side][j] / M;
        }
        for (int j = 0; j < M; j++) {
            squares += (f[side][j] - mean) * (f[side][j] - mean);
        }
        for (int j = 0; j < M; j++) {
            log_q[side][j] = (f[side][j] - mean) / (sqrt(squares / (M - 1)) + 1e-7) / v->distill.temperature;
        }
        double log_sum = log_sum_exp(M, log_q[side]);
        for (int j = 0; j < M; j++) {
            log_q[side][j] -= log_sum;
        }
    }
    return divergence(M, log_q[0], log_q[1]);
}

/* Pearson's; 0 for what is constant. */
static inline double correlation_of(int n, const double *a, const double *b, int step)
{
    double mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < n; i++) {
        mean_a += a[i * step] / n;
        mean_b += b[i * step] / n;
    }
    for (int i = 0; i < n; i++) {
        aa += (a[i * step] - mean_a) * (a[i * step] - mean_a);
        bb += (b[i * step] - mean_b) * (b[i * step] - mean_b);
        ab += (a[i * step] - mean_a) * (b[i * step] - mean_b);
    }
    return aa < 1e-20 || bb < 1e-20 ? 0 : ab / (sqrt(aa * bb) + 1e-8);
}

static inline double dist_loss(const problem *p, const variant *v, const double *f)
{
    double q[N_ROWS * M], t[N_ROWS * M], z[M], inter = 0, intra = 0;
    for (int i = 0; i < p->n_rows; i++) {
        for (int j = 0; j < M; j++) {
            z[j] = f[i * M + j] / v->distill.temperature;
        }
        softmax_of(z, q + i * M);
        divided(p->teacher + i * M, v->distill.temperature, z);
        softmax_of(z, t + i * M);
    }
    for (int i = 0; i < p->n_rows; i++) {
        inter += correlation_of(M, q + i * M, t + i * M, 1) / p->n_rows;
    }
    for (int j = 0; j < M; j++) {
        intra += correlation_of(p->n_rows, q + j, t + j, M) / M;
    }
    return v->distill.dist_inter * (1 - inter) + v->distill.dist_intra * (1 - intra);
}

/* ldam divides each term by the mean weight of its labels in the batch: of_term[0] of the one-hot, [1] of the teacher's. */
static inline void mean_weights(const problem *p, const variant *v, const constants *k, double *of_term)
{
    bool divides = v->recipe.objective == KDS_OBJECTIVE_LDAM;
    of_term[0] = of_term[1] = divides ? 0 : 1;
    for (int i = 0; i < p->n_rows && divides; i++) {
        double z[M], q[M];
        divided(p->teacher + i * M, v->distill.temperature, z);
        softmax_of(z, q);
        of_term[0] += k->term[0].class_weight[p->label[i]] / p->n_rows;
        for (int y = 0; y < M; y++) {
            of_term[1] += k->term[1].class_weight[y] * q[y] / p->n_rows;
        }
    }
}

/* The teacher's labels of row i as the objective has them; their sum is not 1 where it weighs. */
static inline void teacher_labels(const problem *p, const variant *v, const constants *k, int i, double *q)
{
    double z[M], sum = 0;
    divided(p->teacher + i * M, v->distill.temperature, z);
    softmax_of(z, q);
    switch (v->recipe.objective) {
    case KDS_OBJECTIVE_CLASS_BALANCED:
    case KDS_OBJECTIVE_LDAM:
        for (int y = 0; y < M; y++) {
            q[y] *= k->term[1].class_weight[y];
        }
        break;
    case KDS_OBJECTIVE_BALANCED_KD:
        for (int y = 0; y < M; y++) {
            sum += q[y] *= k->term[0].class_weight[y];
        }
        for (int y = 0; y < M; y++) {
            q[y] /= sum;
        }
        break;
    case KDS_OBJECTIVE_WTTM: /* the power transform of p at T = 1, without normalising: its sum is the weight U */
        divided(p->teacher + i * M, 1, z);
        softmax_of(z, q);
        for (int y = 0; y < M; y++) {
            q[y] = pow(q[y], 1 / v->distill.temperature);
        }
        break;
    default:
        break;
    }
}

static inline double loss_of(const problem *p, const variant *v, const constants *constant, const double *f)
{
    const kds_recipe *r = &v->recipe;
    const kds_distill_spec *d = &v->distill;
    constants k = *constant;
    bool own = (kds_objective_traits(r->objective) & KDS_OBJECTIVE_OWN_TEMPERING) != 0;
    bool both = d->tempered == KDS_TEMPERED_BOTH && !own;
    double t = d->temperature, t_student = both ? t : 1, factor = both && d->t_squared ? t * t : 1, loss = 0;
    double mixing = v->has_teacher ? d->mixing : 0;
    double one_hot = !v->has_teacher ? 1 : d->one_hot_weight < 0 ? fmax(0, 1 - mixing) : d->one_hot_weight;
    double margin_temperature = d->ada_temperature > 0 ? d->ada_temperature : t, mean_weight[2];
    mean_weights(p, v, constant, mean_weight);
    for (int i = 0; i < p->n_rows; i++) {
        double student[M], teacher[M], labels[M], margin[M];
        int y = p->label[i];
        for (int j = 0; j < M; j++) {
            labels[j] = r->objective == KDS_OBJECTIVE_LABEL_SMOOTHING ? (1 - r->smoothing) * (j == y) + r->smoothing / M
                                                                      : j == y;
            margin[j] = k.teacher_margin[j];
        }
        if (r->objective == KDS_OBJECTIVE_CLASS_BALANCED || r->objective == KDS_OBJECTIVE_LDAM) {
            labels[y] = k.term[0].class_weight[y];
        }
        if (d->ada_per == KDS_ADA_EXAMPLE && v->has_teacher) {
            double q[M];
            divided(p->teacher + i * M, margin_temperature, teacher);
            softmax_of(teacher, q);
            for (int j = 0; j < M; j++) {
                margin[j] = average_margin(q, j);
            }
        }
        if (r->objective == KDS_OBJECTIVE_ADA_ALPHA) {
            mixing = fmin(fmax(clipped(v, margin[y]), 0), 1);
            one_hot = 1 - mixing;
        }
        double weight = k.row_weight[i] / p->n_rows;
        if (one_hot > 0) {
            loss += weight * one_hot * term_loss(v, &k, &k.term[0], labels, f + i * M) / mean_weight[0];
        }
        if (mixing == 0 || r->objective == KDS_OBJECTIVE_DIST) {
            continue;
        }
        double t_own = r->objective == KDS_OBJECTIVE_DKD ? t : 1; /* standardised logits are divided later */
        for (int j = 0; j < M; j++) {
            student[j] = f[i * M + j] / (t_student * t_own);
        }
        divided(p->teacher + i * M, t_own, teacher);
        if (r->objective == KDS_OBJECTIVE_DKD) {
            loss += weight * mixing * t * t * dkd_row(v, student, teacher, y);
        } else if (r->objective == KDS_OBJECTIVE_LOGIT_STANDARDIZED) {
            loss += weight * mixing * t * t * standardized_row(v, student, teacher);
        } else {
            for (int j = 0; j < M && r->objective == KDS_OBJECTIVE_ADA_MARGIN; j++) {
                k.term[1].rho[j] = clipped(v, margin[j]);
            }
            teacher_labels(p, v, &k, i, labels);
            loss += weight * mixing * factor * term_loss(v, &k, &k.term[1], labels, student) / mean_weight[1];
        }
    }
    if (r->objective == KDS_OBJECTIVE_DIST && mixing > 0) {
        loss += mixing * t * t * dist_loss(p, v, f);
    }
    return loss;
}

/* ---- kds_loss ----------------------------------------------------------------------------------------------------------- */

typedef struct fixture {
    kds_kernels kernels;
    kds_arena arena;
    kds_loss loss;
} fixture;

/* The variant must outlive the fixture. The memory that a loss gets holds anything. */
static inline void set_up(fixture *f, const problem *p, const variant *v)
{
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(kds_kernels_select(&f->kernels, &err), &err);
    f->arena = kds_arena_measure();
    kds_loss_take(&f->loss, M, N_GROUPS, MAX_ROWS, &f->arena);
    KDS_TEST_OK(kds_arena_init(&f->arena, f->arena.used, &err), &err);
    memset(f->arena.base, 0xFF, f->arena.size);
    kds_loss_take(&f->loss, M, N_GROUPS, MAX_ROWS, &f->arena);
    static const int32_t ones[M > N_GROUPS ? M : N_GROUPS] = {1, 1, 1,
                                                              1}; /* of validation: no gradient asks for them */
    const kds_loss_inputs inputs = {.kernels = &f->kernels,
                                    .recipe = &v->recipe,
                                    .distill = v->has_teacher ? &v->distill : NULL,
                                    .n_train = N_TRAIN,
                                    .n_validation = N_VALIDATION,
                                    .prior = p->prior,
                                    .train_count = p->train_count,
                                    .group_count = p->group_count,
                                    .validation_count = ones,
                                    .validation_group_count = ones,
                                    .teacher_train_logits = v->has_teacher ? p->teacher_train : NULL,
                                    .teacher_validation_logits = v->has_teacher ? p->teacher_validation : NULL,
                                    .train_label = p->train_label,
                                    .validation_label = p->validation_label};
    kds_loss_init(&f->loss, &inputs);
}

/* Multipliers as the problem has them. */
static inline void set_lambda(fixture *f, const problem *p)
{
    double sum = 0;
    for (int j = 0; j < f->loss.n_multipliers; j++) {
        sum += lambda_before(p, f->loss.recipe, j);
    }
    for (int j = 0; j < f->loss.n_multipliers; j++) {
        f->loss.log_multiplier[j] = log(lambda_before(p, f->loss.recipe, j) / sum);
    }
    kds_loss_refresh(&f->loss);
}

static inline kds_loss_rows rows_of(const problem *p, const variant *v)
{
    return (kds_loss_rows){.n_rows = p->n_rows,
                           .logits = p->logits,
                           .label = p->label,
                           .group = p->group,
                           .teacher_logits = v->has_teacher ? p->teacher : NULL,
                           .epoch = v->epoch};
}

/* Loss, gradient and multipliers against the formulas. */
static inline void check_variant(const problem *p, const variant *v, double tolerance)
{
    fixture f;
    set_up(&f, p, v);
    set_lambda(&f, p);
    const constants k = constants_of(p, v);
    double logits[N_ROWS * M], t = v->distill.temperature;
    float gradient[N_ROWS * M];
    int n = p->n_rows * M;
    for (int c = 0; c < n; c++) {
        logits[c] = (double)p->logits[c];
        gradient[c] = NAN;
    }
    const kds_loss_rows rows = rows_of(p, v);
    double loss = kds_loss_gradient(&f.loss, &rows, gradient), wanted = loss_of(p, v, &k, logits);
    tolerance *= fmax(1, v->size) * (v->has_teacher ? fmax(1, t * t) : 1);
    KDS_TEST_NEAR(loss, wanted, tolerance * fmax(1, fabs(wanted) / 10));
    for (int c = 0; c < n; c++) {
        double here = logits[c], h = 1e-5;
        logits[c] = here + h;
        double up = loss_of(p, v, &k, logits);
        logits[c] = here - h;
        double down = loss_of(p, v, &k, logits);
        logits[c] = here;
        KDS_TEST_NEAR((double)gradient[c], (up - down) / (2 * h), tolerance / p->n_rows);
    }
    for (int j = 0; j < f.loss.n_multipliers && v->recipe.objective == KDS_OBJECTIVE_GROUP_DRO; j++) {
        KDS_TEST_NEAR(f.loss.multiplier[j], k.lambda[j], 1e-6);
    }
    kds_arena_clear(&f.arena);
}

#endif
