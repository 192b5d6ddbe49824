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

enum { M = 4, D = 5, N_VALIDATION = 4 * 70, N_TRAIN = 73, N_TEST = 4 * 66 };
enum { MAX_VALUES = 24000, MAX_CLASSES = 4, MAX_EPOCHS = 3, MAX_EXAMPLES = 280 }; /* of either problem */

typedef struct plain {
    float values[MAX_VALUES];
    float train_loss[MAX_EPOCHS], multiplier[MAX_EPOCHS * MAX_CLASSES], group_multiplier[MAX_EPOCHS * MAX_CLASSES];
    float test_logits[MAX_EXAMPLES * MAX_CLASSES]; /* of the last iterate */
    double loss[KDS_N_SPLITS];                     /* the same: mean cross-entropy */
} plain;

/* A trial that the plain loop does. */
typedef struct loop {
    const problem *p;
    const kds_trial_spec *spec;
    const kds_recipe *recipe;
    const label_store *teacher;
    int m;                     /* classes */
    int n_chunk, n_live_chunk; /* rows that the net evaluates at a time, and the live one: sums may depend on it */
    kds_net *net, *live;       /* live: NULL unless the teacher sees what its student sees */
    kds_loss loss;
} loop;

static const float *logits_of(const loop *l, const int32_t *examples, int n)
{
    kds_split_gather(&l->p->split, &l->p->kernels, examples, n, kds_net_input_pitch(l->net), kds_net_input(l->net));
    return kds_net_forward(l->net, n, KDS_NET_EVALUATES);
}

/* Logits of a whole part, and its mean cross-entropy. */
static double evaluate(const loop *l, const int32_t *examples, int n, float *logits)
{
    double sum = 0;
    memcpy(logits, logits_of(l, examples, n), (size_t)(n * l->m) * sizeof *logits);
    for (int i = 0; i < n; i++) {
        sum += kds_cross_entropy_row(l->m, logits + i * l->m, l->p->label[examples[i]]);
    }
    return sum / n;
}

static void one_update(loop *l, int n_before)
{
    static float rows[MAX_EXAMPLES * MAX_CLASSES];
    int32_t label[MAX_EXAMPLES], group[MAX_EXAMPLES], examples[MAX_EXAMPLES];
    const problem *p = l->p;
    int n_all = (int)p->split.n_validation, n = l->recipe->robust_batch > 0 ? l->recipe->robust_batch : n_all;
    bool is_teacher = l->spec->role == KDS_ROLE_TEACHER;
    kds_rng rng = kds_rng_make((uint64_t)l->spec->seed, KDS_RNG_VALIDATION_BATCH,
                               (uint32_t)(2 * n_before + is_teacher));
    for (int i = 0; i < n; i++) {
        int position = l->recipe->robust_batch > 0 ? (int)kds_rng_below(&rng, (uint64_t)n_all) : i;
        examples[i] = p->split.validation[position];
        label[i] = p->label[examples[i]];
        group[i] = p->group[examples[i]];
        memcpy(rows + i * l->m, l->teacher->outputs.validation_logits + position * l->m, (size_t)l->m * sizeof *rows);
    }
    kds_loss_update_begin(&l->loss);
    for (int i = 0; i < n; i += l->n_chunk) {
        int chunk = n - i < l->n_chunk ? n - i : l->n_chunk;
        const kds_loss_rows some = {.n_rows = chunk,
                                    .logits = logits_of(l, examples + i, chunk),
                                    .label = label + i,
                                    .group = group + i,
                                    .teacher_logits = rows + i * l->m};
        kds_loss_update_add(&l->loss, &some);
    }
    kds_loss_update_end(&l->loss);
}

/* The images of a step into a net's input. */
static void look(const loop *l, kds_net *net, const int32_t *examples, const kds_augmentation *augmentation, int n)
{
    int64_t pitch = kds_net_input_pitch(net);
    if (kds_data_augments(&l->spec->data)) {
        kds_split_gather_augmented(&l->p->split, &l->p->kernels, examples, augmentation, n, pitch, kds_net_input(net));
    } else {
        kds_split_gather(&l->p->split, &l->p->kernels, examples, n, pitch, kds_net_input(net));
    }
}

