/* Pools: image by image, through the kernel table. */
#include "net.h"

void kds_net_pool_forward(kds_net *net, int l, int32_t n_rows)
{
    net_layer *layer = &net->layers[l];
    const kds_layer *spec = layer->spec;
    const bool takes_max = spec->kind == KDS_LAYER_MAX_POOL;
    for (int32_t i = 0; i < n_rows; i++) {
        const float *in = kds_net_output(net, spec->input, i);
        (takes_max ? net->kernels->max_pool : net->kernels->average_pool)(
            spec->in_height, spec->in_width, layer->columns, spec->kernel, in, layer->y + i * layer->image);
    }
}

void kds_net_pool_backward(kds_net *net, int l, int32_t n_rows)
{
    const net_layer *layer = &net->layers[l];
    const kds_layer *spec = layer->spec;
    net_layer *below = &net->layers[spec->input];
    kds_net_give_begin(net, spec->input, l);
    for (int32_t i = 0; i < n_rows; i++) {
        const float *d_out = layer->d + i * layer->image;
        float *d_in = below->d_begun ? net->scratch : below->d + i * below->image;
        if (spec->kind == KDS_LAYER_MAX_POOL) {
            net->kernels->max_pool_backward(spec->in_height, spec->in_width, layer->columns, spec->kernel,
                                            below->z + i * below->image, d_out, d_in);
        } else {
            net->kernels->average_pool_backward(spec->in_height, spec->in_width, layer->columns, spec->kernel, d_out,
                                                d_in);
        }
        kds_net_give(net, spec->input, l, i, 1, d_in);
    }
    kds_net_give_end(net, spec->input);
}
