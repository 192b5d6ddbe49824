/*
 * 3x3 convolutions of stride 1 by Winograd's minimal filtering (kernels.h): some rows of tiles, or some images, at a time, so that the
 * transformed tiles, their products and the transformed filters stay in the second-level cache.
 *
 * The filters are transformed once for each batch; their gradient is summed in the transformed form and transformed back at its end.
 */
#include <string.h>

#include "net.h"

enum { N_PLANES = 16 };

/* Tiles at a time: enough to use a transformed filter often, few enough for the cache. They cut the sums of the gradients of filters: another
 * value changes bits, so KDS_NUMERICS_VERSION (trial.h) must be raised with it. */
enum { TILE_FLOATS = 2048, FEWEST_TILES = 32 };

bool kds_net_uses_winograd(const kds_layer *spec)
{
    return spec->kind == KDS_LAYER_CONVOLUTION && spec->norm && spec->kernel == 3 && spec->stride == 1 &&
           spec->padding == 1 && spec->input != KDS_INPUT && spec->in_channels % KDS_PANEL == 0;
}

/* How the tiles of a batch are cut into pieces: whole images while they are small, else rows of tiles of one image. */
typedef struct tiling {
    int32_t rows, columns;    /* tiles of an image */
    int32_t n_images, n_rows; /* of a piece: n_images > 1 only with n_rows = rows */
    int32_t n_tiles;          /* of a full piece */
} tiling;

static tiling tiling_of(const kds_layer *spec)
{
    tiling t = {.rows = (spec->height + 1) / 2, .columns = (spec->width + 1) / 2, .n_images = 1};
    const int32_t channels = kds_net_whole_panels(spec->channels > spec->in_channels ? spec->channels
                                                                                     : spec->in_channels);
    const int32_t wanted = TILE_FLOATS / channels > FEWEST_TILES ? TILE_FLOATS / channels : FEWEST_TILES;
    const int32_t of_image = t.rows * t.columns;
    t.n_rows = t.rows;
    if (of_image < wanted) {
        t.n_images = wanted / of_image;
    } else {
        const int32_t rows = wanted / t.columns;
        t.n_rows = rows > 1 ? rows : 1;
        t.n_rows = t.n_rows < t.rows ? t.n_rows : t.rows;
    }
    t.n_tiles = t.n_images * t.n_rows * t.columns;
    return t;
}

int32_t kds_net_winograd_block(const kds_layer *spec, int32_t max_rows)
{
    const int32_t n = tiling_of(spec).n_images;
    return n < max_rows ? n : max_rows;
}

/* From a plane to the next: one cache line more than it needs, as planes a power of two apart would share one set of the cache. */
static int64_t plane_size(int64_t n_tiles, int32_t columns)
{
    return n_tiles * columns + KDS_PANEL;
}

/* Floats of the planes of a piece, for maps with so many channels. */
static int64_t planes_size(const kds_layer *spec, int32_t columns)
{
    return N_PLANES * plane_size(tiling_of(spec).n_tiles, columns);
}

net_winograd_sizes kds_net_winograd_measure(const net_layer *layer)
{
    const int32_t in = kds_net_whole_panels(layer->spec->in_channels);
    return (net_winograd_sizes){
        .filters = (int64_t)N_PLANES * in * layer->n_panels * KDS_PANEL,
        .planes_in = planes_size(layer->spec, in),
        .planes_out = planes_size(layer->spec, layer->columns),
    };
}

/* ---- filters --------------------------------------------------------------------------------------------------------- */

/* G w G' of 16 filters at a time: w [9] rows of 16 floats, `w_row` apart; out: 16 rows, `plane` apart. */
static void transform_filters(const float *w, int64_t w_row, float *out, int64_t plane)
{
    float half[4][3][KDS_PANEL];
    for (int c = 0; c < 3; c++) {
        const float *a = w + c * w_row, *b = w + (3 + c) * w_row, *d = w + (6 + c) * w_row;
        for (int j = 0; j < KDS_PANEL; j++) {
            half[0][c][j] = a[j];
            half[1][c][j] = 0.5f * (a[j] + d[j] + b[j]);
            half[2][c][j] = 0.5f * (a[j] + d[j] - b[j]);
            half[3][c][j] = d[j];
        }
    }
    for (int r = 0; r < 4; r++, out += 4 * plane) {
        const float *a = half[r][0], *b = half[r][1], *d = half[r][2];
        for (int j = 0; j < KDS_PANEL; j++) {
            out[j] = a[j];
            out[plane + j] = 0.5f * (a[j] + d[j] + b[j]);
            out[2 * plane + j] = 0.5f * (a[j] + d[j] - b[j]);
            out[3 * plane + j] = d[j];
        }
    }
}

