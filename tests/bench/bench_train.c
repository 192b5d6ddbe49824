/*
 * Training throughput of the core on one processor: bench_train MODEL SECONDS [BATCH]
 *
 * Gathers random rows of a byte data set, standardises, forward, distillation loss (teacher at T = 4), backward, momentum SGD with weight
 * decay: what the training loop does for a mini-batch. Prints images per second and GFLOP/s of the needed multiply-adds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kdsweep/arena.h"
#include "kdsweep/clock.h"
#include "kdsweep/distill.h"
#include "kdsweep/nn.h"
#include "kdsweep/rng.h"

enum { N_EXAMPLES = 10000, N_FEATURES = 784, N_CLASSES = 10 };

typedef struct bench {
    kds_model model;
    kds_net net;
    kds_loss loss;
    uint8_t *data;                        /* [N_EXAMPLES][N_FEATURES] */
    float *scale, *shift, *x, *d_logits;  /* [N_FEATURES] twice, [batch][N_FEATURES], [batch][N_CLASSES] */
    float *teacher_logits, *teacher_rows; /* [N_EXAMPLES][N_CLASSES], [batch][N_CLASSES] */
    double *prior;
    int32_t *labels, *rows, *label;
} bench;

static void take(bench *b, const kds_kernels *kernels, int32_t batch, kds_arena *arena)
{
    size_t n = (size_t)batch;
    kds_net_take(&b->net, &b->model, kernels, batch, arena);
    kds_loss_take(&b->loss, N_CLASSES, batch, arena);
    b->data = KDS_ARENA_TAKE(arena, (size_t)N_EXAMPLES * N_FEATURES, uint8_t);
    b->scale = KDS_ARENA_TAKE(arena, N_FEATURES, float);
    b->shift = KDS_ARENA_TAKE(arena, N_FEATURES, float);
    b->x = KDS_ARENA_TAKE(arena, n * N_FEATURES, float);
    b->d_logits = KDS_ARENA_TAKE(arena, n * N_CLASSES, float);
    b->teacher_logits = KDS_ARENA_TAKE(arena, (size_t)N_EXAMPLES * N_CLASSES, float);
    b->teacher_rows = KDS_ARENA_TAKE(arena, n * N_CLASSES, float);
    b->prior = KDS_ARENA_TAKE(arena, N_CLASSES, double);
    b->labels = KDS_ARENA_TAKE(arena, N_EXAMPLES, int32_t);
    b->rows = KDS_ARENA_TAKE(arena, n, int32_t);
    b->label = KDS_ARENA_TAKE(arena, n, int32_t);
}

static void fill(bench *b, const kds_kernels *kernels, const kds_recipe *recipe)
{
    const kds_distill_spec distill = {.temperature = 4, .mixing = 1};
    kds_rng rng = kds_rng_make(1, KDS_RNG_GENERATE, 0);
    for (size_t i = 0; i < (size_t)N_EXAMPLES * N_FEATURES; i++) {
        b->data[i] = (uint8_t)(kds_rng_next_u64(&rng) >> 56);
    }
    for (size_t i = 0; i < (size_t)N_EXAMPLES * N_CLASSES; i++) {
        b->teacher_logits[i] = (float)(3 * kds_rng_normal(&rng));
    }
    for (int32_t i = 0; i < N_EXAMPLES; i++) {
        b->labels[i] = (int32_t)kds_rng_below(&rng, N_CLASSES);
    }
    for (int32_t j = 0; j < N_FEATURES; j++) {
        b->scale[j] = 1.0f / 128;
        b->shift[j] = -1.0f;
    }
    for (int32_t y = 0; y < N_CLASSES; y++) {
        b->prior[y] = 1.0 / N_CLASSES;
    }
    kds_net_init(&b->net, 1, 0);
    kds_loss_init(&b->loss, kernels, recipe, &distill, b->prior, b->teacher_logits, N_EXAMPLES);
}

static double step(bench *b, const kds_recipe *recipe, kds_rng *rng)
{
    for (int32_t i = 0; i < recipe->batch; i++) {
        int32_t row = (int32_t)kds_rng_below(rng, N_EXAMPLES);
        b->rows[i] = row;
        b->label[i] = b->labels[row];
        for (int32_t y = 0; y < N_CLASSES; y++) {
            b->teacher_rows[i * N_CLASSES + y] = b->teacher_logits[row * N_CLASSES + y];
        }
    }
    b->net.kernels->gather_u8(recipe->batch, N_FEATURES, b->rows, b->data, b->scale, b->shift, b->x);
    const float *logits = kds_net_forward(&b->net, b->x, recipe->batch);
    double loss = kds_loss_gradient(&b->loss, recipe->batch, logits, b->label, b->teacher_rows, b->d_logits);
    kds_net_backward(&b->net, b->x, recipe->batch, b->d_logits);
    kds_net_step(&b->net, recipe, recipe->lr);
    return loss;
}

static kds_status run(const char *model, double seconds, int32_t batch, kds_error *err)
{
    kds_status status;
    kds_kernels kernels;
    bench b = {0};
    kds_arena memory = {0};
    kds_recipe recipe = {.batch = batch, .lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4, .epochs = 1};
    KDS_TRY(kds_blas_single_thread(err));
    KDS_TRY(kds_kernels_select(&kernels, err));
    KDS_TRY(kds_model_make(model, N_FEATURES, N_CLASSES, &b.model, err));
    for (int pass = 0; pass < 2; pass++) { /* measure, then take */
        kds_arena arena = pass == 0 ? kds_arena_measure() : memory;
        take(&b, &kernels, batch, &arena);
        if (pass == 0) {
            KDS_TRY(kds_arena_init(&memory, arena.used, err));
        }
    }
    fill(&b, &kernels, &recipe);
    kds_rng rng = kds_rng_make(2, KDS_RNG_SHUFFLE, 0);
    double loss = 0, start, elapsed;
    int64_t n_steps = 0;
    for (int i = 0; i < 20; i++) { /* warm up */
        loss = step(&b, &recipe, &rng);
    }
    start = kds_clock_wall();
    do {
        loss = step(&b, &recipe, &rng);
        n_steps++;
        elapsed = kds_clock_wall() - start;
    } while (elapsed < seconds);
    double images = (double)n_steps * batch / elapsed;
    printf("%.1f images/s %.2f GFLOP/s loss %.4f isa %s blas %s\n", images,
           2e-9 * images * kds_model_training_macs(&b.model), loss, kds_isa_name(kernels.isa), kds_blas_core());
out:
    kds_arena_clear(&memory);
    return status;
}

int main(int argc, char **argv)
{
    kds_error err = KDS_ERROR_INIT;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_train MODEL SECONDS [BATCH]\n");
        return 1;
    }
    if (run(argv[1], atof(argv[2]), argc > 3 ? atoi(argv[3]) : 128, &err) != KDS_OK) {
        fprintf(stderr, "bench_train: %s\n", err.message);
        return 1;
    }
    return 0;
}
