/*
 * Dense layers: one product for the whole batch, whose examples are the pixels.
 *
 * Weights are stored in panels, as the product wants them; the transposed panels of the product back to the data are made one at a
 * time or a few, 16 x 16 block by block, and used for all rows of the batch while they are in the cache.
 */
#include "net.h"

/* The matrix that the layer reads: rows of `pitch` floats. */
static const float *input_rows(kds_net *net, const net_layer *layer, int32_t n_rows, int64_t *pitch)
{
    const int input = layer->spec->input;
    if (input == KDS_INPUT) {
        *pitch = net->input_pitch;
        return net->input;
    }
    net_layer *below = &net->layers[input];
    *pitch = below->image;
    for (int32_t i = below->spec->norm ? below->n_z : n_rows; i < n_rows; i++) {
        kds_net_output(net, input, i);
    }
    return below->z;
}

static kds_product_shape shape_of(const net_layer *layer, int64_t pitch, int32_t n_rows)
{
    return (kds_product_shape){
        .n_images = 1,
        .n_rows = 1,
        .n_pixels = n_rows,
        .n_segments = 1,
        .n_k = layer->n_k,
        .n_panels = layer->n_panels,
        .a_pixel = pitch,
        .out_pixel = layer->columns,
    };
}

void kds_net_dense_forward(kds_net *net, int l, int32_t n_rows)
{
    const net_layer *layer = &net->layers[l];
    int64_t pitch;
    const float *x = input_rows(net, layer, n_rows, &pitch);
    const kds_product_shape shape = shape_of(layer, pitch, n_rows);
    net->kernels->product(&shape, x, net->parameters + layer->weights, net->parameters + layer->vectors,
                          layer->spec->relu, layer->y);
}

/* Panels of inputs that are turned round at a time: the blocks to transpose then lie next to each other, four cache lines each. */
enum { TURNED_PANELS = 4 };

int64_t kds_net_turned_size(const net_layer *layer)
{
    return (int64_t)TURNED_PANELS * layer->n_panels * KDS_PANEL * KDS_PANEL;
}

static void back_to_input(kds_net *net, int l, int32_t n_rows)
{
    const net_layer *layer = &net->layers[l];
    const int input = layer->spec->input;
    net_layer *below = &net->layers[input];
    const int32_t n_out = layer->n_panels * KDS_PANEL;
    kds_product_shape shape = {
        .n_images = 1,
        .n_rows = 1,
        .n_pixels = n_rows,
        .n_segments = 1,
        .n_k = n_out,
        .a_pixel = layer->columns,
        .out_pixel = below->image,
    };
    kds_net_give_begin(net, input, l);
    KDS_ASSERT(!below->d_begun); /* what a dense layer reads, nobody else reads: its gradient is written in place */
    for (int32_t i = 0; i < layer->n_k; i += shape.n_panels * KDS_PANEL) {
        const int32_t left = (layer->n_k - i) / KDS_PANEL;
        shape.n_panels = left < TURNED_PANELS ? left : TURNED_PANELS;
        for (int32_t j = 0; j < layer->n_panels; j++) {
            const float *from = net->parameters + layer->weights + ((int64_t)j * layer->n_k + i) * KDS_PANEL;
            float *to = net->packed + (int64_t)j * KDS_PANEL * KDS_PANEL;
            for (int32_t p = 0; p < shape.n_panels; p++) {
                net->kernels->transpose(from + (int64_t)p * KDS_PANEL * KDS_PANEL, KDS_PANEL,
                                        to + (int64_t)p * n_out * KDS_PANEL, KDS_PANEL);
            }
        }
        net->kernels->product(&shape, layer->d, net->packed, NULL, 0, below->d + i);
    }
    kds_net_give(net, input, l, 0, n_rows, below->d);
    kds_net_give_end(net, input);
}

bool kds_net_dense_backward(kds_net *net, int l, int32_t n_rows, const kds_sgd *sgd)
{
    const net_layer *layer = &net->layers[l];
    int64_t pitch;
    const float *x = input_rows(net, layer, n_rows, &pitch);
    const kds_product_shape shape = shape_of(layer, pitch, n_rows);
    if (layer->spec->input != KDS_INPUT) { /* before the weights change */
        back_to_input(net, l, n_rows);
    }
    for (int32_t j = 0; j < layer->n_panels * KDS_PANEL; j++) {
        net->gradient[layer->d_vectors + j] = (float)layer->sum[j];
    }
    if (sgd) {
        net->kernels->product_step(&shape, x, layer->d, sgd, net->velocity + layer->weights,
                                   net->parameters + layer->weights);
    } else {
        net->kernels->product_weights(&shape, x, layer->d, 0, net->gradient + layer->d_weights);
    }
    return sgd != NULL;
}