/* The adjoint: G' u G. */
static void transform_filters_back(const float *u, int64_t plane, float *w, int64_t w_row)
{
    float half[4][3][KDS_PANEL];
    for (int r = 0; r < 4; r++, u += 4 * plane) {
        for (int j = 0; j < KDS_PANEL; j++) {
            const float sum = 0.5f * (u[plane + j] + u[2 * plane + j]);
            half[r][0][j] = u[j] + sum;
            half[r][1][j] = 0.5f * (u[plane + j] - u[2 * plane + j]);
            half[r][2][j] = sum + u[3 * plane + j];
        }
    }
    for (int c = 0; c < 3; c++) {
        float *a = w + c * w_row, *b = w + (3 + c) * w_row, *d = w + (6 + c) * w_row;
        for (int j = 0; j < KDS_PANEL; j++) {
            const float sum = 0.5f * (half[1][c][j] + half[2][c][j]);
            a[j] = half[0][c][j] + sum;
            b[j] = 0.5f * (half[1][c][j] - half[2][c][j]);
            d[j] = sum + half[3][c][j];
        }
    }
}

/* Of the filters as they are stored: [plane][panel of outputs][input][16]. */
static int64_t filters_plane(const net_layer *layer)
{
    return (int64_t)layer->n_panels * layer->spec->in_channels * KDS_PANEL;
}

void kds_net_winograd_filters_forward(kds_net *net, const net_layer *layer)
{
    const int32_t n_in = layer->spec->in_channels;
    for (int32_t j = 0; j < layer->n_panels; j++) {
        for (int32_t i = 0; i < n_in; i++) {
            transform_filters(net->parameters + layer->weights + ((int64_t)j * layer->n_k + i) * KDS_PANEL,
                              (int64_t)n_in * KDS_PANEL, net->filters + ((int64_t)j * n_in + i) * KDS_PANEL,
                              filters_plane(layer));
        }
    }
}

/* Of the filters turned round, from outputs to inputs: [plane][panel of inputs][output][16]. */
void kds_net_winograd_filters_backward(kds_net *net, const net_layer *layer)
{
    const int32_t n_in = layer->spec->in_channels, n_out = layer->n_panels * KDS_PANEL;
    float turned[9][KDS_PANEL * KDS_PANEL];
    for (int32_t i = 0; i < n_in; i += KDS_PANEL) {
        for (int32_t j = 0; j < layer->n_panels; j++) {
            for (int tap = 0; tap < 9; tap++) {
                net->kernels->transpose(net->parameters + layer->weights +
                                            ((int64_t)j * layer->n_k + tap * n_in + i) * KDS_PANEL,
                                        KDS_PANEL, turned[8 - tap], KDS_PANEL);
            }
            for (int32_t row = 0; row < KDS_PANEL; row++) {
                transform_filters(turned[0] + row * KDS_PANEL, KDS_PANEL * KDS_PANEL,
                                  net->filters + ((int64_t)i * n_out + (j * KDS_PANEL + row) * KDS_PANEL),
                                  filters_plane(layer));
            }
        }
    }
}

void kds_net_winograd_filters_gradient(kds_net *net, const net_layer *layer)
{
    const int32_t n_in = layer->spec->in_channels;
    for (int32_t j = 0; j < layer->n_panels; j++) {
        for (int32_t i = 0; i < n_in; i++) {
            transform_filters_back(net->filters_gradient + ((int64_t)j * n_in + i) * KDS_PANEL, filters_plane(layer),
                                   net->gradient + layer->d_weights + ((int64_t)j * layer->n_k + i) * KDS_PANEL,
                                   (int64_t)n_in * KDS_PANEL);
        }
    }
}

/* ---- pieces ---------------------------------------------------------------------------------------------------------- */

/* Planes of a piece: rows of tiles from `row` of n_images images that are `image` floats apart. */
typedef void transform_in(const kds_tiles *tiles, const float *from, float *planes);

static kds_tiles tiles_of(const tiling *cut, int32_t n_rows, int32_t n_images, int32_t columns, int64_t row)
{
    return (kds_tiles){
        .n_rows = n_rows,
        .n_tiles = cut->columns,
        .n_columns = columns,
        .row = row,
        .pixel = columns,
        .plane = plane_size((int64_t)n_images * n_rows * cut->columns, columns),
    };
}

static void each_image_in(transform_in *transform, const kds_tiles *tiles, const float *from, int64_t image,
                          int32_t n_images, float *planes)
{
    for (int32_t i = 0; i < n_images; i++) {
        transform(tiles, from + i * image, planes + (int64_t)i * tiles->n_rows * tiles->n_tiles * tiles->n_columns);
    }
}

