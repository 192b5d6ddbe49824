/*
 * What is known of a sweep before it begins: the training examples that a correlation leaves, and values of axes that the data cannot have.
 */
#include <stdio.h>

#include "kds_test.h"
#include "kdsweep/arena.h"
#include "kdsweep/train.h"
#include "setup.h"

static kds_plan *plan_of(const char *data, kds_grid **grid)
{
    char text[1024];
    kds_error err = KDS_ERROR_INIT;
    kds_plan *plan = NULL;
    const int n = snprintf(text, sizeof text,
                           "data = { source = \"hdf5\"; path = \"x.h5\"; %s }; teacher = { model = \"mlp:7\"; };\n"
                           "student = { model = \"mlp:5\"; };",
                           data);
    assert_in_range(n, 1, (int)sizeof text - 1);
    KDS_TEST_OK(kds_grid_parse(text, (size_t)n, "a.cfg", NULL, 0, grid, NULL, &err), &err);
    KDS_TEST_OK(kds_plan_new(*grid, &plan, &err), &err);
    return plan;
}

static const kds_dataset sizes = {.n_train = 6000, .n_test = 1000, .n_features = 3, .n_classes = 10, .n_groups = 4};

/* Bytes of a teacher's labels tell how many training examples were expected. */
static int64_t n_train_of(const char *data, const kds_dataset *dataset, int64_t *smallest_class)
{
    kds_error err = KDS_ERROR_INIT;
    kds_grid *grid = NULL;
    kds_plan *plan = plan_of(data, &grid);
    kds_survey survey;
    kds_trial_spec spec;
    int64_t n_validation;
    int64_t n_test;
    int64_t n_values;
    KDS_TEST_OK(kds_survey_new(plan, dataset, &survey, &err), &err);
    kds_plan_spec(plan, 0, &spec);
    assert_int_equal(spec.role, KDS_ROLE_TEACHER);
    kds_setup_split_sizes(&spec.data, dataset, &n_validation, &n_test);
    const kds_data_shape shape = kds_dataset_shape(dataset);
    KDS_TEST_OK(kds_train_n_values(kds_trial_recipe(&spec), &shape, &n_values, &err), &err);
    const double n = (survey.artifact / 4 - (double)n_values) / dataset->n_classes - (double)n_validation;
    *smallest_class = survey.smallest_class;
    kds_survey_clear(&survey);
    kds_plan_free(plan);
    kds_grid_free(grid);
    return (int64_t)n;
}

static void training_examples_of_a_correlation(void **state)
{
    (void)state;
    int64_t smallest;
    assert_int_equal(n_train_of("", &sizes, &smallest), 6000);
    assert_int_equal(smallest, 600);
    /* 150 of each class and group: with any strength, so many of each class */
    assert_int_equal(n_train_of("correlation = { strength = 0.25; };", &sizes, &smallest), 1500);
    assert_int_equal(smallest, 150);
    assert_int_equal(n_train_of("correlation = { strength = 1; };", &sizes, &smallest), 1500);
    assert_int_equal(n_train_of("correlation = { strength = 0.5; count = 70; };", &sizes, &smallest), 700);
    assert_int_equal(smallest, 70);
    assert_int_equal(n_train_of("correlation = { strength = [0, 0.5]; };", &sizes, &smallest), 6000); /* the largest */
    assert_int_equal(n_train_of("correlation = { strength = 1; }; validation = { from = \"train\"; fraction = 0.2; };",
                                &sizes, &smallest),
                     1200);
}

static void check(const char *data, const kds_dataset *dataset, kds_status expected, const char *message)
{
    kds_error err = KDS_ERROR_INIT;
    kds_grid *grid = NULL;
    kds_plan *plan = plan_of(data, &grid);
    assert_int_equal(kds_setup_check_splits(plan, dataset, &err), expected);
    assert_string_equal(err.message, message);
    kds_plan_free(plan);
    kds_grid_free(grid);
}