static double one_step(loop *l, const int32_t *order, int n_rows, int epoch, double fraction, double lr)
{
    const problem *p = l->p;
    int m = l->m;
    float rows[MAX_EXAMPLES * MAX_CLASSES], d_logits[MAX_EXAMPLES * MAX_CLASSES];
    int32_t label[MAX_EXAMPLES], group[MAX_EXAMPLES], examples[MAX_EXAMPLES];
    kds_augmentation augmentation[MAX_EXAMPLES];
    for (int i = 0; i < n_rows; i++) {
        examples[i] = p->split.train[order[i]];
        label[i] = p->label[examples[i]];
        group[i] = p->group[examples[i]];
        augmentation[i] = kds_augmentation_draw(&l->spec->data, (uint64_t)l->spec->seed, epoch,
                                                l->spec->role == KDS_ROLE_TEACHER, examples[i]);
        memcpy(rows + i * m, l->teacher->outputs.train_logits + order[i] * m, (size_t)m * sizeof *rows);
    }
    look(l, l->net, examples, augmentation, n_rows);
    for (int i = 0; l->live && i < n_rows; i += l->n_live_chunk) {
        int chunk = n_rows - i < l->n_live_chunk ? n_rows - i : l->n_live_chunk;
        look(l, l->live, examples + i, augmentation + i, chunk);
        memcpy(rows + i * m, kds_net_forward(l->live, chunk, KDS_NET_EVALUATES), (size_t)(chunk * m) * sizeof *rows);
    }
    const kds_loss_rows batch = {.n_rows = n_rows,
                                 .logits = kds_net_forward(l->net, n_rows, KDS_NET_TRAINS),
                                 .label = label,
                                 .group = group,
                                 .teacher_logits = rows,
                                 .epoch = epoch + fraction};
    double batch_loss = kds_loss_gradient(&l->loss, &batch, d_logits);
    kds_net_backward(l->net, n_rows, d_logits);
    kds_net_step(l->net, l->recipe, lr);
    return n_rows * batch_loss;
}

static void take_loop(loop *l, const kds_model *model, const kds_model *live, kds_arena *arena)
{
    l->net = kds_net_take(model, &l->p->kernels, MAX_EXAMPLES, KDS_NET_DIFFERENTIATES, arena);
    l->live = live ? kds_net_take(live, &l->p->kernels, MAX_EXAMPLES, KDS_NET_EVALUATES, arena) : NULL;
    kds_loss_take(&l->loss, l->m, l->p->shape.n_groups, MAX_EXAMPLES, arena);
}

static int chunk_of(const kds_recipe *recipe)
{
    return strncmp(recipe->model, "mlp", 3) == 0 ? 256 : 32;
}

