/*
 * Convolutions, a few images at a time, while they are in the cache:
 *
 *   forward   stage the input (its producer's normalisation, skip and rectifier applied on the way, a border of zeros around it),
 *             product, sums of the output for its own normalisation;
 *   backward  stage the gradient (through the normalisation) and the input again, gradient of the weights, product back to the input,
 *             whose rectifier and sums follow at once.
 *
 * So each map is read from memory and written to memory once for each of the two passes.
 */
#include <string.h>

#include "net.h"

/* ---- staging ------------------------------------------------------------------------------------------------------- */

static int64_t in_row(const net_layer *layer)
{
    return (int64_t)(layer->spec->in_width + 2 * layer->spec->padding + layer->extra) * layer->spec->in_channels;
}

static int64_t in_image(const net_layer *layer)
{
    return (layer->spec->in_height + 2 * layer->spec->padding + layer->extra) * in_row(layer);
}

static int64_t d_row(const net_layer *layer)
{
    return (int64_t)(layer->spec->width + 2 * layer->halo + layer->extra) * layer->columns;
}

static int64_t d_image(const net_layer *layer)
{
    return (layer->spec->height + 2 * layer->halo + layer->extra) * d_row(layer);
}

int64_t kds_net_staged_in_size(const net_layer *layer)
{
    /* And room for the zeros of the last pixel: pack_pixels. */
    return layer->block * in_image(layer) + layer->columns_in;
}

int64_t kds_net_staged_d_size(const net_layer *layer)
{
    return layer->block * d_image(layer);
}

/* Pixels without the zeros behind their channels. Each copy takes these zeros along, and the next one overwrites them; the last ones fall on
 * the border, or on a row that is still to come, or on the room behind the last row (kds_net_staged_in_size). */
static void pack_pixels(const float *from, int32_t columns, int32_t n, int32_t channels, float *to)
{
    for (int32_t p = 0; p < n; p++, from += columns, to += channels) {
        if (columns == KDS_PANEL) {
            memcpy(to, from, KDS_PANEL * sizeof(float)); /* of constant size: one or a few vectors, no call */
        } else {
            memcpy(to, from, (size_t)columns * sizeof(float));
        }
    }
}

/* The input of one image into its place inside the border. */
static void stage_input_image(kds_net *net, const net_layer *layer, int32_t image, float *to)
{
    const kds_kernels *kernels = net->kernels;
    const kds_layer *spec = layer->spec;
    const int64_t row = in_row(layer);
    const int32_t channels = spec->in_channels;
    to += spec->padding * (row + channels);
    if (spec->input == KDS_INPUT) {
        const float *from = net->input + image * net->input_pitch;
        const size_t n = (size_t)spec->in_width * (size_t)channels;
        for (int32_t r = 0; r < spec->in_height; r++) {
            memcpy(to + r * row, from + (size_t)r * n, n * sizeof(float));
        }
        return;
    }
    const net_layer *below = &net->layers[spec->input];
    const int64_t below_row = (int64_t)spec->in_width * below->columns;
    if (below->spec->norm && !below->keeps_z) {
        for (int32_t r = 0; r < spec->in_height; r++) {
            kernels->affine(spec->in_width, below->columns, below->y + image * below->image + r * below_row,
                            below->scale, below->shift, NULL, NULL, below->spec->relu, channels, channels,
                            to + r * row);
        }
        return;
    }
    const float *from = kds_net_output(net, spec->input, image);
    for (int32_t r = 0; r < spec->in_height; r++) {
        if (channels == below->columns) {
            memcpy(to + r * row, from + r * below_row, (size_t)below_row * sizeof(float));
        } else {
            pack_pixels(from + r * below_row, below->columns, spec->in_width, channels, to + r * row);
        }
    }
}

static void stage_input(kds_net *net, const net_layer *layer, int32_t image, int32_t n_images)
{
    for (int32_t i = 0; i < n_images; i++) {
        stage_input_image(net, layer, image + i, net->staged_in + i * in_image(layer));
    }
}

