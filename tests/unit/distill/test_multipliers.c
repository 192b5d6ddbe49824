/*
 * The multiplier update of methods 2.4 against brute force: R_j = sum_x p_j(x) l(j, f(x)) / sum_x p_j(x) over validation, then
 * lambda_j <- lambda_j exp(factor g R_j), normalised; and of samples of validation, whose mean it must be.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kds_test.h"
#include "kdsweep/distill.h"
#include "kdsweep/rng.h"

enum { M = 4, N = 60, MAX_ROWS = 25, N_GROUPS = 6 };

typedef struct fixture {
    kds_kernels kernels;
    kds_arena arena;
    kds_loss loss;
    float logits[N * M], teacher[N * M];
    int32_t label[N], group[N];
} fixture;

static const double prior[M] = {0.6, 0.25, 0.1, 0.05};
static const int32_t train_count[M] = {36, 15, 6, 3}, group_count[N_GROUPS] = {20, 4, 0, 9, 26, 1};

static kds_loss_rows rows_of(const fixture *f, int start, int n_rows)
{
    return (kds_loss_rows){.n_rows = n_rows,
                           .logits = f->logits + start * M,
                           .label = f->label + start,
                           .group = f->group + start,
                           .teacher_logits = f->teacher + start * M};
}

/* The loss of these examples; they are validation, and the teacher's training labels too. */
static void begin(fixture *f, const kds_recipe *recipe, const kds_distill_spec *distill, const int32_t *counts)
{
    int32_t validation_count[M] = {0}, validation_group_count[N_GROUPS] = {0};
    for (int i = 0; i < N; i++) {
        validation_count[f->label[i]]++;
        validation_group_count[f->group[i]]++;
    }
    const kds_loss_inputs inputs = {.kernels = &f->kernels,
                                    .recipe = recipe,
                                    .distill = distill,
                                    .n_train = N,
                                    .n_validation = N,
                                    .prior = prior,
                                    .train_count = counts,
                                    .group_count = group_count,
                                    .validation_count = validation_count,
                                    .validation_group_count = validation_group_count,
                                    .teacher_train_logits = f->teacher,
                                    .teacher_validation_logits = f->teacher};
    kds_loss_init(&f->loss, &inputs);
}

static void set_up_with(fixture *f, const kds_recipe *recipe, const kds_distill_spec *distill, const int32_t *counts)
{
    kds_error err = KDS_ERROR_INIT;
    kds_rng rng = kds_rng_make(8, KDS_RNG_GENERATE, 0);
    for (int i = 0; i < N * M; i++) {
        f->logits[i] = (float)(2 * kds_rng_normal(&rng));
        f->teacher[i] = (float)(2 * kds_rng_normal(&rng));
    }
    for (int i = 0; i < N; i++) {
        f->label[i] = (int32_t)kds_rng_below(&rng, M);
        f->group[i] = i % 7 % 5; /* not the last one */
    }
    KDS_TEST_OK(kds_kernels_select(&f->kernels, &err), &err);
    f->arena = kds_arena_measure();
    kds_loss_take(&f->loss, M, N_GROUPS, MAX_ROWS, &f->arena);
    KDS_TEST_OK(kds_arena_init(&f->arena, f->arena.used, &err), &err);
    memset(f->arena.base, 0xFF, f->arena.size);
    kds_loss_take(&f->loss, M, N_GROUPS, MAX_ROWS, &f->arena);
    begin(f, recipe, distill, counts);
}

static void set_up(fixture *f, const kds_recipe *recipe, const kds_distill_spec *distill)
{
    set_up_with(f, recipe, distill, train_count);
}

static void update(fixture *f)
{
    kds_loss_update_begin(&f->loss);
    for (int start = 0; start < N; start += MAX_ROWS) { /* uneven chunks */
        int n_rows = N - start < MAX_ROWS ? N - start : MAX_ROWS;
        const kds_loss_rows rows = rows_of(f, start, n_rows);
        kds_loss_update_add(&f->loss, &rows);
    }
    kds_loss_update_end(&f->loss);
}