static void plain_loop(const problem *p, const kds_trial_spec *spec, const label_store *teacher, plain *out)
{
    kds_error err = KDS_ERROR_INIT;
    const kds_recipe *recipe = kds_trial_recipe(spec);
    bool is_teacher = spec->role == KDS_ROLE_TEACHER, is_student = spec->role == KDS_ROLE_STUDENT;
    bool is_live = is_student && (spec->data.augment_pad > 0 || spec->data.augment_flip) &&
                   spec->distill.augmented_labels == KDS_AUGMENTED_LIVE;
    int n_train = (int)p->split.n_train, n_chunk = chunk_of(recipe), n_live_chunk = chunk_of(&spec->teacher);
    kds_model model, live;
    loop l = {.p = p,
              .spec = spec,
              .recipe = recipe,
              .teacher = teacher,
              .m = p->shape.n_classes,
              .n_chunk = n_chunk,
              .n_live_chunk = n_live_chunk};
    KDS_TEST_OK(kds_model_make(recipe, &p->data, &model, &err), &err);
    KDS_TEST_OK(kds_model_make(&spec->teacher, &p->data, &live, &err), &err);
    kds_arena arena = kds_arena_measure();
    take_loop(&l, &model, is_live ? &live : NULL, &arena);
    KDS_TEST_OK(kds_arena_init(&arena, arena.used, &err), &err);
    take_loop(&l, &model, is_live ? &live : NULL, &arena);
    kds_net_init(l.net, (uint64_t)spec->seed, is_teacher);
    if (is_live) {
        kds_net_set_values(l.live, teacher->outputs.values);
    }
    int32_t train_label[MAX_EXAMPLES], validation_label[MAX_EXAMPLES],
        group_count[PROBLEM_MAX_CLASSES] = {0}, validation_count[PROBLEM_MAX_CLASSES] = {0},
        validation_group_count[PROBLEM_MAX_CLASSES] = {0};
    for (int i = 0; i < n_train; i++) {
        train_label[i] = p->label[p->split.train[i]];
        group_count[p->group[p->split.train[i]]]++;
    }
    for (int i = 0; i < p->split.n_validation; i++) {
        validation_label[i] = p->label[p->split.validation[i]];
        validation_count[validation_label[i]]++;
        validation_group_count[p->group[p->split.validation[i]]]++;
    }
    const kds_loss_inputs inputs = {.kernels = &p->kernels,
                                    .recipe = recipe,
                                    .distill = is_student ? &spec->distill : NULL,
                                    .n_train = n_train,
                                    .n_validation = p->split.n_validation,
                                    .prior = p->split.train_prior,
                                    .train_count = p->split.train_count,
                                    .group_count = group_count,
                                    .validation_count = validation_count,
                                    .validation_group_count = validation_group_count,
                                    .teacher_train_logits = teacher->outputs.train_logits,
                                    .teacher_validation_logits = teacher->outputs.validation_logits,
                                    .train_label = train_label,
                                    .validation_label = validation_label};
    kds_loss_init(&l.loss, &inputs);
    int steps_per_epoch = (n_train + recipe->batch - 1) / recipe->batch, step = 0, n_updates = 0;
    for (int epoch = 0; epoch < recipe->epochs; epoch++) {
        int32_t order[MAX_EXAMPLES];
        for (int32_t i = 0; i < n_train; i++) {
            order[i] = i;
        }
        kds_rng rng = kds_rng_make((uint64_t)spec->seed, KDS_RNG_SHUFFLE, (uint32_t)(2 * epoch + is_teacher));
        kds_rng_shuffle(&rng, order, n_train);
        double loss_sum = 0;
        for (int start = 0; start < n_train; start += recipe->batch, step++) {
            int n_rows = n_train - start < recipe->batch ? n_train - start : recipe->batch;
            loss_sum += one_step(&l, order + start, n_rows, epoch, (double)(step % steps_per_epoch) / steps_per_epoch,
                                 kds_schedule_lr(recipe, step, steps_per_epoch));
            if (kds_recipe_validates(recipe) && (step + 1) % recipe->robust_every == 0) {
                one_update(&l, n_updates++);
            }
        }
        out->train_loss[epoch] = (float)(loss_sum / n_train);
        for (int y = 0; y < l.m; y++) {
            out->multiplier[epoch * l.m + y] = (float)l.loss.multiplier[y];
        }
        for (int g = 0; g < p->shape.n_groups && kds_recipe_of_groups(recipe); g++) {
            out->group_multiplier[epoch * p->shape.n_groups + g] = (float)l.loss.multiplier[g];
        }
    }
    static float validation_logits[MAX_EXAMPLES * MAX_CLASSES];
    out->loss[KDS_SPLIT_VALIDATION] = evaluate(&l, p->split.validation, (int)p->split.n_validation, validation_logits);
    out->loss[KDS_SPLIT_TEST] = evaluate(&l, p->split.test, (int)p->split.n_test, out->test_logits);
    memset(out->values, 0, sizeof out->values);
    kds_net_get_values(l.net, out->values);
    kds_arena_clear(&arena);
}

