/* `kdsweep plan grid.cfg`: what the sweep is, what it costs, how long it takes on how many ranks. Trains and writes nothing. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app.h"
#include "calibrate.h"
#include "kdsweep/arena.h"
#include "results_layout.h"
#include "worker.h"

static void print_axes(const kds_grid *grid)
{
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    puts("axes");
    for (int a = 0; a < grid->n_axes; a++) {
        enum { SHOWN = 8 };
        const kds_axis *axis = &grid->axes[a];
        kds_text line = {0};
        for (int v = 0; v < axis->n_values && v < SHOWN; v++) {
            kds_text_add(&line, v > 0 ? ", " : "");
            kds_slot_value_to_text(&slots[axis->slots[0]], axis->values[v], false, &line);
        }
        printf("  %-30s %4d  %s%s\n", axis->path, axis->n_values, kds_text_string(&line),
               axis->n_values > SHOWN ? ", ..." : "");
        kds_text_clear(&line);
    }
    if (grid->n_axes == 0) {
        puts("  none: one combination");
    }
}

static void print_trials(const kds_plan *plan)
{
    char n[KDS_NUMBER_CHARS], combinations[KDS_NUMBER_CHARS];
    printf("\ntrials\n");
    printf("  %-29s %s\n", "combinations of the axes", kds_count_to_text(plan->n_combinations, combinations));
    printf("  %-29s %s\n", "teachers, each once", kds_count_to_text(plan->n_teachers, n));
    printf("  %-29s %s\n", "baselines", kds_count_to_text(plan->n_baselines, n));
    printf("  %-29s %s\n", "students", kds_count_to_text(plan->n_students, n));
    printf("  %-29s %s\n", "all", kds_count_to_text(plan->n_jobs, n));
}

static int count_seeds(const kds_grid *grid)
{
    for (int a = 0; a < grid->n_axes; a++) {
        if (strcmp(grid->axes[a].name, "seed") == 0) {
            return grid->axes[a].n_values;
        }
    }
    return 1;
}

static void print_variable(void *context, const char *variable, double bytes)
{
    char text[KDS_NUMBER_CHARS];
    double all = *(double *)context;
    if (bytes >= 0.02 * all) {
        printf("    of it %-21s %s\n", variable, kds_bytes_to_text(bytes, text));
    }
}

static kds_status print_sizes(const kds_plan *plan, const kds_dataset *sizes, const kds_survey *survey, kds_error *err)
{
    kds_status status;
    kds_row_plan rows;
    kds_layout_owner layout = {0};
    int64_t n_validation, n_test;
    kds_trial_spec spec;
    char text[KDS_NUMBER_CHARS];
    const kds_provenance none = {"", "", "", "", "", 1};
    kds_plan_spec(plan, 0, &spec);
    kds_setup_split_sizes(&spec.data, sizes, &n_validation, &n_test);
    kds_row_plan_make(plan, survey, sizes, n_validation, n_test, &rows);
    KDS_TRY(kds_layout_make(plan, &rows, sizes, NULL, &none, KDS_LAYOUT_SIZES, &layout, err));
    double bytes = kds_store_bytes(&layout.layout, NULL, NULL);
    double row = (double)kds_trial_result_packed_size(&rows.shape);
    printf("\nmemory\n");
    printf("  %-29s %s\n", "data set, once per node", kds_bytes_to_text((double)kds_dataset_block_size(sizes), text));
    printf("  %-29s %s\n", "largest trial, per rank", kds_bytes_to_text(survey->workspace, text));
    printf("  %-29s %s\n", "row, labels, jobs, per rank",
           kds_bytes_to_text(3 * row + survey->artifact + plan->n_jobs * 41.0, text));
    printf("  %-29s %s\n", "checkpoint, per rank", kds_bytes_to_text(survey->checkpoint + row, text));
    printf("\ndisk\n");
    printf("  %-29s %s\n", "results file", kds_bytes_to_text(bytes, text));
    kds_store_bytes(&layout.layout, print_variable, &bytes);
    printf("  %-29s %s\n", "teachers' labels", kds_bytes_to_text(survey->artifact * plan->n_teachers, text));
out:
    kds_layout_clear(&layout);
    return status;
}

static kds_status print_forecast(const kds_plan *plan, const kds_dataset *sizes, const double *costs, int n_ranks,
                                 kds_error *err)
{
    kds_status status = KDS_OK;
    kds_kernels kernels;
    size_t n = (size_t)plan->n_jobs;
    char text[KDS_NUMBER_CHARS];
    double all = 0, per_flop;
    kds_farm_job *jobs = kds_alloc(n, sizeof *jobs, err);
    if (!jobs) {
        status = KDS_MEMORY;
        goto out;
    }
    KDS_TRY(kds_blas_single_thread(err));
    KDS_TRY(kds_kernels_select(&kernels, err));
    for (size_t i = 0; i < n; i++) {
        jobs[i] = (kds_farm_job){plan->jobs[i].teacher, KDS_JOB_WAITING, costs[i]};
        all += costs[i];
    }
    const kds_data_shape shape = kds_dataset_shape(sizes);
    KDS_TRY(kds_calibrate(plan, costs, &kernels, &shape, &per_flop, err));
    printf("\ntime, by the speed of this machine's core now (%.1f GFLOP/s on these models)\n", 1e-9 / per_flop);
    printf("  %-29s %s\n", "work, one core", kds_seconds_to_text(all * per_flop, text));
    printf("  %8s  %-16s %s\n", "ranks", "makespan", "ranks busy");
    for (int r = n_ranks > 0 ? n_ranks : 1; r <= (n_ranks > 0 ? n_ranks : 1024); r *= n_ranks > 0 ? 2 : 4) {
        kds_farm_forecast forecast;
        KDS_TRY(kds_farm_simulate(jobs, plan->n_jobs, r, per_flop, &forecast, err));
        printf("  %8d  %-16s %.0f %%\n", r, kds_seconds_to_text(forecast.makespan, text), 100 * forecast.utilisation);
        if (n_ranks > 0) {
            break;
        }
        if (forecast.makespan < 1.02 * forecast.critical_path) {
            printf("  more ranks cannot help: one teacher and its longest student take that long\n");
            break;
        }
    }
out:
    kds_free(jobs);
    return status;
}

/* One entry of the list "mind"; the first, at *n_remarks = 0, comes with its heading. */
static void remark(int *n_remarks, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void remark(int *n_remarks, const char *format, ...)
{
    enum { INDENT = 2 };
    char words[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    kds_text wrapped = {0};
    kds_text_add_wrapped(&wrapped, words, 2 * INDENT, INDENT);
    printf("%s%*s%s", (*n_remarks)++ == 0 ? "\nmind\n" : "", INDENT, "", kds_text_string(&wrapped));
    kds_text_clear(&wrapped);
}

static void print_warnings(const kds_plan *plan, const kds_dataset *sizes, const kds_survey *survey)
{
    int mind = 0;
    kds_trial_spec spec;
    int64_t n_validation, n_test;
    const int n_seeds = count_seeds(plan->grid);
    kds_plan_spec(plan, 0, &spec);
    kds_setup_split_sizes(&spec.data, sizes, &n_validation, &n_test);
    const double per_class = (double)(n_test < n_validation ? n_test : n_validation) / sizes->n_classes;
    if (n_seeds < 3) {
        remark(&mind, "%d seed%s: a spread over seeds needs three at least", n_seeds, n_seeds == 1 ? "" : "s");
    }
    if (per_class < 100) {
        remark(&mind,
               "about %.0f examples per class in validation or test: one of them moves that class's accuracy by %.1f "
               "points, and a worst class of noisy ones is biased low",
               per_class, 100 / per_class);
    }
    if (survey->smallest_class < 10) {
        remark(&mind, "at imbalance ratio %g the smallest class keeps %lld training examples", survey->largest_ratio,
               (long long)survey->smallest_class);
    }
    kds_text idle = {0};
    kds_setup_list_idle_keys(plan, &idle);
    for (const char *line = kds_text_string(&idle); *line; line += strcspn(line, "\n") + 1) {
        remark(&mind, "%.*s is given, but no trial of this grid uses it", (int)strcspn(line, "\n"), line);
    }
    kds_text_clear(&idle);
    kds_error slow = KDS_ERROR_INIT;
    if (kds_blas_check_core(&slow) != KDS_OK) {
        remark(&mind, "%s (only KDSWEEP_ISA=scalar uses it): %s", slow.message, slow.hint);
    }
    if (!plan->grid->baseline) {
        remark(&mind, "no baselines (student.baseline = false): nothing to compare students with");
    }
}

int kds_command_plan(const kds_options *options, kds_log *log)
{
    kds_status status;
    kds_error err = KDS_ERROR_INIT;
    kds_setup setup = {0};
    kds_dataset sizes;
    kds_survey survey = {0};
    kds_trial_spec spec;
    char n[3][KDS_NUMBER_CHARS];
    KDS_TRY(kds_setup_new(options, NULL, log, &setup, &err));
    printf("%s: %s\n\n", options->file, setup.grid->name);
    print_axes(setup.grid);
    print_trials(setup.plan);
    kds_plan_spec(setup.plan, 0, &spec);
    KDS_TRY(kds_dataset_probe(&spec.data, &sizes, &err));
    printf("\ndata\n  %s training and %s test examples of %s features, %d classes",
           kds_count_to_text(sizes.n_train, n[0]), kds_count_to_text(sizes.n_test, n[1]),
           kds_count_to_text(sizes.n_features, n[2]), (int)sizes.n_classes);
    printf(sizes.n_groups > 0 ? ", %d groups\n" : "\n", (int)sizes.n_groups);
    puts("  (sizes and labels were looked at, the examples' values were not)");
    KDS_TRY(kds_setup_check_splits(setup.plan, &sizes, &err));
    KDS_TRY(kds_survey_new(setup.plan, &sizes, &survey, &err));
    KDS_TRY(print_sizes(setup.plan, &sizes, &survey, &err));
    fflush(stdout);
    KDS_TRY(print_forecast(setup.plan, &sizes, survey.costs, options->n_ranks, &err));
    print_warnings(setup.plan, &sizes, &survey);
out:
    fflush(stdout);
    kds_survey_clear(&survey);
    kds_setup_clear(&setup);
    return kds_end_with(log, status, &err);
}