/* p: [N][M] label weights. */
static void brute_force(const fixture *f, double p[N][M], int risk, double exponent, double *lambda)
{
    double sum = 0;
    for (int j = 0; j < M; j++) {
        double weighted = 0, mass = 0;
        for (int i = 0; i < N; i++) {
            const float *row = f->logits + i * M;
            double loss, total = 0;
            int best = 0;
            for (int k = 0; k < M; k++) {
                total += exp((double)row[k]);
                best = row[k] > row[best] ? k : best;
            }
            loss = risk == KDS_RISK_ZERO_ONE ? (best == j ? 0 : 1) : -log(exp((double)row[j]) / total);
            weighted += p[i][j] * loss;
            mass += p[i][j];
        }
        lambda[j] *= exp(exponent * (mass > 0 ? weighted / mass : 0));
        sum += lambda[j];
    }
    for (int j = 0; j < M; j++) {
        lambda[j] /= sum;
    }
}

static void check(int objective, double tradeoff, int risk, int labels, double validation_temperature, bool has_teacher)
{
    fixture f;
    const kds_recipe recipe = {.objective = objective, .tradeoff = tradeoff, .robust_step = 0.7, .robust_risk = risk};
    const kds_distill_spec distill = {
        .temperature = 3, .validation_temperature = validation_temperature, .validation_labels = labels, .mixing = 1};
    set_up(&f, &recipe, has_teacher ? &distill : NULL);
    double p[N][M], lambda[M] = {0.25, 0.25, 0.25, 0.25},
                    temperature = validation_temperature > 0 ? validation_temperature : 3;
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int j = 0; j < M; j++) {
            sum += p[i][j] = exp((double)f.teacher[i * M + j] / temperature);
        }
        for (int j = 0; j < M; j++) {
            p[i][j] = has_teacher && labels == KDS_LABELS_TEACHER ? p[i][j] / sum : j == f.label[i];
        }
    }
    double exponent = 0.7 * (objective == KDS_OBJECTIVE_TRADEOFF ? tradeoff : 1);
    for (int n_updates = 1; n_updates <= 3; n_updates++) {
        update(&f);
        brute_force(&f, p, risk, exponent, lambda);
        double sum = 0;
        for (int j = 0; j < M; j++) {
            KDS_TEST_NEAR(f.loss.multiplier[j], lambda[j], 1e-6 * lambda[j] * n_updates);
            sum += f.loss.multiplier[j];
            /* and what the next gradient uses */
            double beta = objective == KDS_OBJECTIVE_TRADEOFF ? (1 - tradeoff) / M + tradeoff * lambda[j] : lambda[j];
            KDS_TEST_NEAR((double)f.loss.one_hot_offset[j], -log(beta / prior[j]), 4e-6);
        }
        KDS_TEST_NEAR(sum, 1, 1e-14);
    }
    assert_true(tradeoff == 0 || fabs(lambda[0] - 0.25) > 1e-3);
    kds_arena_clear(&f.arena);
}

static void updates(void **state)
{
    (void)state;
    for (int risk = KDS_RISK_ZERO_ONE; risk <= KDS_RISK_CROSS_ENTROPY; risk++) {
        check(KDS_OBJECTIVE_ROBUST, 0.5, risk, KDS_LABELS_ONE_HOT, 0, false);
        check(KDS_OBJECTIVE_ROBUST, 0.5, risk, KDS_LABELS_TEACHER, 0, false); /* no teacher, no teacher's labels */
        check(KDS_OBJECTIVE_ROBUST, 0.5, risk, KDS_LABELS_ONE_HOT, 0, true);
        check(KDS_OBJECTIVE_ROBUST, 0.5, risk, KDS_LABELS_TEACHER, 0, true);
        check(KDS_OBJECTIVE_ROBUST, 0.5, risk, KDS_LABELS_TEACHER, 0.1, true);
        check(KDS_OBJECTIVE_ROBUST, 0.5, risk, KDS_LABELS_TEACHER, 5, true);
        check(KDS_OBJECTIVE_TRADEOFF, 0.3, risk, KDS_LABELS_ONE_HOT, 0, false);
        check(KDS_OBJECTIVE_TRADEOFF, 0.3, risk, KDS_LABELS_TEACHER, 1, true);
        check(KDS_OBJECTIVE_TRADEOFF, 0, risk, KDS_LABELS_ONE_HOT, 0, true);
        check(KDS_OBJECTIVE_TRADEOFF, 1, risk, KDS_LABELS_ONE_HOT, 0, true);
    }
}

