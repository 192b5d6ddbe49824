/*
 * What could be gained by training several students of one teacher in one step: bench_fused [SECONDS]
 *
 * Students with the same architecture, seed and data order that differ in objective or temperature see the same batches, but their weights
 * part after the first step. So a fused step of S students can share what does not depend on weights, choosing and standardising the
 * batch, and can turn the S first products, which read the same batch, into one with S times the columns. All else is theirs. The bound
 *
 *     fused(S) = S one - (S - 1) input - S first(1) + first(S)
 *
 * is made of measured times: one step, the input's part of it, and the products of the first layer (forward, backward with step; no
 * product back to the data) with its columns once and S times. It is an upper bound of the gain: putting S maps apart for the second
 * layer, S students that no longer fit into the cache between two steps and the bookkeeping are free in it.
 *
 * For MLPs a second estimate is trained as a whole: a network with an S-fold first hidden layer, whose second product has as many
 * multiply-adds as S separate ones, and S - 1 times what follows.
 *
 * Every time is measured for SECONDS in each of several rounds; the gain is the median of what each round gives, in per cent of the
 * processor time of S separate steps. The caller pins.
 */
#include <string.h>

#include "measure.h"
#include "staged.h"
#include "student.h"

enum { BATCH = 128, N_ROUNDS = 7, N_FOLDS = 3 };

static const int32_t folds[N_FOLDS] = {1, 4, 8};

/* One fused step of the wide estimate: the wide network, then the tail of the other students. */
typedef struct wide {
    student net, tail; /* without a second hidden layer the tail is only the loss */
    int32_t n_hidden, fold;
} wide;

typedef struct fused_bench {
    student one;
    staged first[N_FOLDS];
    wide wide[N_FOLDS];
} fused_bench;

enum { TIME_ONE, TIME_INPUT, TIME_FIRST, TIME_WIDE = TIME_FIRST + N_FOLDS, N_TIMES = TIME_WIDE + N_FOLDS };

static void first_layer(void *context)
{
    staged_forward(context);
    staged_step(context);
}

static void wide_step(void *context)
{
    wide *w = context;
    student_step(&w->net);
    for (int32_t i = 1; i < w->fold; i++) {
        if (w->n_hidden > 1) {
            student_learn(&w->tail);
        } else {
            student_loss(&w->net);
        }
    }
}

static kds_status make_first(fused_bench *b, kds_error *err)
{
    kds_status status = KDS_OK;
    const kds_layer *layer = &b->one.model.layers[0];
    kds_rng rng = kds_rng_make(3, KDS_RNG_GENERATE, 0);
    for (int i = 0; i < N_FOLDS; i++) {
        layer_shape shape = {.images = BATCH,
                             .height = layer->in_height,
                             .width = layer->in_width,
                             .n_in = layer->in_channels,
                             .n_out = layer->channels * folds[i],
                             .kernel = layer->kernel,
                             .stride = layer->stride,
                             .padding = layer->padding};
        if (layer->kind == KDS_LAYER_DENSE) {
            shape.images = 1;
            shape.width = BATCH;
        }
        KDS_TRY(staged_make(&b->first[i], &b->one.kernels, &shape, err));
        staged_fill(&b->first[i], &rng);
    }
out:
    return status;
}

/* "mlp:<fold * first>-<rest>", and "mlp:<rest without its first>" on the width of that first for the tail. */
static kds_status make_wide(wide *w, const kds_model_name *name, int32_t fold, kds_error *err)
{
    kds_status status;
    const kds_data_shape images = student_images(28, 1);
    const kds_data_shape hidden = {.n_features = name->widths[1], .n_classes = STUDENT_CLASSES};
    char model[KDS_MODEL_CHARS], tail[KDS_MODEL_CHARS] = "mlp:";
    size_t used = (size_t)snprintf(model, sizeof model, "mlp:%d", (int)(fold * name->widths[0]));
    w->n_hidden = name->n_hidden;
    w->fold = fold;
    for (int i = 1; i < name->n_hidden && used < sizeof model; i++) {
        used += (size_t)snprintf(model + used, sizeof model - used, "-%d", (int)name->widths[i]);
        if (i > 1) {
            size_t n = strlen(tail);
            snprintf(tail + n, sizeof tail - n, "%s%d", i > 2 ? "-" : "", (int)name->widths[i]);
        }
    }
    KDS_TRY(student_make(&w->net, model, &images, BATCH, err));
    if (w->n_hidden > 1) {
        KDS_TRY(student_make(&w->tail, tail, &hidden, BATCH, err));
        student_input(&w->tail);
    }
out:
    return status;
}