static void train(const problem *p, const kds_trial_spec *spec, const label_store *teacher, label_store *out,
                  kds_trial_result *result)
{
    kds_error err = KDS_ERROR_INIT;
    kds_trainer *trainer;
    memset(out->outputs.values, 0, out->n_values * sizeof(float));
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

/* One trial both ways. */
static void check_loop(const problem *p, const kds_trial_spec *spec, const label_store *teacher, label_store *out,
                       kds_trial_result *result)
{
    static plain wanted;
    const kds_recipe *recipe = kds_trial_recipe(spec);
    size_t n_test = (size_t)(p->split.n_test * p->shape.n_classes), n_epochs = (size_t)recipe->epochs;
    plain_loop(p, spec, teacher, &wanted);
    train(p, spec, teacher, out, result);
    assert_int_equal(result->status, KDS_TRIAL_DONE);
    assert_memory_equal(wanted.values, out->outputs.values, out->n_values * sizeof(float));
    assert_memory_equal(wanted.train_loss, result->train_loss, n_epochs * sizeof(float));
    check_near(n_test, wanted.test_logits, result->logits, 1e-5); /* other chunks, so not always the same bits */
    for (int part = 0; part < KDS_N_SPLITS; part++) {
        KDS_TEST_NEAR((double)result->loss[KDS_SELECT_LAST][part], wanted.loss[part], 1e-5);
    }
    size_t n = n_epochs * (size_t)p->shape.n_classes, n_of_groups = n_epochs * (size_t)p->shape.n_groups;
    bool has = kds_recipe_has_multipliers(recipe), of_groups = kds_recipe_of_groups(recipe);
    if (has && !of_groups) {
        assert_memory_equal(wanted.multiplier, result->multiplier, n * sizeof(float));
    } else {
        assert_true(isnan(result->multiplier[0]) && isnan(result->multiplier[n - 1]));
    }
    if (of_groups) {
        assert_memory_equal(wanted.group_multiplier, result->group_multiplier, n_of_groups * sizeof(float));
    } else if (p->shape.n_groups > 0) {
        assert_true(isnan(result->group_multiplier[0]) && isnan(result->group_multiplier[n_of_groups - 1]));
    }
}

static void same_as_the_loop(void **state)
{
    (void)state;
    problem p;
    problem_small(&p, 3);
    assert_int_equal(p.split.n_train, N_TRAIN);
    assert_int_equal(p.split.n_validation, N_VALIDATION);
    assert_int_equal(p.split.n_test, N_TEST);
    label_store teacher = label_store_new(&p), out = label_store_new(&p);
    label_store_invent(&p, &teacher);
    kds_trial_result *result = result_for(&p, 3);
    for (int i = 0; i < 3 * KDS_N_OBJECTIVES * 4; i++) {
        kds_trial_spec spec = spec_small((kds_role)(i % 3));
        kds_recipe *recipe = spec.role == KDS_ROLE_TEACHER ? &spec.teacher : &spec.student;
        bool odd = i / (3 * KDS_N_OBJECTIVES) % 2, late = i / (6 * KDS_N_OBJECTIVES);
        recipe->objective = i / 3 % KDS_N_OBJECTIVES;
        if (spec.role != KDS_ROLE_STUDENT && (kds_objective_traits(recipe->objective) & KDS_OBJECTIVE_TAUGHT)) {
            continue;
        }
        recipe->robust_batch = odd ? 30 : 0;
        recipe->robust_risk = late ? KDS_RISK_CROSS_ENTROPY : KDS_RISK_ZERO_ONE;
        recipe->robust_every = odd ? 3 : 1;
        recipe->dro_groups = odd ? KDS_DRO_GROUPS : KDS_DRO_CLASSES;
        recipe->dro_learns = late ? KDS_DRO_TRAINING : KDS_DRO_VALIDATION;
        spec.distill.validation_labels = late ? KDS_LABELS_ONE_HOT : KDS_LABELS_TEACHER;
        spec.distill.ada_from = odd ? KDS_ADA_TRAIN : KDS_ADA_VALIDATION;
        spec.distill.ada_per = late ? KDS_ADA_EXAMPLE : KDS_ADA_CLASS;
        check_loop(&p, &spec, &teacher, &out, result);
    }
    kds_trial_result_free(result);
    label_store_free(&teacher);
    label_store_free(&out);
    problem_clear(&p);
}

/* Convolutional networks, normalisation by batches and by running statistics, augmentation, a teacher that labels what its student sees;
 * and that all of these change something. */
static void images_too(void **state)
{
    (void)state;
    static const struct {
        const char *teacher, *student;
        int32_t objective, augmented_labels, pad, flip, batch;
    } cases[] = {
        {"resnet8x4", "lenet5", KDS_OBJECTIVE_STANDARD, KDS_AUGMENTED_LIVE, 2, 1, 11},
        {"resnet8x4", "lenet5", KDS_OBJECTIVE_STANDARD, KDS_AUGMENTED_CACHED, 2, 1, 11},
        {"resnet8x4", "lenet5", KDS_OBJECTIVE_STANDARD, KDS_AUGMENTED_LIVE, 2, 0, 11},
        {"resnet8x4", "lenet5", KDS_OBJECTIVE_STANDARD, KDS_AUGMENTED_LIVE, 0, 1, 11},
        {"resnet8x4", "lenet5", KDS_OBJECTIVE_STANDARD, KDS_AUGMENTED_LIVE, 0, 0, 11},
        {"lenet5", "resnet8x4", KDS_OBJECTIVE_ROBUST, KDS_AUGMENTED_LIVE, 1, 1, 11},
        {"mlp:7", "resnet8x4", KDS_OBJECTIVE_BALANCED, KDS_AUGMENTED_LIVE, 2, 1, 11},
        {"resnet8x4", "mlp:6", KDS_OBJECTIVE_TRADEOFF, KDS_AUGMENTED_LIVE, 2, 1, 11},
        {"resnet8x4", "lenet5", KDS_OBJECTIVE_STANDARD, KDS_AUGMENTED_LIVE, 2, 1, 34},
    };
    for (int32_t side = 8, channels = 1; side <= 12; side += 4, channels += 2) {
        problem p;
        problem_images(&p, 0, side, channels);
        label_store teacher = label_store_new(&p), out = label_store_new(&p);
        kds_trial_result *result = result_for(&p, 2);
        float losses[sizeof cases / sizeof cases[0]];
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            kds_trial_spec spec = spec_images(KDS_ROLE_STUDENT);
            snprintf(spec.teacher.model, sizeof spec.teacher.model, "%s", cases[i].teacher);
            snprintf(spec.student.model, sizeof spec.student.model, "%s", cases[i].student);
            spec.student.objective = cases[i].objective;
            spec.student.batch = cases[i].batch;
            spec.distill.augmented_labels = cases[i].augmented_labels;
            spec.data.augment_pad = cases[i].pad;
            spec.data.augment_flip = cases[i].flip;
            assert_int_equal(kds_trial_teaches_live(&spec),
                             cases[i].augmented_labels == KDS_AUGMENTED_LIVE && (cases[i].pad || cases[i].flip));
            label_store_train(&p, &spec, &teacher);
            check_loop(&p, &spec, &teacher, &out, result);
            losses[i] = result->train_loss[1];
            for (size_t j = 0; j < i; j++) {
                assert_true(losses[j] != losses[i]);
            }
            spec.role = i % 2 ? KDS_ROLE_TEACHER : KDS_ROLE_BASELINE;
            assert_false(kds_trial_teaches_live(&spec));
            check_loop(&p, &spec, &teacher, &out, result);
        }
        kds_trial_result_free(result);
        label_store_free(&teacher);
        label_store_free(&out);
        problem_clear(&p);
    }
}

