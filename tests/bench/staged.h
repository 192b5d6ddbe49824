/*
 * One layer's three products, staged and called as nn does it (net_convolution.c, net_dense.c), for the benchmarks: maps with channels
 * innermost and a border of zeros, a few images at a time; weights in panels. The way back is a product on the bordered gradient with the
 * weights turned round: one for stride 1, and for stride s one for each of the s * s classes of pixels that the same taps reach, so that no
 * tap is multiplied in vain. Turning the weights round is part of it; staging, bias, rectifier and normalisation are not.
 */
#ifndef KDSWEEP_BENCH_STAGED_H
#define KDSWEEP_BENCH_STAGED_H

#include "kdsweep/arena.h"
#include "kdsweep/kernels.h"
#include "kdsweep/rng.h"

/* A dense layer is one image of height 1 whose pixels are the examples, with a kernel of 1. */
typedef struct layer_shape {
    int32_t images, height, width, n_in, n_out, kernel, stride, padding;
} layer_shape;

typedef struct map {
    int32_t images, height, width, channels, border;
    int64_t pixel, row, image; /* strides, floats */
    float *floats;
} map;

enum { STAGED_STRIDE = 2 };

typedef struct staged_back {
    kds_product_shape shape;
    int64_t from, to;              /* offsets in dy and dx, floats */
    int32_t n_rows, n_columns;     /* taps */
    int32_t last_row, last_column; /* the first tap that is packed; then one stride less each time */
} staged_back;

typedef struct staged {
    const kds_kernels *kernels;
    layer_shape layer;
    int32_t block;                      /* images in x and dy; y and dx are whole maps */
    kds_product_shape forward, weights; /* they differ in the strides of y and dy */
    int n_back;                         /* 0: images of data, which get no gradient */
    staged_back back[STAGED_STRIDE * STAGED_STRIDE];
    map x, y, dy, dx;
    size_t n_w;
    float *w, *velocity, *d_w, *packed;
} staged;

static inline int32_t round_to_panel(int32_t n)
{
    return (n + KDS_PANEL - 1) / KDS_PANEL * KDS_PANEL;
}

static inline size_t map_size(const map *m)
{
    return (size_t)(m->images * m->image);
}

static inline float *map_interior(const map *m)
{
    return m->floats + m->border * (m->row + m->pixel);
}

static inline map map_make(int32_t images, int32_t height, int32_t width, int32_t channels, int64_t pixel,
                           int32_t border, kds_error *err)
{
    map m = {
        .images = images, .height = height, .width = width, .channels = channels, .border = border, .pixel = pixel};
    m.row = (width + 2 * border) * pixel;
    m.image = (height + 2 * border) * m.row;
    m.floats = kds_alloc(map_size(&m), sizeof(float), err);
    return m;
}

/* Ones without rng. Borders and channels that only fill up a panel stay 0. */
static inline void map_fill(map *m, kds_rng *rng)
{
    float *image = map_interior(m);
    for (int32_t i = 0; i < m->images; i++, image += m->image) {
        for (int32_t r = 0; r < m->height; r++) {
            for (int32_t c = 0; c < m->width; c++) {
                for (int32_t j = 0; j < m->channels; j++) {
                    image[r * m->row + c * m->pixel + j] = rng ? (float)kds_rng_uniform(rng) - 0.5f : 1.0f;
                }
            }
        }
    }
}

/* Panels of n_columns columns; ones without rng. */
static inline void panels_fill(float *w, size_t n, int32_t n_rows, int32_t n_columns, kds_rng *rng)
{
    for (size_t i = 0; i < n; i++) {
        size_t column = i / ((size_t)n_rows * KDS_PANEL) * KDS_PANEL + i % KDS_PANEL;
        w[i] = column >= (size_t)n_columns ? 0.0f : rng ? (float)kds_rng_uniform(rng) - 0.5f : 1.0f;
    }
}

static inline void staged_fill(staged *p, kds_rng *rng)
{
    map_fill(&p->x, rng);
    map_fill(&p->dy, rng);
    panels_fill(p->w, p->n_w, p->forward.n_segments * p->forward.n_k, p->layer.n_out, rng);
}

static inline bool is_dense(const layer_shape *l)
{
    return l->images == 1 && l->height == 1 && l->kernel == 1;
}

/* As nn's row_pitch: whole panels, but rows of a matrix are never a multiple of 1 KiB apart. */
static inline int32_t matrix_pitch(int32_t n)
{
    int32_t pitch = round_to_panel(n);
    return pitch % 256 == 0 ? pitch + KDS_PANEL : pitch;
}