/* The bound from the times of one round, in which the machine was as fast for all of them. */
static double fused_seconds(double times[N_TIMES][N_ROUNDS], int round, int i)
{
    double n = folds[i];
    return n * times[TIME_ONE][round] - (n - 1) * times[TIME_INPUT][round] - n * times[TIME_FIRST][round] +
           times[TIME_FIRST + i][round];
}

static void show(const char *model, double times[N_TIMES][N_ROUNDS], bool is_mlp)
{
    double gain[N_FOLDS][N_ROUNDS], wide_gain[N_FOLDS][N_ROUNDS], time[N_TIMES];
    for (int i = 1; i < N_FOLDS; i++) {
        for (int round = 0; round < N_ROUNDS; round++) {
            double separate = folds[i] * times[TIME_ONE][round];
            gain[i][round] = 100 * (1 - fused_seconds(times, round, i) / separate);
            wide_gain[i][round] = 100 * (1 - times[TIME_WIDE + i][round] / separate);
        }
    }
    for (int i = 0; i < N_TIMES; i++) {
        time[i] = 1e6 * median_of(times[i], N_ROUNDS);
    }
    for (int i = 1; i < N_FOLDS; i++) {
        printf("| %s | %d | %.1f | %.1f | %.1f | %.1f | %.1f %% |", model, (int)folds[i], time[TIME_ONE],
               time[TIME_INPUT], time[TIME_FIRST], time[TIME_FIRST + i], median_of(gain[i], N_ROUNDS));
        if (is_mlp) {
            printf(" %.1f %% |\n", median_of(wide_gain[i], N_ROUNDS));
        } else {
            printf(" |\n");
        }
    }
    fflush(stdout);
}

static kds_status run(const char *model, double seconds, kds_error *err)
{
    kds_status status;
    static fused_bench b; /* zero, too large for a stack, and nothing in it may move */
    kds_data_shape data;
    kds_model_name name;
    double times[N_TIMES][N_ROUNDS] = {{0}};
    b = (fused_bench){0};
    KDS_TRY(kds_model_parse(model, &name, err));
    KDS_TRY(student_data_of(model, &data, err));
    KDS_TRY(student_make(&b.one, model, &data, BATCH, err));
    KDS_TRY(make_first(&b, err));
    const bool is_mlp = name.family == KDS_FAMILY_MLP && name.n_hidden > 0;
    for (int i = 1; is_mlp && i < N_FOLDS; i++) {
        KDS_TRY(make_wide(&b.wide[i], &name, folds[i], err));
    }
    for (int round = 0; round < N_ROUNDS; round++) {
        times[TIME_ONE][round] = seconds_per_call(student_step, &b.one, seconds, 2);
        times[TIME_INPUT][round] = seconds_per_call(student_input, &b.one, seconds, 2);
        for (int i = 0; i < N_FOLDS; i++) {
            times[TIME_FIRST + i][round] = seconds_per_call(first_layer, &b.first[i], seconds, 2);
            if (is_mlp && i > 0) {
                times[TIME_WIDE + i][round] = seconds_per_call(wide_step, &b.wide[i], seconds, 2);
            }
        }
    }
    show(model, times, is_mlp);
out:
    student_clear(&b.one);
    for (int i = 0; i < N_FOLDS; i++) {
        staged_free(&b.first[i]);
        student_clear(&b.wide[i].net);
        student_clear(&b.wide[i].tail);
    }
    return status;
}

int main(int argc, char **argv)
{
    static const char *const models[] = {"mlp:64", "mlp:256-128", "lenet5"};
    kds_error err = KDS_ERROR_INIT;
    double seconds = argc > 1 ? atof(argv[1]) : 0.2;
    printf(
        "students of one teacher, fused: one core, batch %d, median of %d alternating rounds of %g s; microseconds\n\n",
        BATCH, N_ROUNDS, seconds);
    printf(
        "| model | S | one step | its input | its first layer | S-fold first layer | gain at most | gain, wide network |\n"
        "|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        if (run(models[i], seconds, &err) != KDS_OK) {
            fprintf(stderr, "bench_fused: %s\n", err.message);
            return 1;
        }
    }
    return 0;
}