/* The gradient with respect to y, from that with respect to the output. */
static void stage_gradient(kds_net *net, const net_layer *layer, const float *d, int32_t image, int32_t n_images)
{
    const kds_layer *spec = layer->spec;
    const int64_t row = (int64_t)spec->width * layer->columns;
    for (int32_t i = 0; i < n_images; i++) {
        float *to = net->staged_d + i * d_image(layer) + layer->halo * (d_row(layer) + layer->columns);
        const float *y = layer->y + (image + i) * layer->image;
        for (int32_t r = 0; r < spec->height; r++, to += d_row(layer), d += row, y += row) {
            if (spec->norm) {
                net->kernels->affine(spec->width, layer->columns, y, net->coefficient[1], net->coefficient[2], d,
                                     net->coefficient[0], 0, layer->columns, layer->columns, to);
            } else {
                memcpy(to, d, (size_t)row * sizeof(float));
            }
        }
    }
}

/* ---- forward ------------------------------------------------------------------------------------------------------- */

static kds_product_shape forward_shape(const net_layer *layer, int32_t n_images)
{
    const kds_layer *spec = layer->spec;
    return (kds_product_shape){
        .n_images = n_images,
        .n_rows = spec->height,
        .n_pixels = spec->width,
        .n_segments = spec->kernel,
        .n_k = spec->kernel * spec->in_channels,
        .n_panels = layer->n_panels,
        .a_image = in_image(layer),
        .a_row = spec->stride * in_row(layer),
        .a_pixel = (int64_t)spec->stride * spec->in_channels,
        .a_segment = in_row(layer),
        .out_image = layer->image,
        .out_row = (int64_t)spec->width * layer->columns,
        .out_pixel = layer->columns,
    };
}

static int32_t block_at(const net_layer *layer, int32_t image, int32_t n_rows)
{
    return n_rows - image < layer->block ? n_rows - image : layer->block;
}

void kds_net_convolution_forward(kds_net *net, int l, int32_t n_rows, kds_net_use use)
{
    net_layer *layer = &net->layers[l];
    const kds_layer *spec = layer->spec;
    const bool by_batch = spec->norm && use == KDS_NET_TRAINS;
    memset(net->staged_in, 0, (size_t)kds_net_staged_in_size(layer) * sizeof(float));
    if (by_batch) {
        memset(layer->sum, 0, (size_t)layer->columns * sizeof(double));
        memset(layer->product, 0, (size_t)layer->columns * sizeof(double));
    }
    if (layer->winograd) {
        kds_net_winograd_filters_forward(net, layer);
    }
    for (int32_t i = 0; i < n_rows; i += layer->block) {
        const int32_t n = block_at(layer, i, n_rows);
        float *y = layer->y + i * layer->image;
        stage_input(net, layer, i, n);
        if (layer->winograd) {
            kds_net_winograd_forward(net, layer, n, in_row(layer), in_image(layer), y);
        } else {
            const kds_product_shape shape = forward_shape(layer, n);
            net->kernels->product(&shape, net->staged_in, net->parameters + layer->weights,
                                  spec->norm ? NULL : net->parameters + layer->vectors, spec->norm ? 0 : spec->relu, y);
        }
        if (by_batch) {
            net->kernels->moments(n * layer->n_pixels, layer->columns, y, net->statistics + layer->statistics,
                                  layer->sum, layer->product);
        }
        if (layer->pool) {
            kds_net_pool_block(net, layer->pool, i, n);
        }
    }
    if (by_batch) {
        kds_net_norm_by_batch(net, l, n_rows);
    } else if (spec->norm) {
        kds_net_norm_by_running(net, l);
    }
}

/* ---- back to the input --------------------------------------------------------------------------------------------- */

/*
 * Input row i gets d[o] for each tap k with stride o = i + padding - k. Input rows with the same rest modulo the stride have the same taps,
 * and together they see the gradient's rows one after the other: each combination of the rests of row and column is an ordinary
 * convolution of the gradient with some of the taps, in reverse.
 */
typedef struct phase_axis {
    int32_t n_taps, last_tap; /* taps last_tap, last_tap - stride, ... in this order */
    int32_t first; /* the gradient's row for the last tap of the first of these input rows; may lie in the halo */
    int32_t n;     /* input rows with this rest */
} phase_axis;