/* As nn's block_of: images that are staged at a time. */
static inline int32_t block_of(const layer_shape *l, int64_t x_floats, int64_t y_floats)
{
    int64_t block = 32 * 1024 / (x_floats > y_floats ? x_floats : y_floats);
    block = block < 16 ? block : 16;
    block = block < l->images ? block : l->images;
    return block > 1 ? (int32_t)block : 1;
}

/* The taps that reach the pixels of one class along one dimension: pixel class + stride * r gets n_taps neighbouring outputs from
 * r + first on, the last tap first. */
typedef struct taps {
    int32_t n_taps, first, last_tap;
} taps;

static inline taps taps_of(const layer_shape *l, int32_t class)
{
    int32_t tap = (class + l->padding) % l->stride;
    int32_t n_taps = (l->kernel - tap + l->stride - 1) / l->stride;
    return (taps){n_taps, (class + l->padding - tap) / l->stride - (n_taps - 1), tap + (n_taps - 1) * l->stride};
}

/* Height and width must be multiples of the stride. A dense layer goes back one panel of inputs at a time. */
static inline void stage_back(staged *p)
{
    const layer_shape *l = &p->layer;
    const map *from = &p->dy, *to = &p->dx;
    const bool dense = is_dense(l);
    for (int32_t down = 0; down < l->stride; down++) {
        for (int32_t right = 0; right < l->stride; right++) {
            taps rows = taps_of(l, down), columns = taps_of(l, right);
            p->back[p->n_back++] = (staged_back){.shape = {.n_rows = l->height / l->stride,
                                                           .n_pixels = l->width / l->stride,
                                                           .n_segments = rows.n_taps,
                                                           .n_k = columns.n_taps * round_to_panel(l->n_out),
                                                           .n_panels = dense ? 1 : l->n_in / KDS_PANEL,
                                                           .a_image = from->image,
                                                           .a_row = from->row,
                                                           .a_pixel = from->pixel,
                                                           .a_segment = from->row,
                                                           .out_image = to->image,
                                                           .out_row = l->stride * to->row,
                                                           .out_pixel = l->stride * to->pixel},
                                                 .from = (rows.first + from->border) * from->row +
                                                         (columns.first + from->border) * from->pixel,
                                                 .to = down * to->row + right * to->pixel,
                                                 .n_rows = rows.n_taps,
                                                 .n_columns = columns.n_taps,
                                                 .last_row = rows.last_tap,
                                                 .last_column = columns.last_tap};
        }
    }
}

static inline void staged_free(staged *p)
{
    float *const blocks[] = {p->x.floats, p->y.floats, p->dy.floats, p->dx.floats,
                             p->w,        p->velocity, p->d_w,       p->packed};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        kds_free(blocks[i]);
    }
    *p = (staged){0};
}

static inline kds_status staged_make(staged *p, const kds_kernels *kernels, const layer_shape *layer, kds_error *err)
{
    const layer_shape *l = layer;
    const bool dense = is_dense(l);
    int32_t out_height = (l->height + 2 * l->padding - l->kernel) / l->stride + 1;
    int32_t out_width = (l->width + 2 * l->padding - l->kernel) / l->stride + 1;
    int32_t pixel_in = dense ? matrix_pitch(l->n_in) : l->n_in, whole = round_to_panel(l->n_out);
    int32_t pixel_out = dense ? matrix_pitch(l->n_out) : whole;
    int64_t x_floats = (int64_t)(l->height + 2 * l->padding) * (l->width + 2 * l->padding) * pixel_in;
    *p = (staged){.kernels = kernels, .layer = *layer};
    p->block = block_of(l, x_floats, (int64_t)out_height * out_width * pixel_out);
    p->x = map_make(p->block, l->height, l->width, l->n_in, pixel_in, l->padding, err);
    p->y = map_make(l->images, out_height, out_width, l->n_out, pixel_out, 0, err);
    p->dy = map_make(p->block, out_height, out_width, l->n_out, pixel_out, l->kernel - 1 - l->padding, err);
    p->dx = map_make(l->images, l->height, l->width, l->n_in, dense ? pixel_in : round_to_panel(l->n_in), 0, err);
    p->forward = (kds_product_shape){.n_rows = out_height,
                                     .n_pixels = out_width,
                                     .n_segments = l->kernel,
                                     .n_k = l->kernel * l->n_in,
                                     .n_panels = whole / KDS_PANEL,
                                     .a_image = p->x.image,
                                     .a_row = l->stride * p->x.row,
                                     .a_pixel = l->stride * p->x.pixel,
                                     .a_segment = p->x.row,
                                     .out_image = p->y.image,
                                     .out_row = p->y.row,
                                     .out_pixel = p->y.pixel};
    p->weights = p->forward;
    p->weights.out_image = p->dy.image;
    p->weights.out_row = p->dy.row;
    p->weights.out_pixel = p->dy.pixel;
    if (l->n_in % KDS_PANEL == 0) {
        stage_back(p);
    }
    p->n_w = (size_t)(p->forward.n_segments * p->forward.n_k) * (size_t)whole;
    p->w = kds_alloc(p->n_w, sizeof(float), err);
    p->velocity = kds_alloc(p->n_w, sizeof(float), err);
    p->d_w = kds_alloc(p->n_w, sizeof(float), err);
    p->packed = kds_alloc(p->n_w, sizeof(float), err);
    if (!p->x.floats || !p->y.floats || !p->dy.floats || !p->dx.floats || !p->w || !p->velocity || !p->d_w ||
        !p->packed) {
        staged_free(p);
        return KDS_MEMORY;
    }
    return KDS_OK;
}

