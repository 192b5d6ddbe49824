/*
 * Networks: layers, models by name, forward, backward, the optimiser step, learning-rate schedules.
 *
 * A kds_model is the description, a short table of layers that a few lines of nn/model_*.c write; a kds_net is one in memory, its
 * buffers taken from an arena. How the layers are laid out, blocked and fused is told in nn/README.md.
 *
 * Stored values (checkpoints excepted, which are raw memory): one flat float32 array of n_values. First the parameters, layer after
 * layer, in each weights [K][n_out] row-major, then biases [n_out], or the scale and then the offset [n_out] of its normalisation. Then
 * the running statistics, in each layer with normalisation mean [n_out], variance [n_out]. K is n_in of a dense layer and
 * [row of taps][tap][n_in] of a convolution. So a dense layer on a map sees its pixels row by row, channels innermost.
 */
#ifndef KDSWEEP_NN_H
#define KDSWEEP_NN_H

#include <stdint.h>

#include "kdsweep/arena.h"
#include "kdsweep/kernels.h"
#include "kdsweep/status.h"
#include "kdsweep/trial.h"

typedef enum kds_layer_kind {
    KDS_LAYER_DENSE,
    KDS_LAYER_CONVOLUTION,
    KDS_LAYER_MAX_POOL,
    KDS_LAYER_AVERAGE_POOL
} kds_layer_kind;

enum { KDS_INPUT = -1, KDS_NO_SKIP = -2 }; /* for kds_layer.input and .skip */

/*
 * out = relu?( norm?(W * in) + bias? + skip? ): a layer with what follows it. Maps are height x width x channels; a dense layer's
 * output has height = width = 1.
 */
typedef struct kds_layer {
    int32_t kind;  /* kds_layer_kind */
    int32_t input; /* the layer that it reads; KDS_INPUT: the data */
    int32_t skip;  /* the layer whose output is added (stride and channels by dropping pixels, adding zeros) */
    int32_t kernel, stride, padding; /* of a convolution; a pool's window is kernel, its stride too */
    bool norm;                       /* batch normalisation instead of a bias */
    bool relu;
    int32_t in_height, in_width, in_channels;
    int32_t height, width, channels; /* of the output */
    int64_t n_weights;               /* K * channels; 0 for a pool */
    int64_t weights;                 /* where they start in the stored values; biases, or scale and offset, follow */
    int64_t statistics;              /* where mean and variance start in the stored values */
} kds_layer;

enum { KDS_MAX_MODEL_LAYERS = 256 };

typedef struct kds_model {
    int32_t n_features, n_classes;
    int n_layers;
    kds_layer layers[KDS_MAX_MODEL_LAYERS]; /* a layer reads only earlier ones; the last is dense without rectifier */
    int64_t n_parameters;                   /* trained */
    int64_t n_values;                       /* parameters and running statistics */
    /* running = (1 - momentum) running + momentum batch; (y - mean) / sqrt(var + epsilon) */
    float norm_momentum, norm_epsilon;
} kds_model;

/* The model that recipe->model names ("mlp:512-256", "lenet5", "resnet20", "resnet20x32"), with the recipe's shortcut and
 * normalisation, on these data. KDS_GRID for a name that does not parse or does not fit the data (a convolution needs square images of
 * 8 to 64 pixels and 1 or 3 channels). */
kds_status kds_model_make(const kds_recipe *recipe, const kds_data_shape *data, kds_model *out, kds_error *err);

/* Multiply-adds of one example that are needed: taps on padding are not counted. Forward; and forward + both backward products (no
 * product back to the data). */
double kds_model_forward_macs(const kds_model *model);
double kds_model_training_macs(const kds_model *model);

typedef struct kds_net kds_net;

/*
 * What a net is for. It has buffers for nothing else:
 *   KDS_NET_EVALUATES       values and maps, for kds_net_forward in this use. No velocity: no kds_net_init, kds_net_get_state;
 *   KDS_NET_TRAINS          also velocity and gradients, for kds_net_forward in both uses and kds_net_backward_step. The weights of
 *                           dense layers have no gradient in memory;
 *   KDS_NET_DIFFERENTIATES  theirs too, for kds_net_backward, kds_net_step and kds_net_get_gradient. Only for kds_net_take.
 */
typedef enum kds_net_use { KDS_NET_TRAINS, KDS_NET_EVALUATES, KDS_NET_DIFFERENTIATES } kds_net_use;

/* Take a net, with its buffers for batches of at most max_rows, from the arena; NULL from a measuring arena. Nothing that comes
 * out of it after kds_net_init or kds_net_set_values depends on what the memory held before. model and kernels are borrowed. */
kds_net *kds_net_take(const kds_model *model, const kds_kernels *kernels, int32_t max_rows, kds_net_use use,
                      kds_arena *arena);

/* He initialisation: W ~ N(0, 2 / K), biases 0; normalisation scale 1, offset 0, mean 0, variance 1; velocity 0. A pure
 * function of (seed, stream, layer, position). `stream` keeps a teacher and its student of the same shape apart. */
void kds_net_init(kds_net *net, uint64_t seed, uint32_t stream);

/* Where the caller puts a batch: [max_rows][pitch], n_features of each row. */
float *kds_net_input(kds_net *net);
int64_t kds_net_input_pitch(const kds_net *net);

/* Forward on the first n_rows rows of the input. Returns the logits [n_rows][n_classes], valid until the next call. KDS_NET_TRAINS:
 * normalisation by the batch, whose statistics go into the running ones; KDS_NET_EVALUATES: by the running ones. */
const float *kds_net_forward(kds_net *net, int32_t n_rows, kds_net_use use);

/* After kds_net_forward in training use: the gradient of the loss whose gradient with respect to the logits is d_logits
 * [n_rows][n_classes] (not changed). Afterwards kds_net_get_gradient has it. */
void kds_net_backward(kds_net *net, int32_t n_rows, const float *d_logits);

/* After kds_net_backward: one step of SGD as in PyTorch along its gradient. Biases and the parameters of normalisations decay only with
 * recipe->decay_biases. */
void kds_net_step(kds_net *net, const kds_recipe *recipe, double lr);

/* Both at once, with the same bits: dense layers never write the gradient of their weights to memory. */
void kds_net_backward_step(kds_net *net, int32_t n_rows, const float *d_logits, const kds_recipe *recipe, double lr);

/* Stored values [n_values], and back; the gradient of the parameters [n_parameters]. */
void kds_net_get_values(const kds_net *net, float *values);
void kds_net_set_values(kds_net *net, const float *values);
void kds_net_get_gradient(const kds_net *net, float *gradient);

/* Everything that training has changed (parameters, velocity, running statistics), raw: valid for the same model, kernels and build. */
typedef struct kds_net_state {
    void *bytes;
    size_t size;
} kds_net_state;
kds_net_state kds_net_get_state(kds_net *net);

const kds_model *kds_net_model(const kds_net *net);
const kds_kernels *kds_net_kernels(const kds_net *net);

/* Learning rate of gradient step `step` (0-based, over the whole training): linear warm-up over recipe->warmup epochs, reaching the peak
 * on its last step, then constant, step (times lr_decay after each milestone) or cosine (to 0 at the end). */
double kds_schedule_lr(const kds_recipe *recipe, int64_t step, int64_t steps_per_epoch);

#endif
