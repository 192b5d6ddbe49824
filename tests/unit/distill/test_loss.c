/*
 * The loss of a batch and its gradient, for every objective, mixture of labels and way of tempering, against the formulas of
 * methods 0.4, 0.5, 2.1-2.4 written out here in double and differentiated numerically.
 */
#include "kdsweep/distill.h"

#include <math.h>
#include <string.h>

#include "kds_test.h"
#include "kdsweep/rng.h"

enum { M = 5, N_ROWS = 6, MAX_ROWS = 9, N_TRAIN = 40 };

typedef struct problem {
    double prior[M];
    double lambda[M];
    float teacher_train[N_TRAIN * M];
    float logits[N_ROWS * M], teacher[N_ROWS * M];
    int32_t label[N_ROWS];
} problem;

static problem make_problem(void)
{
    problem p;
    kds_rng rng = kds_rng_make(3, KDS_RNG_GENERATE, 0);
    const double prior[M] = {0.5, 0.3, 0.12, 0.07, 0.01}, lambda[M] = {0.1, 0.25, 0.05, 0.2, 0.4};
    memcpy(p.prior, prior, sizeof prior);
    memcpy(p.lambda, lambda, sizeof lambda);
    for (int i = 0; i < N_TRAIN * M; i++) {
        p.teacher_train[i] = (float)(2 * kds_rng_normal(&rng) - 0.8 * (i % M));
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

/* ---- the formulas --------------------------------------------------------------------------------------------------- */

static void softmax_of(const float *f, double temperature, double *p)
{
    double sum = 0;
    for (int j = 0; j < M; j++) {
        sum += p[j] = exp((double)f[j] / temperature);
    }
    for (int j = 0; j < M; j++) {
        p[j] /= sum;
    }
}

/* c_y: 1; 1 / pi_y; lambda_y / pi_y; ((1-a)/m + a lambda_y) / pi_y. */
static void costs_of(int objective, double a, const double *pi, const double *lambda, double *c)
{
    for (int y = 0; y < M; y++) {
        switch (objective) {
        case KDS_OBJECTIVE_STANDARD:
            c[y] = 1;
            break;
        case KDS_OBJECTIVE_BALANCED:
            c[y] = 1 / pi[y];
            break;
        case KDS_OBJECTIVE_ROBUST:
            c[y] = lambda[y] / pi[y];
            break;
        default:
            c[y] = ((1 - a) / M + a * lambda[y]) / pi[y];
            break;
        }
    }
}

/* Methods 0.4 in its pairwise form: sum_y p_y log(1 + sum_{j != y} exp(log(c_y / c_j) - (f_y - f_j))). */
static double margin_loss(const double *p, const double *f, const double *c)
{
    double loss = 0;
    for (int y = 0; y < M; y++) {
        double sum = 1;
        for (int j = 0; j < M; j++) {
            if (j != y) {
                sum += exp(log(c[y] / c[j]) - (f[y] - f[j]));
            }
        }
        loss += p[y] * log(sum);
    }
    return loss;
}

typedef struct variant {
    int objective;
    double tradeoff;
    bool has_teacher;
    double mixing, temperature;
    int tempered, t_squared;
} variant;

static double loss_of(const problem *p, variant v, const double *f)
{
    double loss = 0, c[M], teacher_marginal[M] = {0}, q[M];
    if (v.has_teacher) {
        for (int i = 0; i < N_TRAIN; i++) {
            softmax_of(p->teacher_train + i * M, v.temperature, q);
            for (int y = 0; y < M; y++) {
                teacher_marginal[y] += q[y] / N_TRAIN;
            }
        }
    }
    for (int i = 0; i < N_ROWS; i++) {
        double mixing = v.has_teacher ? v.mixing : 0, student[M];
        if (mixing > 0) {
            double t_student = v.tempered == KDS_TEMPERED_BOTH ? v.temperature : 1;
            double factor = v.tempered == KDS_TEMPERED_BOTH && v.t_squared ? v.temperature * v.temperature : 1;
            for (int j = 0; j < M; j++) {
                student[j] = f[i * M + j] / t_student;
            }
            softmax_of(p->teacher + i * M, v.temperature, q);
            costs_of(v.objective, v.tradeoff, teacher_marginal, p->lambda, c);
            loss += mixing * factor * margin_loss(q, student, c) / N_ROWS;
        }
        if (mixing < 1) {
            for (int j = 0; j < M; j++) {
                q[j] = j == p->label[i];
            }
            costs_of(v.objective, v.tradeoff, p->prior, p->lambda, c);
            loss += (1 - mixing) * margin_loss(q, f + i * M, c) / N_ROWS;
        }
    }
    return loss;
}

/* ---- against kds_loss ------------------------------------------------------------------------------------------------ */

typedef struct fixture {
    kds_kernels kernels;
    kds_arena arena;
    kds_loss loss;
} fixture;

static void set_up(fixture *f, const problem *p, variant v)
{
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(kds_kernels_select(&f->kernels, &err), &err);
    f->arena = kds_arena_measure();
    kds_loss_take(&f->loss, M, MAX_ROWS, &f->arena);
    KDS_TEST_OK(kds_arena_init(&f->arena, f->arena.used, &err), &err);
    memset(f->arena.base, 0xFF, f->arena.size);
    kds_loss_take(&f->loss, M, MAX_ROWS, &f->arena);
    const kds_recipe recipe = {.objective = v.objective, .tradeoff = v.tradeoff, .robust_step = 0.1};
    const kds_distill_spec distill = {
        .temperature = v.temperature, .mixing = v.mixing, .tempered = v.tempered, .t_squared = v.t_squared};
    kds_loss_init(&f->loss, &f->kernels, &recipe, v.has_teacher ? &distill : NULL, p->prior, p->teacher_train, N_TRAIN);
}

/* Float inputs and outputs: relative errors of a few 1e-7 in each probability; offsets up to log(40) make 1e-6 of it. */
static const double tolerance = 2e-6;

static void check_variant(const problem *p, variant v)
{
    fixture f;
    set_up(&f, p, v);
    const double h = 1e-5;
    for (int y = 0; y < M; y++) {
        KDS_TEST_NEAR(f.loss.multiplier[y], 1.0 / M, 1e-15); /* where they start */
        f.loss.log_multiplier[y] = log(p->lambda[y]);
    }
    kds_loss_refresh(&f.loss);

    double logits[N_ROWS * M];
    float gradient[N_ROWS * M];
    for (int c = 0; c < N_ROWS * M; c++) {
        logits[c] = (double)p->logits[c];
        gradient[c] = NAN;
    }
    double loss = kds_loss_gradient(&f.loss, N_ROWS, p->logits, p->label, p->teacher, gradient);
    double wanted = loss_of(p, v, logits),
           scale = v.tempered && v.t_squared ? fmax(1, v.temperature * v.temperature) : 1;
    KDS_TEST_NEAR(loss, wanted, tolerance * scale);
    for (int c = 0; c < N_ROWS * M; c++) {
        double here = logits[c];
        logits[c] = here + h;
        double up = loss_of(p, v, logits);
        logits[c] = here - h;
        double down = loss_of(p, v, logits);
        logits[c] = here;
        KDS_TEST_NEAR((double)gradient[c], (up - down) / (2 * h), tolerance * scale / N_ROWS);
    }
    kds_arena_clear(&f.arena);
}

static const double tradeoffs[] = {0, 0.3, 1}; /* only looked at by the tradeoff objective; 0 and 1 are its ends */

static void without_teacher(void **state)
{
    (void)state;
    problem p = make_problem();
    for (int objective = KDS_OBJECTIVE_STANDARD; objective <= KDS_OBJECTIVE_TRADEOFF; objective++) {
        for (int a = 0; a < 3; a++) {
            check_variant(&p, (variant){.objective = objective, .tradeoff = tradeoffs[a]});
        }
    }
}

static void with_teacher(void **state)
{
    (void)state;
    problem p = make_problem();
    const double mixings[] = {1, 0.35, 0}, temperatures[] = {1, 3, 0.5};
    int n = 0;
    for (int i = 0; i < 4 * 3 * 3 * 3 * 2 * 2; i++) {
        variant v = {.has_teacher = true,
                     .objective = i % 4,
                     .tradeoff = tradeoffs[i / 4 % 3],
                     .mixing = mixings[i / 12 % 3],
                     .temperature = temperatures[i / 36 % 3],
                     .tempered = i / 108 % 2,
                     .t_squared = i / 216};
        check_variant(&p, v);
        n++;
    }
    assert_int_equal(n, 432);
}

/* Rows of a batch are independent: a batch of fewer rows, of NaN behind its end. */
static void short_batch(void **state)
{
    (void)state;
    problem p = make_problem();
    fixture f;
    set_up(&f, &p,
           (variant){.has_teacher = true, .objective = KDS_OBJECTIVE_BALANCED, .mixing = 0.5, .temperature = 2});
    float all[N_ROWS * M], one[M];
    double sum = 0, mean = kds_loss_gradient(&f.loss, N_ROWS, p.logits, p.label, p.teacher, all);
    for (int i = 0; i < N_ROWS; i++) {
        sum += kds_loss_gradient(&f.loss, 1, p.logits + i * M, p.label + i, p.teacher + i * M, one);
        for (int j = 0; j < M; j++) {
            KDS_TEST_NEAR((double)one[j], N_ROWS * (double)all[i * M + j], 1e-6);
        }
    }
    KDS_TEST_NEAR(sum / N_ROWS, mean, 1e-12);
    kds_arena_clear(&f.arena);
}

/* A class without examples gets a finite offset, and the rest is as if it were very rare. */
static void class_without_mass(void **state)
{
    (void)state;
    problem p = make_problem();
    p.prior[4] = 0;
    for (int i = 0; i < N_ROWS; i++) {
        p.label[i] = i % 4;
    }
    for (int objective = KDS_OBJECTIVE_BALANCED; objective <= KDS_OBJECTIVE_TRADEOFF; objective++) {
        fixture f;
        set_up(&f, &p, (variant){.objective = objective, .tradeoff = 0.5});
        float gradient[N_ROWS * M];
        assert_true(isfinite(kds_loss_gradient(&f.loss, N_ROWS, p.logits, p.label, NULL, gradient)));
        for (int c = 0; c < N_ROWS * M; c++) {
            assert_true(isfinite(gradient[c]));
            assert_true(c % M != 4 || fabsf(gradient[c]) < 1e-10f);
        }
        KDS_TEST_NEAR((double)f.loss.one_hot_offset[4] - (double)f.loss.one_hot_offset[0],
                      log(KDS_MASS_FLOOR) - log(p.prior[0]), 1e-5);
        kds_arena_clear(&f.arena);
    }
}

static void registry(void **state)
{
    (void)state;
    const struct {
        const char *name;
        bool costs, multipliers;
    } wanted[] = {
        {"standard", false, false}, {"balanced", true, false}, {"robust", true, true}, {"tradeoff", true, true}};
    for (int32_t i = 0; i < 4; i++) {
        const kds_objective_rule *rule = kds_objective_get(i);
        assert_string_equal(rule->name, wanted[i].name);
        assert_int_equal(rule->has_costs, wanted[i].costs);
        assert_int_equal(rule->has_multipliers, wanted[i].multipliers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_teacher), cmocka_unit_test(with_teacher),
                                       cmocka_unit_test(short_batch), cmocka_unit_test(class_without_mass),
                                       cmocka_unit_test(registry)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
