/*
 * A trial against the plain loop that it stands for, written out here with the network and the loss: which examples, which of the
 * teacher's rows, when the multipliers move, which learning rate. The same operations in the same order: the same bits.
 * And the averaged iterate, and the sizes that train tells beforehand.
 */
#include <math.h>

#include "kdsweep/distill.h"
#include "kdsweep/metrics.h"
#include "kdsweep/nn.h"
#include "train_problem.h"

enum { M = 4, D = 5, N_VALIDATION = 4 * 70, N_TRAIN = 73, N_TEST = 4 * 66, MAX_PARAMETERS = 200 };

typedef struct plain {
    float parameters[MAX_PARAMETERS];
    float train_loss[3], multiplier[3 * M];
    float test_logits[N_TEST * M]; /* of the last iterate */
    double loss[KDS_N_SPLITS];     /* the same: mean cross-entropy */
} plain;

/* Logits of a whole part, and its mean cross-entropy. */
static double evaluate(const problem *p, kds_net *net, const int32_t *examples, int n, float *logits)
{
    static float x[N_VALIDATION * D];
    double sum = 0;
    kds_split_gather(&p->split, &p->kernels, examples, n, x);
    memcpy(logits, kds_net_forward(net, x, n), (size_t)(n * M) * sizeof *logits);
    for (int i = 0; i < n; i++) {
        sum += kds_cross_entropy_row(M, logits + i * M, p->label[examples[i]]);
    }
    return sum / n;
}

static void one_update(const problem *p, const kds_trial_spec *spec, const kds_recipe *recipe, const float *teacher,
                       int n_before, kds_net *net, kds_loss *loss)
{
    static float x[N_VALIDATION * D], rows[N_VALIDATION * M];
    int32_t label[N_VALIDATION], examples[N_VALIDATION];
    int n = recipe->robust_batch > 0 ? recipe->robust_batch : N_VALIDATION;
    bool is_teacher = spec->role == KDS_ROLE_TEACHER;
    kds_rng rng = kds_rng_make((uint64_t)spec->seed, KDS_RNG_VALIDATION_BATCH, (uint32_t)(2 * n_before + is_teacher));
    for (int i = 0; i < n; i++) {
        int position = recipe->robust_batch > 0 ? (int)kds_rng_below(&rng, N_VALIDATION) : i;
        examples[i] = p->split.validation[position];
        label[i] = p->label[examples[i]];
        memcpy(rows + i * M, teacher + position * M, M * sizeof *rows);
    }
    kds_loss_update_begin(loss);
    for (int i = 0; i < n; i += 256) {
        int chunk = n - i < 256 ? n - i : 256;
        kds_split_gather(&p->split, &p->kernels, examples + i, chunk, x);
        kds_loss_update_add(loss, chunk, kds_net_forward(net, x, chunk), label + i, rows + i * M);
    }
    kds_loss_update_end(loss);
}

