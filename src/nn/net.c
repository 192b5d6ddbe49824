/* A network in memory: forward, backward, step. */
#include <math.h>
#include <string.h>

#include "kdsweep/nn.h"
#include "kdsweep/rng.h"

void kds_net_take(kds_net *net, const kds_model *model, const kds_kernels *kernels, int32_t max_rows, kds_arena *arena)
{
    *net = (kds_net){.model = model, .kernels = kernels, .max_rows = max_rows};
    net->parameters = KDS_ARENA_TAKE(arena, (size_t)model->n_parameters, float);
    net->gradient = KDS_ARENA_TAKE(arena, (size_t)model->n_parameters, float);
    net->velocity = KDS_ARENA_TAKE(arena, (size_t)model->n_parameters, float);
    int32_t widest_hidden = 0;
    for (int l = 0; l < model->n_layers; l++) {
        int32_t n_out = model->layers[l].n_out;
        net->activation[l] = KDS_ARENA_TAKE(arena, (size_t)max_rows * (size_t)n_out, float);
        if (l + 1 < model->n_layers && n_out > widest_hidden) {
            widest_hidden = n_out;
        }
    }
    for (int b = 0; b < 2; b++) {
        net->delta[b] = KDS_ARENA_TAKE(arena, (size_t)max_rows * (size_t)widest_hidden, float);
    }
}

void kds_net_init(kds_net *net, uint64_t seed, uint32_t stream)
{
    const kds_model *model = net->model;
    for (int l = 0; l < model->n_layers; l++) {
        const kds_layer *layer = &model->layers[l];
        kds_rng rng = kds_rng_make(seed, KDS_RNG_INIT_WEIGHTS, (uint32_t)l * 2 + stream);
        double deviation = sqrt(2.0 / layer->n_in);
        for (int64_t i = layer->weights; i < layer->biases; i++) {
            net->parameters[i] = (float)(deviation * kds_rng_normal(&rng));
        }
        memset(net->parameters + layer->biases, 0, (size_t)layer->n_out * sizeof(float));
    }
    memset(net->velocity, 0, (size_t)model->n_parameters * sizeof(float));
}

const float *kds_net_forward(kds_net *net, const float *x, int32_t n_rows)
{
    const kds_model *model = net->model;
    KDS_ASSERT(n_rows <= net->max_rows);
    const float *input = x;
    for (int l = 0; l < model->n_layers; l++) {
        const kds_layer *layer = &model->layers[l];
        float *output = net->activation[l];
        kds_gemm(0, 0, n_rows, layer->n_out, layer->n_in, input, net->parameters + layer->weights, 0.0f, output);
        net->kernels->bias_activation(n_rows, layer->n_out, net->parameters + layer->biases, layer->relu, output);
        input = output;
    }
    return input;
}

void kds_net_backward(kds_net *net, const float *x, int32_t n_rows, float *d_logits)
{
    const kds_model *model = net->model;
    float *d_output = d_logits;
    for (int l = model->n_layers - 1; l >= 0; l--) {
        const kds_layer *layer = &model->layers[l];
        const float *input = l > 0 ? net->activation[l - 1] : x;
        net->kernels->bias_activation_backward(n_rows, layer->n_out, layer->relu ? net->activation[l] : NULL, d_output,
                                               net->gradient + layer->biases);
        kds_gemm(1, 0, layer->n_in, layer->n_out, n_rows, input, d_output, 0.0f, net->gradient + layer->weights);
        if (l > 0) { /* nobody asks for the gradient with respect to the data */
            float *d_input = net->delta[l & 1];
            kds_gemm(0, 1, n_rows, layer->n_in, layer->n_out, d_output, net->parameters + layer->weights, 0.0f,
                     d_input);
            d_output = d_input;
        }
    }
}

void kds_net_step(kds_net *net, const kds_recipe *recipe, double lr)
{
    const kds_model *model = net->model;
    float decay = (float)recipe->weight_decay, momentum = (float)recipe->momentum;
    if (recipe->decay_biases) {
        net->kernels->sgd_step(model->n_parameters, (float)lr, momentum, recipe->nesterov, decay, net->gradient,
                               net->velocity, net->parameters);
        return;
    }
    for (int l = 0; l < model->n_layers; l++) {
        const kds_layer *layer = &model->layers[l];
        const int64_t start[2] = {layer->weights, layer->biases};
        const int64_t n[2] = {layer->biases - layer->weights, layer->n_out};
        for (int part = 0; part < 2; part++) {
            net->kernels->sgd_step(n[part], (float)lr, momentum, recipe->nesterov, part == 0 ? decay : 0.0f,
                                   net->gradient + start[part], net->velocity + start[part],
                                   net->parameters + start[part]);
        }
    }
}

double kds_schedule_lr(const kds_recipe *recipe, int64_t step, int64_t steps_per_epoch)
{
    double epoch = (double)step / (double)steps_per_epoch;
    if (epoch < recipe->warmup) {
        double n_warmup_steps = recipe->warmup * (double)steps_per_epoch;
        return recipe->lr * fmin(1.0, (double)(step + 1) / n_warmup_steps);
    }
    double lr = recipe->lr;
    if (recipe->schedule == KDS_SCHEDULE_STEP) {
        for (int32_t i = 0; i < recipe->n_milestones; i++) {
            lr *= epoch >= recipe->milestones[i] ? recipe->lr_decay : 1.0;
        }
    } else if (recipe->schedule == KDS_SCHEDULE_COSINE) {
        double progress = (epoch - recipe->warmup) / (recipe->epochs - recipe->warmup);
        lr *= 0.5 * (1 + cos(3.14159265358979323846 * progress));
    }
    return lr;
}