/* The sixteen products of a piece. */
static kds_product_shape product_of(const kds_tiles *in, int32_t n_tiles, int32_t out_columns)
{
    return (kds_product_shape){
        .n_images = 1,
        .n_rows = 1,
        .n_pixels = n_tiles,
        .n_segments = 1,
        .n_k = in->n_columns,
        .n_panels = out_columns / KDS_PANEL,
        .a_pixel = in->n_columns,
        .out_pixel = out_columns,
    };
}

/* A convolution of staged images, `to` overwritten: transformed tiles, products, transformed back. */
static void convolve_piece(kds_net *net, const tiling *cut, const kds_tiles *in, const float *from, int64_t from_image,
                           int32_t n_images, int32_t row, const kds_layer *out_size, int32_t out_columns, float *to,
                           int64_t to_image)
{
    const int32_t n_tiles = n_images * in->n_rows * cut->columns;
    const kds_product_shape shape = product_of(in, n_tiles, out_columns);
    const int64_t filters = (int64_t)in->n_columns * out_columns, plane = plane_size(n_tiles, out_columns);
    each_image_in(net->kernels->winograd_in, in, from + 2 * row * in->row, from_image, n_images, net->planes[0]);
    for (int p = 0; p < N_PLANES; p++) {
        net->kernels->product(&shape, net->planes[0] + p * in->plane, net->filters + p * filters, NULL, 0,
                              net->planes[1] + p * plane);
    }
    kds_tiles out = tiles_of(cut, in->n_rows, n_images, out_columns, (int64_t)out_size->in_width * out_columns);
    out.height = out_size->in_height - 2 * row; /* stride 1: input and output have one size */
    out.width = out_size->in_width;
    for (int32_t i = 0; i < n_images; i++) {
        net->kernels->winograd_out(&out, net->planes[1] + (int64_t)i * out.n_rows * out.n_tiles * out_columns,
                                   to + i * to_image + 2 * row * out.row);
    }
}

void kds_net_winograd_forward(kds_net *net, const net_layer *layer, int32_t n_images, int64_t staged_row,
                              int64_t staged_image, float *y)
{
    const tiling cut = tiling_of(layer->spec);
    for (int32_t row = 0; row < cut.rows; row += cut.n_rows) {
        const int32_t n_rows = cut.rows - row < cut.n_rows ? cut.rows - row : cut.n_rows;
        const kds_tiles in = tiles_of(&cut, n_rows, n_images, layer->spec->in_channels, staged_row);
        convolve_piece(net, &cut, &in, net->staged_in, staged_image, n_images, row, layer->spec, layer->columns, y,
                       layer->image);
    }
}

void kds_net_winograd_back(kds_net *net, const net_layer *layer, int32_t n_images, int64_t staged_row,
                           int64_t staged_image, float *d_in)
{
    const tiling cut = tiling_of(layer->spec);
    const net_layer *below = &net->layers[layer->spec->input];
    for (int32_t row = 0; row < cut.rows; row += cut.n_rows) {
        const int32_t n_rows = cut.rows - row < cut.n_rows ? cut.rows - row : cut.n_rows;
        const kds_tiles in = tiles_of(&cut, n_rows, n_images, layer->columns, staged_row);
        convolve_piece(net, &cut, &in, net->staged_d, staged_image, n_images, row, layer->spec, below->columns, d_in,
                       below->image);
    }
}

void kds_net_winograd_weights(kds_net *net, const net_layer *layer, int32_t n_images, bool first, const net_staged *x,
                              const net_staged *d)
{
    const tiling cut = tiling_of(layer->spec);
    const int32_t n_in = layer->spec->in_channels;
    const int64_t filters = filters_plane(layer);
    for (int32_t row = 0; row < cut.rows; row += cut.n_rows) {
        const int32_t n_rows = cut.rows - row < cut.n_rows ? cut.rows - row : cut.n_rows;
        const kds_tiles in = tiles_of(&cut, n_rows, n_images, n_in, x->row);
        const kds_tiles out = tiles_of(&cut, n_rows, n_images, layer->columns, d->row);
        const kds_product_shape shape = product_of(&in, n_images * n_rows * cut.columns, layer->columns);
        each_image_in(net->kernels->winograd_in, &in, x->from + 2 * row * x->row, x->image, n_images, net->planes[0]);
        each_image_in(net->kernels->winograd_gradient, &out, d->from + 2 * row * d->row, d->image, n_images,
                      net->planes[1]);
        for (int p = 0; p < N_PLANES; p++) {
            net->kernels->product_weights(&shape, net->planes[0] + p * in.plane, net->planes[1] + p * out.plane,
                                          !(first && row == 0), net->filters_gradient + p * filters);
        }
    }
}
