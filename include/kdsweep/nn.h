/*
 * Networks: layers, models by name, forward, backward, the optimiser step, learning-rate schedules.
 *
 * A kds_model is the description (a short table of layers); a kds_net is one in memory, its buffers taken from an arena. Parameters are
 * one flat float32 array, layer after layer, in each layer weights [n_in][n_out] (row-major), then biases [n_out].
 */
#ifndef KDSWEEP_NN_H
#define KDSWEEP_NN_H

#include <stdint.h>

#include "kdsweep/arena.h"
#include "kdsweep/kernels.h"
#include "kdsweep/status.h"
#include "kdsweep/trial.h"

/* A dense layer y = x W + b, with or without a rectifier behind it. */
typedef struct kds_layer {
    int32_t n_in, n_out;
    int relu;
    int64_t weights; /* where W starts in the parameters; the biases follow it */
    int64_t biases;
} kds_layer;

typedef struct kds_model {
    int32_t n_features, n_classes;
    int n_layers;
    kds_layer layers[KDS_MAX_LAYERS + 1]; /* the hidden ones and the output */
    int64_t n_parameters;
} kds_model;

/* "mlp:512-256" on this data. KDS_GRID for a name that does not parse. */
kds_status kds_model_make(const char *name, int32_t n_features, int32_t n_classes, kds_model *out, kds_error *err);

/* Multiply-adds of one example: forward, and forward + both backward products (no product back to the data). */
double kds_model_forward_macs(const kds_model *model);
double kds_model_training_macs(const kds_model *model);

typedef struct kds_net {
    const kds_model *model;
    const kds_kernels *kernels;
    int32_t max_rows;
    float *parameters, *gradient, *velocity; /* [n_parameters] each */
    float *activation[KDS_MAX_LAYERS + 1];   /* [max_rows][n_out] behind each layer; the last are the logits */
    float *delta[2];                         /* [max_rows][widest layer] gradients with respect to activations */
} kds_net;

/* Take the buffers of a net for batches of at most max_rows (works on a measuring arena). */
void kds_net_take(kds_net *net, const kds_model *model, const kds_kernels *kernels, int32_t max_rows, kds_arena *arena);

/* He initialisation: W ~ N(0, 2 / n_in), biases 0, velocity 0. A pure function of (seed, stream, layer, position). `stream` keeps a teacher
 * and its student of the same shape apart. */
void kds_net_init(kds_net *net, uint64_t seed, uint32_t stream);

/* x: [n_rows][n_features], n_rows <= max_rows. Returns the logits [n_rows][n_classes], valid until the next call. */
const float *kds_net_forward(kds_net *net, const float *x, int32_t n_rows);

/* After kds_net_forward on the same x and n_rows: gradient of the loss whose gradient with respect to the logits is d_logits (which is
 * overwritten). Fills net->gradient. */
void kds_net_backward(kds_net *net, const float *x, int32_t n_rows, float *d_logits);

/* One step of SGD as in PyTorch: weight decay added to the gradient, momentum, Nesterov. Biases decay only with
 * recipe->decay_biases. */
void kds_net_step(kds_net *net, const kds_recipe *recipe, double lr);

/* Learning rate of gradient step `step` (0-based, over the whole training): linear warm-up over recipe->warmup epochs, reaching the peak
 * on its last step, then constant, step (times lr_decay after each milestone) or cosine (to 0 at the end). */
double kds_schedule_lr(const kds_recipe *recipe, int64_t step, int64_t steps_per_epoch);

#endif