static phase_axis phase_of(const kds_layer *spec, int32_t in, int32_t rest)
{
    phase_axis axis = {.n = (in - rest + spec->stride - 1) / spec->stride};
    for (int32_t k = 0; k < spec->kernel; k++) {
        if ((rest + spec->padding - k) % spec->stride == 0) {
            axis.n_taps++;
            axis.last_tap = k;
            axis.first = (rest + spec->padding - k) / spec->stride;
        }
    }
    return axis;
}

int32_t kds_net_convolution_halo(const kds_layer *spec)
{
    int32_t halo = 0;
    for (int32_t rest = 0; rest < spec->stride; rest++) {
        const phase_axis axis = phase_of(spec, spec->in_height, rest);
        if (axis.n_taps == 0) {
            continue;
        }
        const int32_t behind = axis.first + axis.n_taps - 1 + axis.n - 1 - (spec->height - 1);
        halo = -axis.first > halo ? -axis.first : halo;
        halo = behind > halo ? behind : halo;
    }
    return halo;
}

/*
 * With few input channels a panel of them is mostly padding: 6 of 16 in LeNet-5. There the panels hold a whole row of taps, (tap, channel):
 * a product gives for each input row and each pixel of the gradient what goes to the inputs under that row of taps, and neighbours, which
 * overlap, are added. Stride 1.
 */
static int32_t taps_panels(const kds_layer *spec)
{
    return kds_net_whole_panels(spec->kernel * spec->in_channels) / KDS_PANEL;
}

bool kds_net_adds_taps(const kds_layer *spec)
{
    return spec->kind == KDS_LAYER_CONVOLUTION && spec->stride == 1 && spec->input != KDS_INPUT &&
           !kds_net_uses_winograd(spec) &&
           taps_panels(spec) < spec->kernel * kds_net_whole_panels(spec->in_channels) / KDS_PANEL;
}

int64_t kds_net_taps_size(const kds_layer *spec)
{
    /* What a row of the gradient gives, and a row of inputs with its border. */
    return (int64_t)spec->width * taps_panels(spec) * KDS_PANEL +
           (int64_t)(spec->in_width + 2 * spec->padding) * spec->in_channels + KDS_PANEL;
}

/* [panel of (tap, input)][row of taps, from the last][output][16] */
static void pack_taps(const kds_net *net, const net_layer *layer)
{
    const kds_layer *spec = layer->spec;
    const float *weights = net->parameters + layer->weights;
    const int32_t n = spec->kernel * spec->in_channels, n_out = layer->n_panels * KDS_PANEL;
    float *to = net->packed;
    for (int32_t j = 0; j < taps_panels(spec); j++) {
        for (int32_t r = spec->kernel - 1; r >= 0; r--) {
            for (int32_t o = 0; o < n_out; o++) {
                for (int32_t c = j * KDS_PANEL; c < (j + 1) * KDS_PANEL; c++) {
                    *to++ =
                        c < n ? weights[((int64_t)(o / KDS_PANEL) * layer->n_k + r * n + c) * KDS_PANEL + o % KDS_PANEL]
                              : 0.0f;
                }
            }
        }
    }
}

/* The gradient of one image's input. */
static void add_taps(kds_net *net, const net_layer *layer, const float *staged, float *d_in)
{
    const kds_layer *spec = layer->spec;
    const int32_t channels = spec->in_channels, n = spec->kernel * channels, pitch = taps_panels(spec) * KDS_PANEL;
    const int32_t columns = net->layers[spec->input].columns;
    const kds_product_shape shape = {
        .n_images = 1,
        .n_rows = 1,
        .n_pixels = spec->width,
        .n_segments = spec->kernel,
        .n_k = layer->columns,
        .n_panels = taps_panels(spec),
        .a_pixel = layer->columns,
        .a_segment = d_row(layer),
        .out_pixel = pitch,
    };
    float *taps = net->taps, *sum = taps + (int64_t)spec->width * pitch;
    memset(d_in, 0, (size_t)(spec->in_height * spec->in_width * columns) * sizeof(float));
    for (int32_t r = 0; r < spec->in_height; r++) {
        net->kernels->product(&shape, staged + r * d_row(layer) + layer->halo * layer->columns, net->packed, NULL, 0,
                              taps);
        memset(sum, 0, (size_t)(spec->in_width + 2 * spec->padding) * (size_t)channels * sizeof(float));
        for (int32_t p = 0; p < spec->width; p++) {
            float *at = sum + p * channels;
            const float *from = taps + p * pitch;
            for (int32_t c = 0; c < n; c++) {
                at[c] += from[c];
            }
        }
        const float *from = sum + spec->padding * channels;
        float *to = d_in + r * spec->in_width * columns;
        for (int32_t p = 0; p < spec->in_width; p++, from += channels, to += columns) {
            for (int32_t c = 0; c < channels; c++) {
                to[c] = from[c];
            }
        }
    }
}