/* The average of equal iterates is each of them (a learning rate of 0); with one multiplier update, after the last step, the one iterate is
 * the end, and without any it is too. On train, validation and test. */
static void averaged(void **state)
{
    (void)state;
    problem p;
    problem_small(&p, 0);
    label_store start = label_store_new(&p), still = label_store_new(&p), moved = label_store_new(&p);
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
    const int steps_per_epoch = 5, every[] = {1000, 3 * steps_per_epoch};
    assert_int_equal((p.split.n_train + spec.teacher.batch - 1) / spec.teacher.batch, steps_per_epoch);
    assert_int_equal(spec.teacher.epochs, 3);
    spec.teacher.lr = 0.1;
    for (int i = 0; i < 2; i++) {
        spec.teacher.robust_every = every[i];
        spec.teacher.robust_iterate = KDS_ITERATE_LAST;
        train(&p, &spec, NULL, &start, start_result);
        spec.teacher.robust_iterate = KDS_ITERATE_AVERAGED;
        train(&p, &spec, NULL, &moved, result);
        check_near(start.n_train, start.outputs.train_logits, moved.outputs.train_logits, 0);
        check_near(start.n_validation, start.outputs.validation_logits, moved.outputs.validation_logits, 0);
        check_near(n_test, start_result->logits, result->logits, 0);
    }

    /* The mean of two: updates after each of two epochs. */
    label_store second = label_store_new(&p);
    spec.teacher.schedule = KDS_SCHEDULE_CONSTANT; /* the same rates whatever the number of epochs */
    spec.teacher.robust_every = steps_per_epoch;
    spec.teacher.robust_iterate = KDS_ITERATE_LAST;
    spec.teacher.epochs = 1;
    train(&p, &spec, NULL, &start, result);
    spec.teacher.epochs = 2;
    train(&p, &spec, NULL, &second, result);
    spec.teacher.robust_iterate = KDS_ITERATE_AVERAGED;
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
    const kds_data_shape twenty = {.n_features = 20, .n_classes = 5}, five = {.n_features = 5, .n_classes = 4};
    int64_t n;
    double flops, more;
    kds_trial_spec spec = spec_small(KDS_ROLE_BASELINE);
    kds_recipe recipe = spec.student;
    spec.measure.decisions = 0;
    snprintf(recipe.model, sizeof recipe.model, "mlp:16-12");
    KDS_TEST_OK(kds_train_n_values(&recipe, &twenty, &n, &err), &err);
    assert_int_equal(n, 605);
    KDS_TEST_OK(kds_train_flops(&spec, &five, 73, 280, 264, &flops, &err), &err);
    /* three epochs: forward, weight gradients, the second layer's activation gradient; evaluation; measures of the last epoch */
    const double measured = 1000.0 * (280 + 264) * 4;
    KDS_TEST_NEAR(flops, 3.0 * 2 * (73 * (3 * (5 * 6 + 6 * 4) - 5 * 6) + (280 + 264) * (5 * 6 + 6 * 4)) + measured, 0);
    spec.student.objective = KDS_OBJECTIVE_ROBUST;
    KDS_TEST_OK(kds_train_flops(&spec, &five, 73, 280, 264, &more, &err), &err);
    KDS_TEST_NEAR(more - flops, 7.0 * 280 * 2 * (5 * 6 + 6 * 4), 0); /* fifteen steps: updates after 2, 4 .. 14 */

    /* Decisions look at validation once for each update and once more, drops at the plain decision too, and twice as long at losses. */
    kds_trial_spec deciding = spec;
    double looks;
    deciding.measure = (kds_measure_spec){.decisions = 1, .decision_updates = 50, .decision_divergence = 0.2};
    deciding.measure.decision_risk = KDS_RISK_ZERO_ONE;
    KDS_TEST_OK(kds_train_flops(&deciding, &five, 73, 280, 264, &looks, &err), &err);
    KDS_TEST_NEAR(looks - more, (51 + 52) * 280.0 * (4 * 8 + 80), 1e-6);
    deciding.measure.decision_risk = KDS_RISK_CROSS_ENTROPY;
    KDS_TEST_OK(kds_train_flops(&deciding, &five, 73, 280, 264, &looks, &err), &err);
    KDS_TEST_NEAR(looks - more, (51 + 2 * 52) * 280.0 * (4 * 8 + 80), 1e-6);

    size_t bytes;
    snprintf(spec.student.model, sizeof spec.student.model, "mlp:x");
    assert_int_equal(kds_train_n_values(&spec.student, &twenty, &n, &err), KDS_GRID);
    kds_error_clear(&err);
    assert_int_equal(kds_train_flops(&spec, &five, 73, 280, 264, &flops, &err), KDS_GRID);
    kds_error_clear(&err);
    assert_int_equal(kds_train_workspace(&spec, &five, 73, 280, 264, &bytes, &err), KDS_GRID);
    kds_error_clear(&err);
    problem p;
    problem_small(&p, 0);
    kds_trial_result *result = result_for(&p, 3);
    kds_trainer *trainer;
    KDS_TEST_OK(kds_trainer_new(&p.kernels, &trainer, &err), &err);
    assert_int_equal(kds_train_trial(trainer, &spec, &p.split, NULL, NULL, 0, NULL, NULL, result, &err), KDS_GRID);
    assert_true(err.message[0] != '\0');
    kds_error_clear(&err);

    /* Groups are wanted, and there are none: told before anything is trained, by the sizes. */
    spec = spec_small(KDS_ROLE_BASELINE);
    spec.measure.decisions = 0;
    spec.student.objective = KDS_OBJECTIVE_GROUP_DRO;
    KDS_TEST_OK(kds_train_workspace(&spec, &five, 73, 280, 264, &bytes, &err), &err);
    KDS_TEST_OK(kds_train_flops(&spec, &five, 73, 280, 264, &more, &err), &err);
    KDS_TEST_NEAR(more - flops, 7.0 * 280 * 2 * (5 * 6 + 6 * 4), 0);
    spec.student.dro_learns = KDS_DRO_TRAINING; /* no look at validation */
    KDS_TEST_OK(kds_train_flops(&spec, &five, 73, 280, 264, &more, &err), &err);
    KDS_TEST_NEAR(more, flops, 0);
    spec.student.dro_groups = KDS_DRO_GROUPS;
    assert_int_equal(kds_train_workspace(&spec, &five, 73, 280, 264, &bytes, &err), KDS_GRID);
    assert_non_null(strstr(err.message, "without groups"));
    kds_error_clear(&err);
    assert_int_equal(kds_train_flops(&spec, &five, 73, 280, 264, &more, &err), KDS_GRID);
    kds_error_clear(&err);
    assert_int_equal(kds_train_trial(trainer, &spec, &p.split, NULL, NULL, 0, NULL, NULL, result, &err), KDS_GRID);
    kds_data_shape grouped = five;
    grouped.n_groups = 3;
    KDS_TEST_OK(kds_train_workspace(&spec, &grouped, 73, 280, 264, &bytes, &err), &err);
    kds_trainer_free(trainer);
    kds_trainer_free(NULL);
    kds_trial_result_free(result);
    problem_clear(&p);
}