static void plain_loop(const problem *p, const kds_trial_spec *spec, const label_store *teacher, plain *out)
{
    kds_error err = KDS_ERROR_INIT;
    const kds_recipe *recipe = kds_trial_recipe(spec);
    bool is_teacher = spec->role == KDS_ROLE_TEACHER;
    kds_model model;
    kds_net net;
    kds_loss loss;
    KDS_TEST_OK(kds_model_make(recipe->model, D, M, &model, &err), &err);
    kds_arena arena = kds_arena_measure();
    kds_net_take(&net, &model, &p->kernels, N_VALIDATION, &arena);
    kds_loss_take(&loss, M, N_VALIDATION, &arena);
    KDS_TEST_OK(kds_arena_init(&arena, arena.used, &err), &err);
    kds_net_take(&net, &model, &p->kernels, N_VALIDATION, &arena);
    kds_loss_take(&loss, M, N_VALIDATION, &arena);
    kds_net_init(&net, (uint64_t)spec->seed, is_teacher);
    kds_loss_init(&loss, &p->kernels, recipe, spec->role == KDS_ROLE_STUDENT ? &spec->distill : NULL,
                  p->split.train_prior, teacher->outputs.train_logits, N_TRAIN);
    int steps_per_epoch = (N_TRAIN + recipe->batch - 1) / recipe->batch, step = 0, n_updates = 0;
    for (int epoch = 0; epoch < recipe->epochs; epoch++) {
        int32_t order[N_TRAIN];
        for (int32_t i = 0; i < N_TRAIN; i++) {
            order[i] = i;
        }
        kds_rng rng = kds_rng_make((uint64_t)spec->seed, KDS_RNG_SHUFFLE, (uint32_t)(2 * epoch + is_teacher));
        kds_rng_shuffle(&rng, order, N_TRAIN);
        double loss_sum = 0;
        for (int start = 0; start < N_TRAIN; start += recipe->batch, step++) {
            if (loss.rule->has_multipliers && step % recipe->robust_every == 0) {
                one_update(p, spec, recipe, teacher->outputs.validation_logits, n_updates++, &net, &loss);
            }
            float x[N_TRAIN * D], rows[N_TRAIN * M], d_logits[N_TRAIN * M];
            int32_t label[N_TRAIN], examples[N_TRAIN], n_rows = 0;
            for (int i = start; i < start + recipe->batch && i < N_TRAIN; i++, n_rows++) {
                examples[n_rows] = p->split.train[order[i]];
                label[n_rows] = p->label[examples[n_rows]];
                memcpy(rows + n_rows * M, teacher->outputs.train_logits + order[i] * M, M * sizeof *rows);
            }
            kds_split_gather(&p->split, &p->kernels, examples, n_rows, x);
            double batch_loss = kds_loss_gradient(&loss, n_rows, kds_net_forward(&net, x, n_rows), label, rows,
                                                  d_logits);
            loss_sum += n_rows * batch_loss;
            kds_net_backward(&net, x, n_rows, d_logits);
            kds_net_step(&net, recipe, kds_schedule_lr(recipe, step, steps_per_epoch));
        }
        out->train_loss[epoch] = (float)(loss_sum / N_TRAIN);
        for (int y = 0; y < M; y++) {
            out->multiplier[epoch * M + y] = (float)loss.multiplier[y];
        }
    }
    static float validation_logits[N_VALIDATION * M];
    out->loss[KDS_SPLIT_VALIDATION] = evaluate(p, &net, p->split.validation, N_VALIDATION, validation_logits);
    out->loss[KDS_SPLIT_TEST] = evaluate(p, &net, p->split.test, N_TEST, out->test_logits);
    memset(out->parameters, 0, sizeof out->parameters);
    memcpy(out->parameters, net.parameters, (size_t)model.n_parameters * sizeof(float));
    kds_arena_clear(&arena);
}

static void train(const problem *p, const kds_trial_spec *spec, const label_store *teacher, label_store *out,
                  kds_trial_result *result)
{
    kds_error err = KDS_ERROR_INIT;
    kds_trainer *trainer;
    memset(out->outputs.parameters, 0, out->n_parameters * sizeof(float));
    KDS_TEST_OK(kds_trainer_new(&p->kernels, &trainer, &err), &err);
    KDS_TEST_OK(kds_train_trial(trainer, spec, &p->split, spec->role == KDS_ROLE_STUDENT ? &teacher->labels : NULL,
                                NULL, 0, NULL, &out->outputs, result, &err),
                &err);
    kds_trainer_free(trainer);
}

static void check_near(size_t n, const float *a, const float *b, double tolerance)
{
    for (size_t i = 0; i < n; i++) {
        KDS_TEST_NEAR((double)a[i], (double)b[i], tolerance);
    }
}