int64_t kds_net_packed_size(const net_layer *layer)
{
    const kds_layer *spec = layer->spec;
    if (spec->kind == KDS_LAYER_DENSE) {
        return kds_net_turned_size(layer);
    }
    if (kds_net_adds_taps(spec)) {
        return (int64_t)spec->kernel * layer->columns * kds_net_whole_panels(spec->kernel * spec->in_channels);
    }
    return (int64_t)spec->kernel * spec->kernel * layer->columns * kds_net_whole_panels(spec->in_channels);
}

/* Weights of one phase for a product from the gradient's channels to the input's: [panel of inputs][taps][output][16 inputs]. */
static float *pack_phase(const kds_net *net, const net_layer *layer, const phase_axis *rows, const phase_axis *columns,
                         float *to)
{
    const kds_layer *spec = layer->spec;
    const float *weights = net->parameters + layer->weights;
    for (int32_t i = 0; i < spec->in_channels; i += KDS_PANEL) {
        for (int32_t r = 0; r < rows->n_taps; r++) {
            for (int32_t c = 0; c < columns->n_taps; c++) {
                const int32_t tap = (rows->last_tap - r * spec->stride) * spec->kernel + columns->last_tap -
                                    c * spec->stride;
                const int32_t n = spec->in_channels - i < KDS_PANEL ? spec->in_channels - i : KDS_PANEL;
                for (int32_t j = 0; j < layer->n_panels; j++, to += KDS_PANEL * KDS_PANEL) {
                    const float *from = weights + ((int64_t)j * layer->n_k + tap * spec->in_channels + i) * KDS_PANEL;
                    if (n == KDS_PANEL) {
                        net->kernels->transpose(from, KDS_PANEL, to, KDS_PANEL);
                        continue;
                    }
                    memset(to, 0, sizeof(float) * KDS_PANEL * KDS_PANEL);
                    for (int32_t a = 0; a < n; a++) {
                        for (int32_t b = 0; b < KDS_PANEL; b++) {
                            to[b * KDS_PANEL + a] = from[a * KDS_PANEL + b];
                        }
                    }
                }
            }
        }
    }
    return to;
}

/* One phase: its product with everything but the number of images. */
typedef struct phase {
    kds_product_shape shape;
    int64_t from, to; /* in a block of staged gradients, and of gradients of the input */
    const float *packed;
} phase;

enum { MAX_PHASES = 4 }; /* stride 2 */

static int list_phases(kds_net *net, const net_layer *layer, phase phases[MAX_PHASES], bool *complete)
{
    const kds_layer *spec = layer->spec;
    const int64_t in_columns = net->layers[spec->input].columns;
    float *packed = net->packed;
    int n = 0;
    *complete = true;
    KDS_ASSERT(spec->stride * spec->stride <= MAX_PHASES);
    for (int32_t r = 0; r < spec->stride; r++) {
        for (int32_t c = 0; c < spec->stride; c++) {
            const phase_axis rows = phase_of(spec, spec->in_height, r), columns = phase_of(spec, spec->in_width, c);
            if (rows.n_taps == 0 || columns.n_taps == 0) {
                *complete = false; /* these inputs are not read */
                continue;
            }
            phases[n++] = (phase){
                .shape = {.n_rows = rows.n,
                          .n_pixels = columns.n,
                          .n_segments = rows.n_taps,
                          .n_k = columns.n_taps * layer->columns,
                          .n_panels = (int32_t)in_columns / KDS_PANEL,
                          .a_image = d_image(layer),
                          .a_row = d_row(layer),
                          .a_pixel = layer->columns,
                          .a_segment = d_row(layer),
                          .out_image = net->layers[spec->input].image,
                          .out_row = spec->stride * spec->in_width * in_columns,
                          .out_pixel = spec->stride * in_columns},
                .from = (layer->halo + rows.first) * d_row(layer) + (layer->halo + columns.first) * layer->columns,
                .to = (r * spec->in_width + c) * in_columns,
                .packed = packed,
            };
            packed = pack_phase(net, layer, &rows, &columns, packed);
        }
    }
    return n;
}

