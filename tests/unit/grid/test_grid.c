/*
 * Grid files that are right: what becomes of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kds_test.h"
#include "kdsweep/grid.h"

#define MINIMAL \
    "data = { source = \"gaussians\"; }; teacher = { model = \"mlp:8\"; }; student = { model = \"mlp\"; };\n"

static kds_grid *parse_with(const char *text, const char *const *assignments)
{
    kds_override overrides[8] = {{NULL}};
    int n = 0;
    for (; assignments != NULL && assignments[n] != NULL; n++) {
        overrides[n].assignment = assignments[n];
    }
    kds_error err = KDS_ERROR_INIT;
    kds_grid *grid = NULL;
    KDS_TEST_OK(kds_grid_parse(text, strlen(text), "sweeps/demo.cfg", overrides, n, &grid, NULL, &err), &err);
    assert_non_null(grid);
    return grid;
}

static kds_grid *parse(const char *text)
{
    return parse_with(text, NULL);
}

static void the_documented_example(void **state)
{
    (void)state;
    kds_grid *g = parse(
        "name   = \"fashion-lt\";\noutput = \"out/fashion-lt.h5\";\nseeds  = [0, 1, 2, 3, 4];\n"
        "data = {\n  source = \"idx\"; path = \"/usr/share/datasets/fashion-mnist\";   // idx | cifar10\n"
        "  imbalance  = { profile = \"exponential\"; ratio = [1, 10, 100]; };\n"
        "  validation = { from = \"test\"; fraction = 0.5; };  // \"train\": taken before the long tail is cut\n};\n"
        "teacher = { model = \"mlp:512-256\"; objective = [\"standard\", \"balanced\", \"robust\"]; };\n"
        "student = { model = \"mlp:64\";      objective = [\"standard\", \"balanced\", \"robust\"];\n"
        "            temperature = [1.0, 2.0, 4.0]; baseline = true; };\n"
        "train   = { epochs = 30; batch = 128; lr = 0.1; momentum = 0.9; weight_decay = 1e-4; schedule = \"cosine\"; "
        "warmup = 2; };\n");
    assert_string_equal(g->name, "fashion-lt");
    assert_string_equal(g->output, "out/fashion-lt.h5");
    assert_string_equal(g->base.data.path, "/usr/share/datasets/fashion-mnist");
    assert_int_equal(g->n_axes, 5);
    static const char *const names[] = {"seed", "imbalance_ratio", "teacher_objective", "student_objective",
                                        "temperature"};
    static const char *const paths[] = {"seeds", "data.imbalance.ratio", "teacher.objective", "student.objective",
                                        "student.temperature"};
    static const int n_values[] = {5, 3, 3, 3, 3};
    for (int i = 0; i < 5; i++) {
        assert_string_equal(g->axes[i].name, names[i]);
        assert_string_equal(g->axes[i].path, paths[i]);
        assert_int_equal(g->axes[i].n_values, n_values[i]);
        assert_int_equal(g->axes[i].n_slots, 1);
        assert_int_equal(g->axes[i].slots[0], kds_slot_find(names[i]));
    }
    assert_int_equal(g->axes[2].values[2].integer, KDS_OBJECTIVE_ROBUST);
    assert_true(g->axes[4].values[1].number == 2.0);
    assert_int_equal(g->base.teacher.epochs, 30);
    assert_true(g->base.student.warmup == 2.0 && g->base.teacher.weight_decay == 1e-4);
    assert_true(g->baseline);
    assert_false(g->teacher_seed_fixed);
    assert_int_equal(g->lines[kds_slot_find("data_path")], 5);
    assert_int_equal(g->lines[kds_slot_find("temperature")], 11);
    assert_int_equal(g->lines[kds_slot_find("mixing")], 0);
    kds_grid_free(g);
}

static void defaults(void **state)
{
    (void)state;
    kds_grid *g = parse(MINIMAL);
    assert_string_equal(g->name, "demo");
    assert_string_equal(g->output, "demo.h5");
    assert_string_equal(g->file, "sweeps/demo.cfg");
    assert_string_equal(g->text, MINIMAL);
    assert_int_equal(g->n_axes, 0);
    assert_int_equal(g->base.seed, 0);
    assert_true(g->baseline);
    assert_int_equal(g->store_counts, KDS_STORE_AUTO);
    assert_int_equal(g->store_parameters, KDS_STORE_AUTO);
    kds_grid_free(g);
    kds_grid_free(NULL);
}

/* Everything that users write, and libconfig 1.5 alone would refuse or misread. */
static void numbers_of_all_kinds(void **state)
{
    (void)state;
    kds_grid *g = parse("\xEF\xBB\xBF# a byte-order mark\r\n" MINIMAL "student.temperature = [1, 2, 4.5,];;\r\n"
                        "seeds = ( 1, 2L, 0x10, 3000000000, 4.0 )\n"
                        "train : { epochs = 4.0, lr = 1, /* a\nb [ ( \" */ batch = 0x40 }\n"
                        "data.split_seed = 9007199254740991;\n"
                        "data.path = \"[not, a] list // and # no comment\" ; // } ] )\n"
                        "store = { counts = true; logits = \"yes\"; parameters = false; predictions = \"auto\" };\n");
    static const int64_t seeds[] = {1, 2, 16, 3000000000, 4};
    assert_int_equal(g->axes[0].n_values, 5);
    for (int i = 0; i < 5; i++) {
        assert_true(g->axes[0].values[i].integer == seeds[i]);
    }
    assert_true(g->axes[1].values[2].number == 4.5);
    assert_int_equal(g->base.teacher.epochs, 4);
    assert_int_equal(g->base.student.batch, 64);
    assert_true(g->base.teacher.lr == 1.0);
    assert_true(g->base.data.split_seed == 9007199254740991);
    assert_string_equal(g->base.data.path, "[not, a] list // and # no comment");
    assert_int_equal(g->store_counts, KDS_STORE_YES);
    assert_int_equal(g->store_logits, KDS_STORE_YES);
    assert_int_equal(g->store_parameters, KDS_STORE_NO);
    assert_int_equal(g->store_predictions, KDS_STORE_AUTO);
    assert_int_equal(g->lines[kds_slot_find("student_batch")], 6);
    kds_grid_free(g);
}