static void same_as_the_loop(void **state)
{
    (void)state;
    problem p;
    problem_small(&p, 0);
    assert_int_equal(p.split.n_train, N_TRAIN);
    assert_int_equal(p.split.n_validation, N_VALIDATION);
    assert_int_equal(p.split.n_test, N_TEST);
    label_store teacher = label_store_new(&p, 1), out = label_store_new(&p, MAX_PARAMETERS);
    label_store_invent(&p, &teacher);
    kds_trial_result *result = result_for(&p, 3);
    for (int i = 0; i < 3 * 4 * 4; i++) {
        kds_trial_spec spec = spec_small((kds_role)(i % 3));
        kds_recipe *recipe = spec.role == KDS_ROLE_TEACHER ? &spec.teacher : &spec.student;
        recipe->objective = i / 3 % 4;
        recipe->robust_batch = i / 12 % 2 ? 30 : 0;
        recipe->robust_risk = i / 24 ? KDS_RISK_CROSS_ENTROPY : KDS_RISK_ZERO_ONE;
        recipe->robust_every = i / 12 % 2 ? 3 : 1;
        spec.distill.validation_labels = i / 24 ? KDS_LABELS_ONE_HOT : KDS_LABELS_TEACHER;
        static plain wanted;
        plain_loop(&p, &spec, &teacher, &wanted);
        train(&p, &spec, &teacher, &out, result);
        assert_memory_equal(wanted.parameters, out.outputs.parameters, sizeof wanted.parameters);
        assert_memory_equal(wanted.train_loss, result->train_loss, sizeof wanted.train_loss);
        check_near(N_TEST * M, wanted.test_logits, result->logits,
                   1e-5); /* other chunks, so not always the same bits */
        for (int part = 0; part < KDS_N_SPLITS; part++) {
            KDS_TEST_NEAR((double)result->loss[KDS_SELECT_LAST][part], wanted.loss[part], 1e-5);
        }
        if (recipe->objective >= KDS_OBJECTIVE_ROBUST) {
            assert_memory_equal(wanted.multiplier, result->multiplier, sizeof wanted.multiplier);
        }
    }
    kds_trial_result_free(result);
    label_store_free(&teacher);
    label_store_free(&out);
    problem_clear(&p);
}

/* The average of equal iterates is each of them (a learning rate of 0); with one multiplier update, before the first step, the one
 * iterate is the start, wherever the training went. On train, validation and test. */
static void averaged(void **state)
{
    (void)state;
    problem p;
    problem_small(&p, 0);
    label_store start = label_store_new(&p, MAX_PARAMETERS), still = label_store_new(&p, MAX_PARAMETERS),
                moved = label_store_new(&p, MAX_PARAMETERS);
    kds_trial_result *start_result = result_for(&p, 3), *result = result_for(&p, 3);
    kds_trial_spec spec = spec_small(KDS_ROLE_TEACHER);
    size_t n_test = (size_t)p.split.n_test * M;
    spec.teacher.objective = KDS_OBJECTIVE_ROBUST;
    spec.teacher.lr = 0;
    train(&p, &spec, NULL, &start, start_result); /* the last iterate is the first */
    spec.teacher.robust_iterate = KDS_ITERATE_AVERAGED;
    train(&p, &spec, NULL, &still, result);
    check_near(start.n_train, start.outputs.train_logits, still.outputs.train_logits, 0);
    check_near(start.n_validation, start.outputs.validation_logits, still.outputs.validation_logits, 0);
    check_near(n_test, start_result->logits, result->logits, 0);
    for (int s = 0; s < KDS_N_SELECTIONS; s++) {
        for (int part = 0; part < KDS_N_SPLITS; part++) {
            assert_true(start_result->loss[s][part] == result->loss[s][part]);
        }
    }
    spec.teacher.lr = 0.1;
    spec.teacher.robust_every = 1000;
    train(&p, &spec, NULL, &moved, result);
    assert_true(memcmp(start.outputs.parameters, moved.outputs.parameters, start.n_parameters * sizeof(float)) != 0);
    check_near(start.n_train, start.outputs.train_logits, moved.outputs.train_logits, 0);
    check_near(start.n_validation, start.outputs.validation_logits, moved.outputs.validation_logits, 0);
    check_near(n_test, start_result->logits, result->logits, 0);

    /* The mean of two: updates before the first step and before the sixth, so after one epoch of five steps, all of it. */
    label_store second = label_store_new(&p, MAX_PARAMETERS);
    kds_trial_spec until_second = spec;
    until_second.teacher.robust_iterate = KDS_ITERATE_LAST;
    until_second.teacher.schedule = spec.teacher.schedule =
        KDS_SCHEDULE_CONSTANT; /* the same rates whatever the number of epochs */
    until_second.teacher.epochs = 1;
    train(&p, &until_second, NULL, &second, result);
    spec.teacher.robust_every = 5;
    spec.teacher.epochs = 2;
    train(&p, &spec, NULL, &moved, result);
    for (size_t i = 0; i < start.n_train; i++) {
        double mean = ((double)start.outputs.train_logits[i] + (double)second.outputs.train_logits[i]) / 2;
        KDS_TEST_NEAR((double)moved.outputs.train_logits[i], mean, 1e-6 * (1 + fabs(mean)));
    }
    for (size_t i = 0; i < start.n_validation; i++) {
        double mean = ((double)start.outputs.validation_logits[i] + (double)second.outputs.validation_logits[i]) / 2;
        KDS_TEST_NEAR((double)moved.outputs.validation_logits[i], mean, 1e-6 * (1 + fabs(mean)));
    }
    label_store_free(&start);
    label_store_free(&still);
    label_store_free(&moved);
    label_store_free(&second);
    kds_trial_result_free(start_result);
    kds_trial_result_free(result);
    problem_clear(&p);
}

