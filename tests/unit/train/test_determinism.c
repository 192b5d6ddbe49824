/*
 * A trial is a pure function: the same bits again, whatever the trainer did before; and how much memory it takes: what was predicted,
 * nothing in the loop.
 */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#include <stdlib.h>

#include "run.h"
#include "train_problem.h"

/* ---- every allocation of the process, counted (glibc; a sanitizer has its own allocator) ------------------------------- */

#if defined(__GLIBC__) && !defined(HAS_ASAN)
#define COUNTS_MALLOC 1
static volatile long n_mallocs;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *pointer, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    n_mallocs++;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    n_mallocs++;
    return __libc_calloc(n, size);
}

void *realloc(void *pointer, size_t size)
{
    n_mallocs++;
    return __libc_realloc(pointer, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    n_mallocs++;
    return __libc_memalign(alignment, size);
}
#else
#define COUNTS_MALLOC 0
static volatile long n_mallocs;
#endif

/* ---- specs: every path through training ------------------------------------------------------------------------------ */

enum { N_PLAIN = 10, N_IMAGES = 8, N_SPECS = N_PLAIN + N_IMAGES };

static kds_trial_spec plain_spec(int i)
{
    kds_trial_spec spec = spec_small(i % 3 == 0 ? KDS_ROLE_TEACHER : i % 3 == 1 ? KDS_ROLE_STUDENT : KDS_ROLE_BASELINE);
    kds_recipe *recipe = spec.role == KDS_ROLE_TEACHER ? &spec.teacher : &spec.student;
    recipe->objective = i % 4;
    recipe->robust_iterate = i % 5 == 2 || i == 3 ? KDS_ITERATE_AVERAGED : KDS_ITERATE_LAST;
    recipe->robust_batch = i % 2 ? 50 : 0;
    recipe->batch = i == 5 ? 300 : 16; /* larger than the data and than an evaluation chunk */
    snprintf(recipe->model, sizeof recipe->model, "%s", i == 6 ? "mlp:11-7" : i == 8 ? "mlp" : "mlp:6");
    spec.distill.validation_labels = i == 1 ? KDS_LABELS_ONE_HOT : KDS_LABELS_TEACHER;
    return spec;
}

/* Students of one live teacher, trials without, teachers; augmented or not. */
static kds_trial_spec image_spec(int i)
{
    static const struct {
        kds_role role;
        const char *model;
        int32_t batch, objective, pad, flip, augmented_labels;
    } specs[N_IMAGES] = {
        {KDS_ROLE_STUDENT, "resnet8x4", 11, KDS_OBJECTIVE_STANDARD, 2, 1, KDS_AUGMENTED_LIVE},
        {KDS_ROLE_STUDENT, "lenet5", 11, KDS_OBJECTIVE_ROBUST, 2, 1, KDS_AUGMENTED_LIVE},
        {KDS_ROLE_STUDENT, "mlp:6", 40, KDS_OBJECTIVE_STANDARD, 0, 1, KDS_AUGMENTED_LIVE},
        {KDS_ROLE_STUDENT, "lenet5", 11, KDS_OBJECTIVE_BALANCED, 2, 0, KDS_AUGMENTED_CACHED},
        {KDS_ROLE_TEACHER, "resnet8x4", 40, KDS_OBJECTIVE_TRADEOFF, 0, 0, KDS_AUGMENTED_LIVE},
        {KDS_ROLE_TEACHER, "lenet5", 7, KDS_OBJECTIVE_STANDARD, 1, 0, KDS_AUGMENTED_LIVE},
        {KDS_ROLE_BASELINE, "resnet8x10", 11, KDS_OBJECTIVE_STANDARD, 2, 1, KDS_AUGMENTED_LIVE},
        {KDS_ROLE_BASELINE, "lenet5", 16, KDS_OBJECTIVE_ROBUST, 0, 0, KDS_AUGMENTED_LIVE},
    };
    kds_trial_spec spec = spec_images(specs[i].role);
    kds_recipe *recipe = spec.role == KDS_ROLE_TEACHER ? &spec.teacher : &spec.student;
    snprintf(recipe->model, sizeof recipe->model, "%s", specs[i].model);
    recipe->batch = specs[i].batch;
    recipe->objective = specs[i].objective;
    spec.data.augment_pad = specs[i].pad;
    spec.data.augment_flip = specs[i].flip;
    spec.distill.augmented_labels = specs[i].augmented_labels;
    return spec;
}

/* The two problems with their teachers' labels, and the trials on them. */
typedef struct world {
    problem plain, images;
    label_store plain_teacher, images_teacher;
} world;

static void set_up(world *w, int32_t n_groups)
{
    const kds_trial_spec student = spec_images(KDS_ROLE_STUDENT);
    problem_small(&w->plain, n_groups);
    problem_images(&w->images, n_groups, 8, 3);
    w->images.n_values = 50000;
    w->plain_teacher = label_store_new(&w->plain);
    label_store_invent(&w->plain, &w->plain_teacher);
    w->images_teacher = label_store_new(&w->images);
    label_store_train(&w->images, &student, &w->images_teacher);
}

static void tear_down(world *w)
{
    label_store_free(&w->plain_teacher);
    label_store_free(&w->images_teacher);
    problem_clear(&w->plain);
    problem_clear(&w->images);
}

static const problem *problem_of(const world *w, int i)
{
    return i < N_PLAIN ? &w->plain : &w->images;
}

static kds_trial_spec spec_number(int i)
{
    return i < N_PLAIN ? plain_spec(i) : image_spec(i - N_PLAIN);
}

/* Room for what a trial leaves. */
typedef struct record {
    label_store store;
    kds_trial_result *result;
} record;

static record record_new(const world *w, int i)
{
    return (record){label_store_new(problem_of(w, i)), result_for(problem_of(w, i), 3)};
}

static void record_free(record *r)
{
    label_store_free(&r->store);
    kds_trial_result_free(r->result);
}

static void train(kds_trainer *trainer, const world *w, int i, record *out)
{
    kds_error err = KDS_ERROR_INIT;
    kds_trial_spec spec = spec_number(i);
    const kds_teacher_labels *labels = i < N_PLAIN ? &w->plain_teacher.labels : &w->images_teacher.labels;
    memset(out->store.outputs.values, 0, out->store.n_values * sizeof(float));
    KDS_TEST_OK(kds_train_trial(trainer, &spec, &problem_of(w, i)->split, spec.role == KDS_ROLE_STUDENT ? labels : NULL,
                                NULL, 0, NULL, &out->store.outputs, out->result, &err),
                &err);
    assert_int_equal(out->result->status, KDS_TRIAL_DONE);
}

static kds_trainer *new_trainer(const world *w)
{
    kds_error err = KDS_ERROR_INIT;
    kds_trainer *trainer;
    KDS_TEST_OK(kds_trainer_new(&w->plain.kernels, &trainer, &err), &err);
    return trainer;
}

/* Each spec with a new trainer; then with one trainer after every other spec, whose arena is larger or holds other numbers. */
static void same_bits(void **state)
{
    (void)state;
    world w;
    set_up(&w, 3);
    record first[N_SPECS], again[N_SPECS];
    uint32_t crcs[N_SPECS];
    for (int i = 0; i < N_SPECS; i++) {
        kds_trainer *trainer = new_trainer(&w);
        first[i] = record_new(&w, i);
        again[i] = record_new(&w, i);
        train(trainer, &w, i, &first[i]);
        kds_trainer_free(trainer);
        crcs[i] = kds_trial_result_crc(first[i].result);
        for (int before = 0; before < i; before++) {
            assert_true(crcs[before] != crcs[i]); /* the specs do differ */
        }
    }
    kds_trainer *reused = new_trainer(&w);
    for (int i = 0; i < N_SPECS; i++) {
        for (int before = 0; before < N_SPECS; before++) {
            train(reused, &w, before, &again[before]);
            train(reused, &w, i, &again[i]);
            assert_true(results_equal(first[i].result, again[i].result));
            assert_true(stores_equal(&first[i].store, &again[i].store));
        }
    }
    kds_trainer_free(reused);
    for (int i = 0; i < N_SPECS; i++) {
        record_free(&first[i]);
        record_free(&again[i]);
    }
    tear_down(&w);
}

/* One block when the first trial needs it, none for a second trial, neither ours nor of any library. */
static void no_allocation(void **state)
{
    (void)state;
    world w;
    set_up(&w, 3);
    for (int i = 0; i < N_SPECS; i++) {
        record out = record_new(&w, i);
        kds_trainer *trainer = new_trainer(&w);
        long before = kds_alloc_count();
        train(trainer, &w, i, &out);
        assert_int_equal(kds_alloc_count(), before + 1);
        long mallocs = n_mallocs;
        train(trainer, &w, i, &out);
        assert_int_equal(n_mallocs, mallocs);
        assert_int_equal(kds_alloc_count(), before + 1);
        kds_trainer_free(trainer);
        record_free(&out);
    }
    if (COUNTS_MALLOC) { /* the counter counts */
        long mallocs = n_mallocs;
        void *volatile block = malloc(10);
        free(block);
        assert_int_equal(n_mallocs, mallocs + 1);
    }
    tear_down(&w);
}

/* The one block has exactly the predicted size. The prediction does not know the groups of the data: they take nothing. */
static void workspace_is_exact(void **state)
{
    (void)state;
    for (int32_t n_groups = 0; n_groups <= 3; n_groups += 3) {
        world w;
        set_up(&w, n_groups);
        for (int i = 0; i < N_SPECS; i++) {
            kds_error err = KDS_ERROR_INIT;
            const problem *p = problem_of(&w, i);
            kds_trial_spec spec = spec_number(i);
            size_t predicted = 0;
            KDS_TEST_OK(kds_train_workspace(&spec, &p->data, p->split.n_train, p->split.n_validation, p->split.n_test,
                                            &predicted, &err),
                        &err);
            record out = record_new(&w, i);
            kds_trainer *trainer = new_trainer(&w);
            train(trainer, &w, i, &out);
            /* private, and the first things of a trainer: its kernels, its arena */
            const struct {
                const kds_kernels *kernels;
                kds_arena arena;
            } *inside = (const void *)trainer;
            assert_ptr_equal(inside->kernels, &w.plain.kernels);
            assert_int_equal(inside->arena.size, predicted);
            assert_int_equal(inside->arena.used, predicted);
            kds_trainer_free(trainer);
            record_free(&out);
        }
        tear_down(&w);
    }
}

/* Common random numbers: trials that differ in objective start from the same weights and see the same batches, so the first step of
 * a balanced data set's standard and balanced trial is the same; a teacher and its student share nothing. */
static void common_random_numbers(void **state)
{
    (void)state;
    problem p;
    problem_shape shape = {.n_classes = 3,
                           .n_features = 4,
                           .n_train = {20, 20, 20},
                           .n_validation = 10,
                           .n_test = 10,
                           .separation = 1,
                           .seed = 3};
    problem_new(&p, &shape, NULL);
    kds_error err = KDS_ERROR_INIT;
    kds_trainer *trainer;
    KDS_TEST_OK(kds_trainer_new(&p.kernels, &trainer, &err), &err);
    kds_trial_result *result = result_for(&p, 2);
    float values[3][200];
    memset(values, 0, sizeof values);
    for (int i = 0; i < 3; i++) {
        kds_trial_spec spec = spec_small(i < 2 ? KDS_ROLE_BASELINE : KDS_ROLE_TEACHER);
        spec.student.objective = i == 1 ? KDS_OBJECTIVE_BALANCED : KDS_OBJECTIVE_STANDARD;
        spec.student.epochs = spec.teacher.epochs = 2;
        kds_train_outputs outputs = {.values = values[i]};
        KDS_TEST_OK(kds_train_trial(trainer, &spec, &p.split, NULL, NULL, 0, NULL, &outputs, result, &err), &err);
    }
    /* All offsets of the balanced objective are equal here: the softmax is the same but for rounding. */
    for (int j = 0; j < 4 * 6 + 6 + 6 * 3 + 3; j++) {
        KDS_TEST_NEAR((double)values[0][j], (double)values[1][j], 1e-5);
        assert_true(values[0][j] != values[2][j]);
    }
    kds_trial_result_free(result);
    kds_trainer_free(trainer);
    problem_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(no_allocation),
                                       cmocka_unit_test(workspace_is_exact), cmocka_unit_test(common_random_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