static void shared_keys(void **state)
{
    (void)state;
    /* One axis that moves both; one overridden half; a scalar that is overridden on one side. */
    kds_grid *g = parse(MINIMAL "train = { lr = [0.1, 0.2]; batch = [16, 32]; epochs = 7; };\n"
                                "student.train = { batch = 64; epochs = 9; };\n");
    assert_int_equal(g->n_axes, 2);
    assert_string_equal(g->axes[0].path, "train.batch");
    assert_int_equal(g->axes[0].n_slots, 1);
    assert_int_equal(g->axes[0].slots[0], kds_slot_find("teacher_batch"));
    assert_string_equal(g->axes[1].path, "train.lr");
    assert_string_equal(g->axes[1].name, "teacher_lr");
    assert_int_equal(g->axes[1].n_slots, 2);
    assert_int_equal(g->axes[1].slots[1], kds_slot_find("student_lr"));
    assert_int_equal(g->base.student.batch, 64);
    assert_int_equal(g->base.teacher.epochs, 7);
    assert_int_equal(g->base.student.epochs, 9);
    kds_grid_free(g);

    g = parse(MINIMAL "teacher.train.lr = [0.1, 0.2]; student.train.lr = [0.3, 0.4, 0.5]; train.lr = 3;\n");
    assert_int_equal(g->n_axes, 2); /* crossed */
    kds_grid_free(g);
}

static void overrides(void **state)
{
    (void)state;
    static const char *const set[] = {"student.temperature=[1, 2.5]",
                                      " student.objective = [robust,\"balanced\"] ",
                                      "data.path=/a b/c,d",
                                      "train.lr=0.5",
                                      "train.lr=0.25",
                                      "student.model=mlp:32-16",
                                      "seeds=7",
                                      NULL};
    kds_grid *g = parse_with(MINIMAL "train.lr = 9; seeds = [1, 2]; teacher.train.lr = 2;", set);
    assert_int_equal(g->n_axes, 2);
    assert_string_equal(g->axes[0].name, "student_objective");
    assert_int_equal(g->axes[0].values[0].integer, KDS_OBJECTIVE_ROBUST);
    assert_int_equal(g->axes[0].values[1].integer, KDS_OBJECTIVE_BALANCED);
    assert_true(g->axes[1].values[1].number == 2.5);
    assert_string_equal(g->base.data.path, "/a b/c,d");
    assert_true(g->base.student.lr == 0.25);
    assert_true(g->base.teacher.lr == 2.0); /* its own key goes before the one for both */
    assert_string_equal(g->base.student.model, "mlp:32-16");
    assert_int_equal(g->base.seed, 7);
    kds_grid_free(g);
}

static void milestones_are_one_value(void **state)
{
    (void)state;
    kds_grid *g = parse(MINIMAL
                        "train = { schedule = \"step\"; milestones = [10, 20.5]; };\nteacher.train.milestones = 5;");
    assert_int_equal(g->n_axes, 0);
    assert_int_equal(g->base.student.n_milestones, 2);
    assert_true(g->base.student.milestones[1] == 20.5);
    assert_int_equal(g->base.teacher.n_milestones, 1);
    kds_grid_free(g);
    g = parse(MINIMAL "train.milestones = [];");
    assert_int_equal(g->base.student.n_milestones, 0);
    kds_grid_free(g);
}