static void sizes_tell_what_cannot_be(void **state)
{
    (void)state;
    kds_dataset groupless = sizes;
    kds_dataset bytes = sizes;
    groupless.n_groups = 0;
    bytes.is_u8 = true;
    check("augment = { pad = 0; };", &sizes, KDS_OK, "");
    check("augment = { pad = 2; };", &sizes, KDS_DATA,
          "data.augment needs images, and the data are rows of 3 features");
    check("augment = { pad = [0, 2]; };", &sizes, KDS_DATA,
          "data.augment.pad = 2: data.augment needs images, and the data are rows of 3 features");
    check("standardize = [\"none\", \"half\"]; imbalance = { ratio = [1, 2]; };", &bytes, KDS_OK, "");
    check(
        "standardize = [\"none\", \"half\"]; imbalance = { ratio = [1, 2]; };", &sizes, KDS_DATA,
        "data.imbalance.ratio = 1, data.standardize = \"half\": data.standardize = \"half\" is byte / 255 - 1/2, and the "
        "data are floating-point numbers");
    check("correlation = { strength = [0, 0.5, 1]; };", &sizes, KDS_OK, "");
    check("correlation = { strength = [0, 0.5, 1]; };", &groupless, KDS_DATA,
          "data.correlation.strength = 0.5: data.correlation needs two groups at least, and the data have 0");
}

/* Loaded data: also what only the labels tell. Three classes, of 8, 4 and 2 training examples. */
static void labels_tell_what_cannot_be(void **state)
{
    (void)state;
    static const int32_t label[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, /* test */ 0, 1, 2, 0};
    static const int32_t group[] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
    static const char names[3][KDS_NAME_CHARS] = {"a", "b", "c"};
    float x[18] = {0};
    const kds_dataset loaded = {.n_train = 14,
                                .n_test = 4,
                                .n_features = 1,
                                .n_classes = 3,
                                .n_groups = 2,
                                .x_f32 = x,
                                .label = label,
                                .group = group,
                                .class_name = names,
                                .group_name = names};
    check("imbalance = { ratio = [1, 2, 8]; };", &loaded, KDS_OK, "");
    check(
        "imbalance = { ratio = [1, 2, 9]; };", &loaded, KDS_DATA,
        "data.imbalance.ratio = 9: class 2 (c) keeps no training example: 2 are available, the largest class may have 8, "
        "the imbalance ratio is 9");
    check("correlation = { strength = [0, 0.5, 1]; };", &loaded, KDS_OK, "");
    check("correlation = { strength = [0, 0.5, 1]; count = 2; };", &loaded, KDS_DATA,
          "data.correlation.strength = 1: class 2 (c) needs 2 training examples of group 0 (a), and 1 are available: "
          "correlation 1, 2 examples of each class");
}

/* Counts take most of a row with many classes: no room for what is neither stored nor measured. */
static void rows_have_room_for_what_is_stored(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        int32_t n_classes, n_groups;
        bool counts, group_counts, decisions;
    } cases[] = {
        {"", 10, 4, true, true, true},
        {"", 10, 0, true, false, true},
        {"", 129, 4, false, false, true},
        {"}; store = { counts = true; ", 1000, 4, true, false, true},
        {"}; measure = { decisions = false; ", 10, 4, true, true, false},
        {"}; store = { counts = false; ", 10, 4, false, true, true},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        kds_grid *grid = NULL;
        kds_plan *plan = plan_of(cases[k].keys, &grid);
        kds_dataset dataset = sizes;
        kds_row_plan rows;
        const kds_survey survey = {.n_epochs = 2};
        dataset.n_classes = cases[k].n_classes;
        dataset.n_groups = cases[k].n_groups;
        kds_row_plan_make(plan, &survey, &dataset, 500, 500, &rows);
        assert_int_equal(rows.shape.with_counts, cases[k].counts);
        assert_int_equal(rows.shape.with_group_counts, cases[k].group_counts);
        assert_int_equal(rows.shape.with_decisions, cases[k].decisions);
        kds_plan_free(plan);
        kds_grid_free(grid);
    }
}