/* group_dro on validation, of classes and of groups: R_g + C / sqrt(n_g) by true labels, whatever the teacher says; of a group that validation
 * does not have R is 0, and one that training does not have has nothing from the beginning, whatever validation says of it. */
static void of_groups(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * 2 * 2 * 2; i++) {
        fixture f;
        const kds_recipe recipe = {.objective = KDS_OBJECTIVE_GROUP_DRO,
                                   .robust_step = 0.7,
                                   .robust_risk = i % 2,
                                   .dro_groups = i / 2 % 2,
                                   .dro_learns = KDS_DRO_VALIDATION,
                                   .dro_adjustment = i / 4 % 2 ? 1.5 : 0};
        const kds_distill_spec distill = {.temperature = 3, .validation_labels = KDS_LABELS_TEACHER, .mixing = 1};
        set_up(&f, &recipe, i / 8 ? &distill : NULL);
        int n = recipe.dro_groups ? N_GROUPS : M;
        double lambda[N_GROUPS];
        for (int g = 0; g < n; g++) {
            lambda[g] = !recipe.dro_groups ? 1.0 / n : group_count[g] > 0 ? 1.0 / (n - 1) : 0;
            KDS_TEST_NEAR(f.loss.multiplier[g], lambda[g], 1e-15 * lambda[g]);
        }
        for (int n_updates = 1; n_updates <= 2; n_updates++) {
            double sum = 0;
            update(&f);
            for (int g = 0; g < n; g++) {
                double risk = 0, count = 0, n_g = recipe.dro_groups ? group_count[g] : train_count[g];
                for (int x = 0; x < N; x++) {
                    const float *row = f.logits + x * M;
                    double total = 0;
                    bool is_right = true;
                    for (int k = 0; k < M; k++) {
                        total += exp((double)row[k] - (double)row[f.label[x]]);
                        is_right = is_right && row[k] <= row[f.label[x]];
                    }
                    if ((recipe.dro_groups ? f.group[x] : f.label[x]) == g) {
                        risk += recipe.robust_risk == KDS_RISK_ZERO_ONE ? !is_right : log(total);
                        count++;
                    }
                }
                assert_true(count > 0 || g == 5);
                if (n_g > 0) {
                    lambda[g] *= exp(0.7 * ((count > 0 ? risk / count : 0) + recipe.dro_adjustment / sqrt(n_g)));
                }
                sum += lambda[g];
            }
            for (int g = 0; g < n; g++) {
                lambda[g] /= sum;
                KDS_TEST_NEAR(f.loss.multiplier[g], lambda[g], 1e-12 * lambda[g]);
            }
        }
        kds_arena_clear(&f.arena);
    }
}

/* A class that validation does not have: its risk is 0, so it only loses to the others. */
static void class_without_mass(void **state)
{
    (void)state;
    fixture f;
    const kds_recipe recipe = {.objective = KDS_OBJECTIVE_ROBUST, .robust_step = 1};
    set_up(&f, &recipe, NULL);
    for (int i = 0; i < N; i++) {
        f.label[i] = i % 2;
        for (int j = 0; j < M; j++) {
            f.logits[i * M + j] = (float)(j == 2); /* class 2 is predicted always: all that is there is wrong */
        }
    }
    begin(&f, &recipe, NULL, train_count);
    update(&f);
    const double e = exp(1.0), wanted[M] = {e / (2 * e + 2), e / (2 * e + 2), 1 / (2 * e + 2), 1 / (2 * e + 2)};
    for (int j = 0; j < M; j++) {
        KDS_TEST_NEAR(f.loss.multiplier[j], wanted[j], 1e-15);
    }
    kds_arena_clear(&f.arena);
}

