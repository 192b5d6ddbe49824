/*
 * Pools: image by image, through the kernel table. Behind a convolution without normalisation a pool takes each block of images while it is in
 * the cache; the convolution calls it.
 */
#include "net.h"

static void pool_image(const kds_net *net, const net_layer *layer, const float *in, float *out)
{
    const kds_layer *spec = layer->spec;
    (spec->kind == KDS_LAYER_MAX_POOL ? net->kernels->max_pool : net->kernels->average_pool)(
        spec->in_height, spec->in_width, layer->columns, spec->kernel, in, out);
}

static void pool_image_backward(const kds_net *net, const net_layer *layer, const float *in, const float *d_out,
                                float *d_in)
{
    const kds_layer *spec = layer->spec;
    if (spec->kind == KDS_LAYER_MAX_POOL) {
        net->kernels->max_pool_backward(spec->in_height, spec->in_width, layer->columns, spec->kernel, in, d_out, d_in);
    } else {
        net->kernels->average_pool_backward(spec->in_height, spec->in_width, layer->columns, spec->kernel, d_out, d_in);
    }
}

void kds_net_pool_forward(kds_net *net, int l, int32_t n_rows)
{
    const net_layer *layer = &net->layers[l];
    for (int32_t i = 0; i < n_rows; i++) {
        pool_image(net, layer, kds_net_output(net, layer->spec->input, i), layer->y + i * layer->image);
    }
}

void kds_net_pool_backward(kds_net *net, int l, int32_t n_rows)
{
    const net_layer *layer = &net->layers[l];
    const int input = layer->spec->input;
    net_layer *below = &net->layers[input];
    kds_net_give_begin(net, input, l);
    for (int32_t i = 0; i < n_rows; i++) {
        float *d_in = below->d_begun ? net->scratch : below->d + i * below->image;
        pool_image_backward(net, layer, below->z + i * below->image, layer->d + i * layer->image, d_in);
        kds_net_give(net, input, l, i, 1, d_in);
    }
    kds_net_give_end(net, input);
}

void kds_net_pool_block(kds_net *net, int l, int32_t image, int32_t n_images)
{
    const net_layer *layer = &net->layers[l], *below = &net->layers[layer->spec->input];
    for (int32_t i = image; i < image + n_images; i++) {
        pool_image(net, layer, below->y + i * below->image, layer->y + i * layer->image);
    }
}

void kds_net_pool_block_backward(kds_net *net, int l, int32_t image, int32_t n_images, float *d_in)
{
    const net_layer *layer = &net->layers[l], *below = &net->layers[layer->spec->input];
    const float *y = below->y + image * below->image;
    for (int32_t i = 0; i < n_images; i++) {
        pool_image_backward(net, layer, y + i * below->image, layer->d + (image + i) * layer->image,
                            d_in + i * below->image);
    }
    net->kernels->gate(n_images * below->n_pixels, below->columns, d_in, NULL, below->spec->relu ? y : NULL, NULL, NULL,
                       NULL, NULL, d_in, below->sum, NULL);
}