/* What a live teacher adds: its forward pass for every training example of every epoch, a net in the workspace; and who cannot be one. */
static void sizes_of_a_live_teacher(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    const kds_data_shape data = {.n_features = 144, .height = 12, .width = 12, .channels = 1, .n_classes = 3};
    double flops[2];
    size_t bytes[2];
    kds_model model;
    for (int live = 0; live < 2; live++) {
        kds_trial_spec spec = spec_images(KDS_ROLE_STUDENT);
        spec.distill.augmented_labels = live ? KDS_AUGMENTED_LIVE : KDS_AUGMENTED_CACHED;
        KDS_TEST_OK(kds_train_flops(&spec, &data, 50, 20, 10, &flops[live], &err), &err);
        KDS_TEST_OK(kds_train_workspace(&spec, &data, 50, 20, 10, &bytes[live], &err), &err);
        KDS_TEST_OK(kds_model_make(&spec.teacher, &data, &model, &err), &err);
    }
    double wanted = 2.0 * 50 * 2 * kds_model_forward_macs(&model);
    KDS_TEST_NEAR(flops[1] - flops[0], wanted, 1e-12 * flops[1]);
    assert_true(bytes[1] > bytes[0] + (size_t)model.n_values * sizeof(float));

    kds_trial_spec spec = spec_images(KDS_ROLE_STUDENT);
    spec.distill.mixing = 0; /* nobody asks this teacher */
    assert_false(kds_trial_teaches_live(&spec));
    spec.distill.mixing = 0.5;
    assert_true(kds_trial_teaches_live(&spec));
    spec.teacher.robust_iterate = KDS_ITERATE_AVERAGED; /* without multipliers there is nothing to average */
    KDS_TEST_OK(kds_train_flops(&spec, &data, 50, 20, 10, &flops[0], &err), &err);
    spec.teacher.objective = KDS_OBJECTIVE_ROBUST;
    assert_int_equal(kds_train_flops(&spec, &data, 50, 20, 10, &flops[0], &err), KDS_GRID);
    kds_error_clear(&err);
    assert_int_equal(kds_train_workspace(&spec, &data, 50, 20, 10, &bytes[0], &err), KDS_GRID);
    assert_non_null(strstr(err.hint, "cached"));
    kds_error_clear(&err);
    spec.distill.augmented_labels = KDS_AUGMENTED_CACHED;
    KDS_TEST_OK(kds_train_flops(&spec, &data, 50, 20, 10, &flops[0], &err), &err);
}