/* Updates from samples of 20 move the multipliers as far as updates from all 60 do, on average: also those of a class that has one example,
 * which is absent from most samples. By true labels and by the teacher's. */
static void samples_have_the_same_mean(void **state)
{
    (void)state;
    enum { N_UPDATES = 4000, N_SAMPLE = 20 };
    for (int labels = KDS_LABELS_ONE_HOT; labels <= KDS_LABELS_TEACHER; labels++) {
        fixture f;
        const kds_recipe recipe = {
            .objective = KDS_OBJECTIVE_ROBUST, .robust_step = 0.1, .robust_risk = KDS_RISK_CROSS_ENTROPY};
        const kds_distill_spec distill = {.temperature = 0.3, .validation_labels = labels, .mixing = 1};
        set_up(&f, &recipe, &distill);
        for (int i = 0; i < N; i++) {
            f.label[i] = i == 0 ? 3 : i % 3;
            f.teacher[i * M + 3] = i == 0 ? 9.0f : -9.0f;
        }
        begin(&f, &recipe, &distill, train_count);
        double step[M], mean[M], start[M];
        memcpy(start, f.loss.log_multiplier, sizeof start);
        update(&f);
        for (int j = 0; j < M; j++) { /* what normalisation takes away is the same for all: compare with class 0 */
            step[j] = f.loss.log_multiplier[j] - f.loss.log_multiplier[0];
        }
        memcpy(f.loss.log_multiplier, start, sizeof start);
        kds_rng rng = kds_rng_make(3, KDS_RNG_GENERATE, 0);
        for (int n = 0; n < N_UPDATES; n++) {
            kds_loss_update_begin(&f.loss);
            for (int i = 0; i < N_SAMPLE; i++) {
                const kds_loss_rows row = rows_of(&f, (int)kds_rng_below(&rng, N), 1);
                kds_loss_update_add(&f.loss, &row);
            }
            kds_loss_update_end(&f.loss);
        }
        for (int j = 0; j < M; j++) {
            mean[j] = (f.loss.log_multiplier[j] - f.loss.log_multiplier[0]) / N_UPDATES;
            /* The mean of 4000 has 1.7 / sqrt(4000) of a single example's risk, 0.03, as its standard error; four of them. */
            KDS_TEST_NEAR(mean[j], step[j], 0.12 * fmax(fabs(step[j]), 0.1));
        }
        assert_true(fabs(step[3]) > 0.05);
        kds_arena_clear(&f.arena);
    }
}

/* A huge step, for long: one class takes everything; all stays finite, and a gradient can be taken. */
static void extreme(void **state)
{
    (void)state;
    for (int objective = KDS_OBJECTIVE_ROBUST; objective <= KDS_OBJECTIVE_TRADEOFF; objective++) {
        fixture f;
        const kds_recipe recipe = {.objective = objective, .tradeoff = 0.9, .robust_step = 1000};
        set_up(&f, &recipe, NULL);
        for (int i = 0; i < N; i++) {
            f.label[i] = i % M;
            for (int j = 0; j < M; j++) {
                f.logits[i * M + j] = (float)(j == f.label[i] && j != 3); /* only class 3 is wrong, always */
            }
        }
        begin(&f, &recipe, NULL, train_count);
        for (int n = 0; n < 50; n++) {
            update(&f);
            float gradient[MAX_ROWS * M];
            const kds_loss_rows rows = rows_of(&f, 0, MAX_ROWS);
            assert_true(isfinite(kds_loss_gradient(&f.loss, &rows, gradient)));
            for (int j = 0; j < M; j++) {
                assert_true(isfinite(f.loss.log_multiplier[j]) && isfinite(f.loss.one_hot_offset[j]) &&
                            isfinite(gradient[j]));
                KDS_TEST_NEAR(f.loss.multiplier[j], j == 3, 1e-12);
            }
        }
        /* The way back is as long as the way there: no floor in the state itself. */
        KDS_TEST_NEAR(f.loss.log_multiplier[0], -50 * 1000 * (objective == KDS_OBJECTIVE_TRADEOFF ? 0.9 : 1), 1e-6);
        kds_arena_clear(&f.arena);
    }
}