static inline int32_t block_at(const staged *p, int32_t image)
{
    return p->layer.images - image < p->block ? p->layer.images - image : p->block;
}

static inline void staged_forward(void *context)
{
    staged *p = context;
    for (int32_t i = 0; i < p->layer.images; i += p->block) {
        p->forward.n_images = block_at(p, i);
        p->kernels->product(&p->forward, p->x.floats, p->w, NULL, 0, p->y.floats + i * p->y.image);
    }
}

/* The weights of one panel of inputs, turned round; returns where the next may go. */
static inline float *staged_pack(const staged *p, const staged_back *back, int32_t input, float *to)
{
    const layer_shape *l = &p->layer;
    const int64_t panel = (int64_t)p->forward.n_segments * p->forward.n_k * KDS_PANEL;
    for (int32_t r = 0; r < back->n_rows; r++) {
        for (int32_t c = 0; c < back->n_columns; c++) {
            int64_t tap = (back->last_row - r * l->stride) * l->kernel + back->last_column - c * l->stride;
            for (int32_t j = 0; j < p->forward.n_panels; j++, to += KDS_PANEL * KDS_PANEL) {
                p->kernels->transpose(p->w + j * panel + (tap * l->n_in + input) * KDS_PANEL, KDS_PANEL, to, KDS_PANEL);
            }
        }
    }
    return to;
}

static inline void staged_backward_data(void *context)
{
    staged *p = context;
    const float *packed[STAGED_STRIDE * STAGED_STRIDE];
    float *to = p->packed;
    if (is_dense(&p->layer)) {
        p->back[0].shape.n_images = 1;
        for (int32_t input = 0; input < p->layer.n_in; input += KDS_PANEL) {
            staged_pack(p, &p->back[0], input, to);
            p->kernels->product(&p->back[0].shape, p->dy.floats, to, NULL, 0, p->dx.floats + input);
        }
        return;
    }
    for (int b = 0; b < p->n_back; b++) {
        packed[b] = to;
        for (int32_t input = 0; input < p->layer.n_in; input += KDS_PANEL) {
            to = staged_pack(p, &p->back[b], input, to);
        }
    }
    for (int32_t i = 0; i < p->layer.images; i += p->block) {
        for (int b = 0; b < p->n_back; b++) {
            staged_back *back = &p->back[b];
            back->shape.n_images = block_at(p, i);
            p->kernels->product(&back->shape, p->dy.floats + back->from, packed[b], NULL, 0,
                                p->dx.floats + i * p->dx.image + back->to);
        }
    }
}

static inline void staged_backward_weights(void *context)
{
    staged *p = context;
    for (int32_t i = 0; i < p->layer.images; i += p->block) {
        p->weights.n_images = block_at(p, i);
        p->kernels->product_weights(&p->weights, p->x.floats, map_interior(&p->dy), i > 0, p->d_w);
    }
}

/* The gradient of the weights and the optimiser's step. */
static inline void staged_step(void *context)
{
    staged *p = context;
    const kds_sgd sgd = {.lr = 0.01f, .momentum = 0.9f, .weight_decay = 1e-4f};
    if (is_dense(&p->layer)) {
        p->weights.n_images = 1;
        p->kernels->product_step(&p->weights, p->x.floats, map_interior(&p->dy), &sgd, p->velocity, p->w);
    } else {
        staged_backward_weights(p);
        p->kernels->sgd_step((int64_t)p->n_w, &sgd, p->d_w, p->velocity, p->w);
    }
}

/* Multiply-adds of any of the three products that are needed: taps on padding are not counted. */
static inline double needed_macs(const layer_shape *l)
{
    double n[2] = {0, 0};
    for (int dimension = 0; dimension < 2; dimension++) {
        int32_t size = dimension ? l->width : l->height;
        for (int32_t first = -l->padding; first + l->kernel <= size + l->padding; first += l->stride) {
            for (int32_t at = first; at < first + l->kernel; at++) {
                n[dimension] += at >= 0 && at < size;
            }
        }
    }
    return l->images * n[0] * n[1] * l->n_in * l->n_out;
}

#endif