static void costs_of(const kds_trial_spec *spec, double *flops, size_t *bytes)
{
    kds_error err = KDS_ERROR_INIT;
    const kds_data_shape data = {.n_features = 144, .height = 12, .width = 12, .channels = 1, .n_classes = 3};
    KDS_TEST_OK(kds_train_flops(spec, &data, 50, 20, 10, flops, &err), &err);
    KDS_TEST_OK(kds_train_workspace(spec, &data, 50, 20, 10, bytes, &err), &err);
}

/* Another value of the slot, number i of a few; false when there are no more. */
static bool other_value(const kds_slot *slot, int i, kds_value *value)
{
    static const double milestones[] = {0.5, 1};
    switch (slot->type) {
    case KDS_KEY_BOOL:
        value->integer = i;
        return i < 2;
    case KDS_KEY_CHOICE:
        value->integer = i;
        return slot->choices[i] != NULL;
    case KDS_KEY_INT:
        value->integer = (int64_t)slot->minimum + 3 * i + 1;
        break;
    case KDS_KEY_NUMBER:
        value->number = i == 0 ? slot->minimum + 0.25 * fmin(1, slot->maximum - slot->minimum) : 0.5 * slot->maximum;
        break;
    case KDS_KEY_TEXT:
        value->text = i == 0 ? "here" : "there";
        break;
    case KDS_KEY_NUMBERS:
        value->numbers.items = milestones;
        value->numbers.n_items = i + 1;
        break;
    }
    return i < 2;
}