void kds_net_convolution_backward(kds_net *net, int l, int32_t n_rows)
{
    const net_layer *layer = &net->layers[l];
    const kds_layer *spec = layer->spec;
    net_layer *below = spec->input == KDS_INPUT ? NULL : &net->layers[spec->input];
    phase phases[MAX_PHASES];
    const bool stages_d = below || spec->norm; /* else the gradient serves as it is */
    bool complete = true;
    int n_phases = 0;
    memset(net->staged_in, 0, (size_t)kds_net_staged_in_size(layer) * sizeof(float));
    memset(net->staged_d, 0, (size_t)kds_net_staged_d_size(layer) * sizeof(float));
    if (spec->norm) {
        kds_net_norm_backward(net, l, n_rows);
    }
    if (layer->pool) {
        memset(layer->sum, 0, (size_t)layer->columns * sizeof(double));
    }
    if (below) {
        if (layer->winograd) {
            kds_net_winograd_filters_backward(net, layer);
        } else if (kds_net_adds_taps(spec)) {
            pack_taps(net, layer);
        } else {
            n_phases = list_phases(net, layer, phases, &complete);
        }
        kds_net_give_begin(net, spec->input, l);
    }
    for (int32_t i = 0; i < n_rows; i += layer->block) {
        const int32_t n = block_at(layer, i, n_rows);
        const float *d = layer->d + i * layer->image;
        kds_product_shape shape = forward_shape(layer, n);
        if (layer->pool) { /* nobody wants it again: one place for every block */
            kds_net_pool_block_backward(net, layer->pool, i, n, layer->d);
            d = layer->d;
        }
        if (stages_d) {
            stage_gradient(net, layer, d, i, n);
            d = net->staged_d + layer->halo * (d_row(layer) + layer->columns);
            shape.out_image = d_image(layer);
            shape.out_row = d_row(layer);
        }
        stage_input(net, layer, i, n);
        if (layer->winograd) {
            const net_staged staged_x = {net->staged_in, in_row(layer), in_image(layer)};
            const net_staged staged_d = {d, d_row(layer), d_image(layer)};
            kds_net_winograd_weights(net, layer, n, i == 0, &staged_x, &staged_d);
        } else {
            net->kernels->product_weights(&shape, net->staged_in, d, i > 0, net->gradient + layer->d_weights);
        }
        if (!below) {
            continue;
        }
        float *d_in = below->d_begun ? net->scratch : below->d + i * below->image;
        if (!complete) {
            memset(d_in, 0, (size_t)(n * below->image) * sizeof(float));
        }
        if (layer->winograd) {
            kds_net_winograd_back(net, layer, n, d_row(layer), d_image(layer), d_in);
        }
        for (int32_t k = 0; k < n && kds_net_adds_taps(spec); k++) {
            add_taps(net, layer, net->staged_d + k * d_image(layer), d_in + k * below->image);
        }
        for (int p = 0; p < n_phases; p++) {
            phases[p].shape.n_images = n;
            net->kernels->product(&phases[p].shape, net->staged_d + phases[p].from, phases[p].packed, NULL, 0,
                                  d_in + phases[p].to);
        }
        kds_net_give(net, spec->input, l, i, n, d_in);
    }
    if (layer->winograd) {
        kds_net_winograd_filters_gradient(net, layer);
    }
    for (int32_t j = 0; j < layer->columns && !spec->norm; j++) {
        net->gradient[layer->d_vectors + j] = (float)layer->sum[j];
    }
    if (below) {
        kds_net_give_end(net, spec->input);
    }
}