static void teacher_seed(void **state)
{
    (void)state;
    kds_grid *g = parse(MINIMAL "seeds = [1, 2]; teacher.seed = 5;");
    assert_true(g->teacher_seed_fixed);
    assert_int_equal(g->base.teacher_seed, 5);
    kds_grid_free(g);
    g = parse(MINIMAL "seeds = [1, 2]; teacher.seed = -1;");
    assert_false(g->teacher_seed_fixed);
    kds_grid_free(g);
    g = parse(MINIMAL "seeds = [1, 2]; teacher.seed = [0, 1];");
    assert_true(g->teacher_seed_fixed);
    assert_int_equal(g->n_axes, 2);
    kds_grid_free(g);
}

/* The resolved text does not depend on order, comments, spelling of numbers or on where a value was given, and it is a grid
 * file: reading it gives the same again. */
static void resolved_text(void **state)
{
    (void)state;
    kds_grid *a = parse(MINIMAL "train = { lr = [0.1, 0.2]; epochs = 7; milestones = [1, 2]; }; seeds = [3, 4];\n"
                                "data.path = \"a\\\"b\\\\c\\x01\"; student.temperature = [1, 2.5]; name = \"x\";\n");
    kds_grid *b = parse(
        "// other\nname = \"y\"; output = \"z.h5\"; student = { temperature = (1.0, 2.5) model = \"mlp\" }\n"
        "seeds = (3.0, 4); data.path = \"a\\\"b\\\\c\\x01\"; train.lr = [1e-1, 2e-1,];\n"
        "teacher.train.epochs = 7; student.train.epochs = 7; train.milestones = [1.0, 2.0];\n"
        "teacher.model = \"mlp:8\"; data.source = \"gaussians\";\n");
    assert_string_equal(a->resolved, b->resolved);
    kds_grid *c = parse(a->resolved);
    assert_string_equal(a->resolved, c->resolved);
    assert_int_equal(a->n_axes, c->n_axes);
    for (int i = 0; i < a->n_axes; i++) {
        assert_string_equal(a->axes[i].path, c->axes[i].path);
        assert_int_equal(a->axes[i].n_slots, c->axes[i].n_slots);
        assert_int_equal(a->axes[i].n_values, c->axes[i].n_values);
    }
    assert_memory_equal(&a->base, &c->base, sizeof a->base);
    assert_non_null(strstr(a->resolved, "\ntrain.lr = [0.1, 0.2];\n"));
    assert_null(strstr(a->resolved, "student.train.lr ="));
    assert_non_null(strstr(a->resolved, "\nstudent.train.epochs = 7;\n"));
    assert_memory_equal(a->resolved, "seeds = [3, 4];\n", 16);
    kds_grid_free(a);
    kds_grid_free(b);
    kds_grid_free(c);
}

/* A hundred thousand seeds take no noticeable time. */
static void long_lists(void **state)
{
    (void)state;
    kds_text text = {0};
    kds_text_add(&text, MINIMAL "seeds = [");
    for (int i = 0; i < 100000; i++) {
        kds_text_addf(&text, "%d,", i);
    }
    kds_text_add(&text, "];");
    kds_grid *g = parse(kds_text_string(&text));
    assert_int_equal(g->axes[0].n_values, 100000);
    kds_grid_free(g);
    kds_text_clear(&text);
}

static void key_tables(void **state)
{
    (void)state;
    kds_text text = {0};
    kds_grid_keys_to_text(&text);
    size_t column = 0;
    for (const char *p = kds_text_string(&text); *p != '\0'; p++) {
        column = *p == '\n' ? 0 : column + 1;
        assert_true(column <= 80);
        assert_false(*p == ' ' && p[1] == '\n');
    }
    kds_text markdown = {0};
    kds_grid_keys_to_markdown(&markdown);
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    for (int i = 0; i < n_slots; i++) {
        char cell[128];
        snprintf(cell, sizeof cell, "| `%s`", slots[i].shared_path != NULL ? slots[i].shared_path : slots[i].path);
        const char *row = strstr(kds_text_string(&markdown), cell);
        assert_non_null(row);
        assert_null(strstr(row + 1, cell)); /* once */
    }
    assert_non_null(strstr(kds_text_string(&markdown), "| `student.baseline` |"));
    assert_non_null(strstr(kds_text_string(&text), "\nstore = { ... }\n"));
    kds_text_clear(&text);
    kds_text_clear(&markdown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documented_example),
        cmocka_unit_test(defaults),
        cmocka_unit_test(numbers_of_all_kinds),
        cmocka_unit_test(shared_keys),
        cmocka_unit_test(overrides),
        cmocka_unit_test(milestones_are_one_value),
        cmocka_unit_test(teacher_seed),
        cmocka_unit_test(resolved_text),
        cmocka_unit_test(long_lists),
        cmocka_unit_test(key_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