/* What the table calls free of cost is: a planner works out the cost of all its values from one. */
static void free_slots_cost_nothing(void **state)
{
    (void)state;
    int n_slots, n_tried = 0;
    const kds_slot *slots = kds_slots(&n_slots);
    kds_trial_spec specs[] = {spec_images(KDS_ROLE_TEACHER), spec_images(KDS_ROLE_STUDENT),
                              spec_images(KDS_ROLE_STUDENT), spec_images(KDS_ROLE_BASELINE)};
    specs[2].distill.augmented_labels = KDS_AUGMENTED_CACHED;
    for (int k = 0; k < 2 * 4; k++) {
        kds_trial_spec spec = specs[k / 2];
        spec.teacher.objective = spec.student.objective = KDS_OBJECTIVE_TRADEOFF;
        spec.teacher.robust_iterate = k % 2 == 1 && k / 2 != 1 ? KDS_ITERATE_AVERAGED : KDS_ITERATE_LAST;
        spec.student.robust_iterate = k % 2 == 1 ? KDS_ITERATE_AVERAGED : KDS_ITERATE_LAST;
        double flops, other_flops;
        size_t bytes, other_bytes;
        costs_of(&spec, &flops, &bytes);
        for (int i = 0; i < n_slots; i++) {
            kds_value value;
            for (int v = 0; slots[i].free_of_cost && other_value(&slots[i], v, &value); v++) {
                kds_trial_spec other = spec;
                kds_slot_set(&slots[i], &other, value);
                costs_of(&other, &other_flops, &other_bytes);
                if (other_flops != flops || other_bytes != bytes) {
                    fail_msg("%s is not free of cost (%s)", slots[i].path, kds_role_name((kds_role)spec.role));
                }
                n_tried++;
            }
        }
    }
    assert_true(n_tried > 8 * 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_the_loop),
                                       cmocka_unit_test(images_too),
                                       cmocka_unit_test(averaged),
                                       cmocka_unit_test(sizes),
                                       cmocka_unit_test(sizes_of_a_live_teacher),
                                       cmocka_unit_test(free_slots_cost_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
