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

enum { N_SPECS = 10 };

static kds_trial_spec spec_number(int i)
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

static void train(kds_trainer *trainer, const problem *p, int i, const label_store *teacher, label_store *out,
                  kds_trial_result *result)
{
    kds_error err = KDS_ERROR_INIT;
    kds_trial_spec spec = spec_number(i);
    memset(out->outputs.parameters, 0, out->n_parameters * sizeof(float));
    KDS_TEST_OK(kds_train_trial(trainer, &spec, &p->split, spec.role == KDS_ROLE_STUDENT ? &teacher->labels : NULL,
                                NULL, 0, NULL, &out->outputs, result, &err),
                &err);
    assert_int_equal(result->status, KDS_TRIAL_DONE);
}

static kds_trainer *new_trainer(const problem *p)
{
    kds_error err = KDS_ERROR_INIT;
    kds_trainer *trainer;
    KDS_TEST_OK(kds_trainer_new(&p->kernels, &trainer, &err), &err);
    return trainer;
}

/* Each spec with a new trainer; then with one trainer after every other spec, whose arena is larger or holds other numbers. */
static void same_bits(void **state)
{
    (void)state;
    problem p;
    problem_small(&p, 3);
    label_store teacher = label_store_new(&p, 200), a = label_store_new(&p, 200), b = label_store_new(&p, 200);
    label_store_invent(&p, &teacher);
    kds_trial_result *first = result_for(&p, 3), *other = result_for(&p, 3);
    kds_trainer *reused = new_trainer(&p);
    uint32_t crcs[N_SPECS];
    for (int i = 0; i < N_SPECS; i++) {
        kds_trainer *trainer = new_trainer(&p);
        train(trainer, &p, i, &teacher, &a, first);
        kds_trainer_free(trainer);
        crcs[i] = kds_trial_result_crc(first);
        for (int before = 0; before < N_SPECS; before++) {
            train(reused, &p, before, &teacher, &b, other);
            train(reused, &p, i, &teacher, &b, other);
            assert_true(results_equal(first, other));
            assert_true(stores_equal(&a, &b));
        }
        for (int before = 0; before < i; before++) {
            assert_true(crcs[before] != crcs[i]); /* the specs do differ */
        }
    }
    kds_trainer_free(reused);
    kds_trial_result_free(first);
    kds_trial_result_free(other);
    label_store_free(&teacher);
    label_store_free(&a);
    label_store_free(&b);
    problem_clear(&p);
}

/* One block when the first trial needs it, none for a second trial, neither ours nor of any library. */
static void no_allocation(void **state)
{
    (void)state;
    problem p;
    problem_small(&p, 3);
    label_store teacher = label_store_new(&p, 200), out = label_store_new(&p, 200);
    label_store_invent(&p, &teacher);
    kds_trial_result *result = result_for(&p, 3);
    for (int i = 0; i < N_SPECS; i++) {
        kds_trainer *trainer = new_trainer(&p);
        long before = kds_alloc_count();
        train(trainer, &p, i, &teacher, &out, result);
        assert_int_equal(kds_alloc_count(), before + 1);
        long mallocs = n_mallocs;
        train(trainer, &p, i, &teacher, &out, result);
        assert_int_equal(n_mallocs, mallocs);
        assert_int_equal(kds_alloc_count(), before + 1);
        kds_trainer_free(trainer);
    }
    if (COUNTS_MALLOC) { /* the counter counts */
        long mallocs = n_mallocs;
        void *volatile block = malloc(10);
        free(block);
        assert_int_equal(n_mallocs, mallocs + 1);
    }
    kds_trial_result_free(result);
    label_store_free(&teacher);
    label_store_free(&out);
    problem_clear(&p);
}

/* The one block has exactly the predicted size. The prediction does not know the groups of the data: they take nothing. */
static void workspace_is_exact(void **state)
{
    (void)state;
    for (int32_t n_groups = 0; n_groups <= 3; n_groups += 3) {
        problem p;
        problem_small(&p, n_groups);
        label_store teacher = label_store_new(&p, 200), out = label_store_new(&p, 200);
        label_store_invent(&p, &teacher);
        kds_trial_result *result = result_for(&p, 3);
        for (int i = 0; i < N_SPECS; i++) {
            kds_error err = KDS_ERROR_INIT;
            kds_trial_spec spec = spec_number(i);
            size_t predicted = 0;
            KDS_TEST_OK(kds_train_workspace(&spec, p.shape.n_features, p.shape.n_classes, p.split.n_train,
                                            p.split.n_validation, p.split.n_test, &predicted, &err),
                        &err);
            kds_trainer *trainer = new_trainer(&p);
            train(trainer, &p, i, &teacher, &out, result);
            /* private, and the first things of a trainer: its kernels, its arena */
            const struct {
                const kds_kernels *kernels;
                kds_arena arena;
            } *inside = (const void *)trainer;
            assert_ptr_equal(inside->kernels, &p.kernels);
            assert_int_equal(inside->arena.size, predicted);
            assert_int_equal(inside->arena.used, predicted);
            kds_trainer_free(trainer);
        }
        kds_trial_result_free(result);
        label_store_free(&teacher);
        label_store_free(&out);
        problem_clear(&p);
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
    kds_trainer *trainer = new_trainer(&p);
    kds_trial_result *result = result_for(&p, 2);
    float parameters[3][200];
    memset(parameters, 0, sizeof parameters);
    for (int i = 0; i < 3; i++) {
        kds_error err = KDS_ERROR_INIT;
        kds_trial_spec spec = spec_small(i < 2 ? KDS_ROLE_BASELINE : KDS_ROLE_TEACHER);
        spec.student.objective = i == 1 ? KDS_OBJECTIVE_BALANCED : KDS_OBJECTIVE_STANDARD;
        spec.student.epochs = spec.teacher.epochs = 2;
        kds_train_outputs outputs = {.parameters = parameters[i]};
        KDS_TEST_OK(kds_train_trial(trainer, &spec, &p.split, NULL, NULL, 0, NULL, &outputs, result, &err), &err);
    }
    /* All offsets of the balanced objective are equal here: the softmax is the same but for rounding. */
    for (int j = 0; j < 4 * 6 + 6 + 6 * 3 + 3; j++) {
        KDS_TEST_NEAR((double)parameters[0][j], (double)parameters[1][j], 1e-5);
        assert_true(parameters[0][j] != parameters[2][j]);
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