static void idle_with(const char *keys, const char *set, const char *expected)
{
    const kds_override override = {set};
    kds_text text = {0};
    kds_error err = KDS_ERROR_INIT;
    kds_grid *grid = NULL;
    kds_plan *plan = NULL;
    kds_text found = {0};
    kds_text_addf(&text, "data.source = \"gaussians\";\nteacher.model = \"mlp:7\";\nstudent.model = \"mlp:5\";\n%s",
                  keys);
    KDS_TEST_OK(kds_grid_parse(kds_text_string(&text), text.size, "a.cfg", &override, set ? 1 : 0, &grid, NULL, &err),
                &err);
    KDS_TEST_OK(kds_plan_new(grid, &plan, &err), &err);
    kds_setup_list_idle_keys(plan, &found);
    assert_string_equal(kds_text_string(&found), expected);
    kds_text_clear(&found);
    kds_text_clear(&text);
    kds_plan_free(plan);
    kds_grid_free(grid);
}

static void idle(const char *keys, const char *expected)
{
    idle_with(keys, NULL, expected);
}

static void keys_that_no_trial_uses(void **state)
{
    (void)state;
    idle("student.temperature = 4;", "");
    idle("student.t_squared = true;", "student.t_squared\n");
    idle("student.t_squared = true; student.temperature = [1, 2]; student.tempered = [\"teacher\", \"both\"];", "");
    idle("student.t_squared = true; student.temperature = 1; student.tempered = [\"teacher\", \"both\"];",
         "student.tempered\nstudent.t_squared\n");
    /* for both: enough that one of them uses it */
    idle("student.objective = \"focal\"; focal.gamma = 3;", "");
    idle("teacher.objective = \"focal\"; focal.gamma = [1, 3];", "");
    idle("focal.gamma = 3;", "focal.gamma\n");
    idle("student.objective = \"focal\"; focal.gamma = 3; student.focal.gamma = 2;", "focal.gamma\n");
    idle("student.objective = \"focal\"; teacher.focal.gamma = 3;", "teacher.focal.gamma\n");
    idle("student.objective = \"focal\"; teacher.focal.gamma = 3; student.focal.gamma = 3;", "teacher.focal.gamma\n");
    idle_with("", "focal.gamma=3", "focal.gamma\n");
    idle_with("student.objective = \"focal\";", "focal.gamma=3", "");
}

/* One of two objectives uses the key, in every second trial: whatever the number of trials, that is found. */
static void rare_users_of_a_key(void **state)
{
    (void)state;
    static const int n_seeds[] = {3, 5000, 10500, 20000, 30001};
    kds_text keys = {0};
    for (size_t k = 0; k < sizeof n_seeds / sizeof n_seeds[0]; k++) {
        for (int first = 0; first < 2; first++) {
            kds_text_clear(&keys);
            kds_text_add(&keys,
                         "teacher.seed = 0; student.baseline = false; student.focal.gamma = 3; student.objective = [");
            kds_text_add(&keys, first ? "\"focal\", \"standard\"]; seeds = [" : "\"standard\", \"focal\"]; seeds = [");
            for (int i = 0; i < n_seeds[k]; i++) {
                kds_text_addf(&keys, "%s%d", i > 0 ? "," : "", i);
            }
            kds_text_add(&keys, "];");
            idle(kds_text_string(&keys), "");
        }
    }
    kds_text_clear(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_examples_of_a_correlation),
        cmocka_unit_test(sizes_tell_what_cannot_be),
        cmocka_unit_test(labels_tell_what_cannot_be),
        cmocka_unit_test(rows_have_room_for_what_is_stored),
        cmocka_unit_test(keys_that_no_trial_uses),
        cmocka_unit_test(rare_users_of_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