static void sizes(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    int64_t n;
    double flops, more;
    KDS_TEST_OK(kds_train_n_parameters("mlp:16-12", 20, 5, &n, &err), &err);
    assert_int_equal(n, 605);
    kds_trial_spec spec = spec_small(KDS_ROLE_BASELINE);
    KDS_TEST_OK(kds_train_flops(&spec, 5, 4, 73, 280, 264, &flops, &err), &err);
    /* three epochs: forward, weight gradients, the second layer's activation gradient; evaluation */
    KDS_TEST_NEAR(flops, 3.0 * 2 * (73 * (3 * (5 * 6 + 6 * 4) - 5 * 6) + (280 + 264) * (5 * 6 + 6 * 4)), 0);
    spec.student.objective = KDS_OBJECTIVE_ROBUST;
    KDS_TEST_OK(kds_train_flops(&spec, 5, 4, 73, 280, 264, &more, &err), &err);
    KDS_TEST_NEAR(more - flops, 8.0 * 280 * 2 * (5 * 6 + 6 * 4), 0); /* fifteen steps: updates before 0, 2 .. 14 */

    size_t bytes;
    snprintf(spec.student.model, sizeof spec.student.model, "mlp:x");
    assert_int_equal(kds_train_n_parameters("mlp:x", 20, 5, &n, &err), KDS_GRID);
    kds_error_clear(&err);
    assert_int_equal(kds_train_flops(&spec, 5, 4, 73, 280, 264, &flops, &err), KDS_GRID);
    kds_error_clear(&err);
    assert_int_equal(kds_train_workspace(&spec, 5, 4, 73, 280, 264, &bytes, &err), KDS_GRID);
    kds_error_clear(&err);
    problem p;
    problem_small(&p, 0);
    kds_trial_result *result = result_for(&p, 3);
    kds_trainer *trainer;
    KDS_TEST_OK(kds_trainer_new(&p.kernels, &trainer, &err), &err);
    assert_int_equal(kds_train_trial(trainer, &spec, &p.split, NULL, NULL, 0, NULL, NULL, result, &err), KDS_GRID);
    assert_true(err.message[0] != '\0');
    kds_trainer_free(trainer);
    kds_trainer_free(NULL);
    kds_trial_result_free(result);
    problem_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_the_loop), cmocka_unit_test(averaged),
                                       cmocka_unit_test(sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