/* log_multiplier is the whole state: another loss that gets it goes on equally. Also where one of them is 0 for good. */
static void state_is_complete(void **state)
{
    (void)state;
    for (int of_groups = 0; of_groups < 2; of_groups++) {
        fixture f, g;
        const kds_recipe recipe = {.objective = of_groups ? KDS_OBJECTIVE_GROUP_DRO : KDS_OBJECTIVE_TRADEOFF,
                                   .tradeoff = 0.4,
                                   .robust_step = 0.3,
                                   .robust_risk = KDS_RISK_CROSS_ENTROPY,
                                   .dro_groups = KDS_DRO_GROUPS};
        const kds_distill_spec distill = {
            .temperature = 2, .validation_labels = KDS_LABELS_TEACHER, .mixing = 0.5, .one_hot_weight = 0.5};
        set_up(&f, &recipe, &distill);
        set_up(&g, &recipe, &distill);
        update(&f);
        update(&f);
        memcpy(g.loss.log_multiplier, f.loss.log_multiplier, (size_t)f.loss.n_multipliers * sizeof(double));
        kds_loss_refresh(&g.loss);
        update(&f);
        update(&g);
        assert_memory_equal(f.loss.multiplier, g.loss.multiplier, (size_t)f.loss.n_multipliers * sizeof(double));
        for (int i = 0; i < N; i++) {
            f.group[i] = f.group[i] == 2 ? 0 : f.group[i]; /* training does not have it */
        }
        float gradient_f[MAX_ROWS * M], gradient_g[MAX_ROWS * M];
        const kds_loss_rows rows = rows_of(&f, 0, MAX_ROWS);
        double loss_f = kds_loss_gradient(&f.loss, &rows, gradient_f);
        double loss_g = kds_loss_gradient(&g.loss, &rows, gradient_g);
        KDS_TEST_NEAR(loss_f, loss_g, 0);
        assert_memory_equal(gradient_f, gradient_g, sizeof gradient_f);
        kds_arena_clear(&f.arena);
        kds_arena_clear(&g.arena);
    }
}

/* Classes and groups that training does not have: nothing goes to them, and nothing is lost. `counts` are of training. */
static void without_training_examples(void **state)
{
    (void)state;
    static const int32_t counts[M] = {36, 0, 6, 0};
    for (int learns = KDS_DRO_VALIDATION; learns <= KDS_DRO_TRAINING; learns++) {
        fixture f;
        const kds_recipe recipe = {.objective = KDS_OBJECTIVE_GROUP_DRO,
                                   .robust_step = 50,
                                   .robust_risk = KDS_RISK_CROSS_ENTROPY,
                                   .dro_learns = learns,
                                   .dro_adjustment = 1};
        set_up_with(&f, &recipe, NULL, counts);
        for (int n = 0; n < 20; n++) {
            float gradient[MAX_ROWS * M];
            int32_t label[MAX_ROWS];
            kds_loss_rows rows = rows_of(&f, n, MAX_ROWS);
            for (int i = 0; i < MAX_ROWS; i++) {
                label[i] = i % 3 == 0 ? 2 : 0;
            }
            rows.label = label;
            if (learns == KDS_DRO_VALIDATION) {
                update(&f); /* validation has them all */
            }
            assert_true(isfinite(kds_loss_gradient(&f.loss, &rows, gradient)));
            KDS_TEST_NEAR(f.loss.multiplier[0] + f.loss.multiplier[2], 1, 1e-14);
            assert_true(f.loss.multiplier[1] == 0 && f.loss.multiplier[3] == 0);
            for (int c = 0; c < MAX_ROWS * M; c++) {
                assert_true(isfinite(gradient[c]));
            }
        }
        kds_arena_clear(&f.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(updates),
                                       cmocka_unit_test(of_groups),
                                       cmocka_unit_test(class_without_mass),
                                       cmocka_unit_test(samples_have_the_same_mean),
                                       cmocka_unit_test(extreme),
                                       cmocka_unit_test(state_is_complete),
                                       cmocka_unit_test(without_training_examples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
