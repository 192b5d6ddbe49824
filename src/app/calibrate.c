#include "calibrate.h"

#include <string.h>

#include "kdsweep/arena.h"
#include "kdsweep/clock.h"
#include "kdsweep/distill.h"
#include "kdsweep/nn.h"

enum { MAX_CALIBRATED = 8, MAX_LOOKED_AT = 10000 };
static const double seconds_each = 0.25;

/* Seconds per flop of training steps with this recipe. */
static kds_status time_recipe(const kds_recipe *recipe, const kds_kernels *kernels, int32_t n_features,
                              int32_t n_classes, double *out, kds_error *err)
{
    kds_status status;
    kds_model model;
    kds_net net;
    kds_loss loss;
    float *x = NULL, *d_logits = NULL;
    double *prior = NULL;
    int32_t *label = NULL;
    kds_arena memory = {0};
    KDS_TRY(kds_model_make(recipe->model, n_features, n_classes, &model, err));
    for (int pass = 0; pass < 2; pass++) { /* measure, then take */
        kds_arena arena = pass == 0 ? kds_arena_measure() : memory;
        kds_net_take(&net, &model, kernels, recipe->batch, &arena);
        kds_loss_take(&loss, n_classes, recipe->batch, &arena);
        x = KDS_ARENA_TAKE(&arena, (size_t)recipe->batch * (size_t)n_features, float);
        d_logits = KDS_ARENA_TAKE(&arena, (size_t)recipe->batch * (size_t)n_classes, float);
        prior = KDS_ARENA_TAKE(&arena, (size_t)n_classes, double);
        label = KDS_ARENA_TAKE(&arena, (size_t)recipe->batch, int32_t);
        if (pass == 0) {
            KDS_TRY(kds_arena_init(&memory, arena.used, err));
        }
    }
    for (int64_t i = 0; i < (int64_t)recipe->batch * n_features; i++) {
        x[i] = (float)(i % 7) - 3.0f;
    }
    for (int32_t y = 0; y < n_classes; y++) {
        prior[y] = 1.0 / n_classes;
    }
    kds_net_init(&net, 0, 0);
    kds_loss_init(&loss, kernels, recipe, NULL, prior, NULL, 0);
    double flops = 0, start = 0, elapsed = 0;
    for (int step = 0; elapsed < seconds_each; step++) {
        const float *logits = kds_net_forward(&net, x, recipe->batch);
        kds_loss_gradient(&loss, recipe->batch, logits, label, NULL, d_logits);
        kds_net_backward(&net, x, recipe->batch, d_logits);
        kds_net_step(&net, recipe, 1e-6);
        if (step == 0) { /* the first step warms up: it is not counted */
            start = kds_clock_wall();
        } else {
            flops += 2 * kds_model_training_macs(&model) * recipe->batch;
            elapsed = kds_clock_wall() - start;
        }
    }
    *out = elapsed / flops;
out:
    kds_arena_clear(&memory);
    return status;
}

kds_status kds_calibrate(const kds_plan *plan, const double *costs, const kds_kernels *kernels, int32_t n_features,
                         int32_t n_classes, double *seconds_per_flop, kds_error *err)
{
    kds_status status = KDS_OK;
    struct {
        char model[KDS_MODEL_CHARS];
        int32_t batch;
        kds_recipe recipe;
        double cost;
    } seen[MAX_CALIBRATED];
    int n_seen = 0;
    int32_t stride = 1 + plan->n_jobs / MAX_LOOKED_AT; /* weights need no more than a sample */
    for (int32_t i = 0; i < plan->n_jobs; i += stride) {
        kds_trial_spec spec;
        kds_plan_spec(plan, i, &spec);
        const kds_recipe *recipe = kds_trial_recipe(&spec);
        int k = 0;
        while (k < n_seen && (seen[k].batch != recipe->batch || strcmp(seen[k].model, recipe->model) != 0)) {
            k++;
        }
        if (k == n_seen && n_seen < MAX_CALIBRATED) {
            memcpy(seen[k].model, recipe->model, sizeof seen[k].model);
            seen[k].batch = recipe->batch;
            seen[k].recipe = *recipe;
            seen[k].cost = 0;
            n_seen++;
        }
        if (k < n_seen) {
            seen[k].cost += costs[i];
        }
    }
    double seconds = 0, cost = 0;
    for (int k = 0; k < n_seen; k++) {
        double per_flop;
        KDS_TRY(time_recipe(&seen[k].recipe, kernels, n_features, n_classes, &per_flop, err));
        seconds += per_flop * seen[k].cost;
        cost += seen[k].cost;
    }
    *seconds_per_flop = cost > 0 ? seconds / cost : 0;
out:
    return status;
}
