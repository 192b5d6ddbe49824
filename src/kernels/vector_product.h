/*
 * Products, for one instruction set: included by kernels_<isa>.c behind its vector primitives.
 *
 * A tile is up to TILE_PIXELS outputs x one panel of 16 columns, held in registers over the whole sum. Each step of the sum loads one row
 * of the panel and multiplies it by one float of each output: n + 1 loads for n multiply-adds (counted in rows of a panel), which the
 * load ports of the processors that we know keep up with. Wider tiles save loads that are not the bound, and would split narrow maps
 * badly (src/nn/README.md has the measurements).
 *
 * Every output is one sum in one order, (image, row, pixel) or (segment, k) ascending, with one rounding each: the bits depend neither on
 * the tile that computed it nor on the address.
 */
#ifndef KDSWEEP_VECTOR_PRODUCT_H
#define KDSWEEP_VECTOR_PRODUCT_H

#include <stddef.h>

enum { PANEL_VECTORS = KDS_PANEL / VL };
/* Accumulators + one row of the panel + the broadcast float must fit: 32 registers, or 16 with AVX2. */
enum { TILE_PIXELS = PANEL_VECTORS == 1 ? 16 : 6 };

#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

/* ---- product ------------------------------------------------------------------------------------------------------- */

/* One row of the panel, with the float of each output that belongs to it. */
INLINED void product_row(const int n_tile, const float *at, ptrdiff_t a_pixel, const float *b,
                         vf sum[TILE_PIXELS][PANEL_VECTORS])
{
    vf w[PANEL_VECTORS];
    UNROLLED for (int v = 0; v < PANEL_VECTORS; v++)
    {
        w[v] = v_load(b + v * VL);
    }
    UNROLLED for (int p = 0; p < n_tile; p++)
    {
        vf x = v_set(at[p * a_pixel]);
        UNROLLED for (int v = 0; v < PANEL_VECTORS; v++)
        {
            sum[p][v] = v_fma(x, w[v], sum[p][v]);
        }
    }
}

/* Floats of a cache line. As many rows of `a` as a tile has outputs are more streams than processors follow by themselves: each row's next
 * line is asked for. */
enum { LINE = 16 };

INLINED void product_tile(const int n_tile, const kds_product_shape *shape, const float *a, const float *b,
                          const float *bias, int relu, float *out)
{
    vf sum[TILE_PIXELS][PANEL_VECTORS];
    UNROLLED for (int p = 0; p < n_tile; p++)
    {
        UNROLLED for (int v = 0; v < PANEL_VECTORS; v++)
        {
            sum[p][v] = v_zero();
        }
    }
    const ptrdiff_t a_pixel = (ptrdiff_t)shape->a_pixel;
    for (int32_t s = 0; s < shape->n_segments; s++) {
        const float *at = a + s * shape->a_segment;
        int32_t k = 0;
        for (; k + LINE <= shape->n_k; k += LINE) {
            UNROLLED for (int p = 0; p < n_tile; p++)
            {
                __builtin_prefetch(at + p * a_pixel + k + LINE);
            }
            for (int32_t end = k + LINE, i = k; i < end; i++, b += KDS_PANEL) {
                product_row(n_tile, at + i, a_pixel, b, sum);
            }
        }
        for (; k < shape->n_k; k++, b += KDS_PANEL) {
            product_row(n_tile, at + k, a_pixel, b, sum);
        }
    }
    UNROLLED for (int p = 0; p < n_tile; p++)
    {
        UNROLLED for (int v = 0; v < PANEL_VECTORS; v++)
        {
            vf y = bias ? v_add(sum[p][v], v_load(bias + v * VL)) : sum[p][v];
            v_store(out + p * shape->out_pixel + v * VL, relu ? v_relu(y) : y);
        }
    }
}

/* Constants for the widths of resnets (16, 32, 64 channels: addresses become displacements) would gain nothing that we could measure. */
typedef void product_tile_of(const kds_product_shape *shape, const float *a, const float *b, const float *bias,
                             int relu, float *out);

#define PRODUCT_TILE(n)                                                                                             \
    static void product_tile_##n(const kds_product_shape *shape, const float *a, const float *b, const float *bias, \
                                 int relu, float *out)                                                              \
    {                                                                                                               \
        product_tile(n, shape, a, b, bias, relu, out);                                                              \
    }

/* ---- product_weights ----------------------------------------------------------------------------------------------- */

/* What happens to a tile of the gradient when its sum is complete. */
typedef struct weights_end {
    int accumulate;
    const kds_sgd *sgd; /* NULL: store (or add) the gradient */
    float *velocity;    /* beside the destination */
} weights_end;

INLINED void weights_tile(const int n_tile, const kds_product_shape *shape, const float *a, const float *d_out,
                          const weights_end *end, float *to)
{
    vf sum[TILE_PIXELS][PANEL_VECTORS];
    UNROLLED for (int m = 0; m < n_tile; m++)
    {
        UNROLLED for (int v = 0; v < PANEL_VECTORS; v++)
        {
            sum[m][v] = v_zero();
        }
    }
    const ptrdiff_t a_pixel = (ptrdiff_t)shape->a_pixel, out_pixel = (ptrdiff_t)shape->out_pixel;
    for (int32_t i = 0; i < shape->n_images; i++) {
        for (int32_t r = 0; r < shape->n_rows; r++) {
            const float *x = a + i * shape->a_image + r * shape->a_row;
            const float *d = d_out + i * shape->out_image + r * shape->out_row;
            for (int32_t p = 0; p < shape->n_pixels; p++, x += a_pixel, d += out_pixel) {
                vf w[PANEL_VECTORS];
                UNROLLED for (int v = 0; v < PANEL_VECTORS; v++)
                {
                    w[v] = v_load(d + v * VL);
                }
                UNROLLED for (int m = 0; m < n_tile; m++)
                {
                    vf broadcast = v_set(x[m]);
                    UNROLLED for (int v = 0; v < PANEL_VECTORS; v++)
                    {
                        sum[m][v] = v_fma(broadcast, w[v], sum[m][v]);
                    }
                }
            }
        }
    }
    UNROLLED for (int m = 0; m < n_tile; m++)
    {
        UNROLLED for (int v = 0; v < PANEL_VECTORS; v++)
        {
            float *at = to + m * KDS_PANEL + v * VL;
            if (end->sgd) {
                v_sgd_step(end->sgd, sum[m][v], end->velocity + m * KDS_PANEL + v * VL, at);
            } else {
                v_store(at, end->accumulate ? v_add(v_load(at), sum[m][v]) : sum[m][v]);
            }
        }
    }
}

typedef void weights_tile_of(const kds_product_shape *shape, const float *a, const float *d_out, const weights_end *end,
                             float *to);

#define WEIGHTS_TILE(n)                                                                              \
    static void weights_tile_##n(const kds_product_shape *shape, const float *a, const float *d_out, \
                                 const weights_end *end, float *to)                                  \
    {                                                                                                \
        weights_tile(n, shape, a, d_out, end, to);                                                   \
    }

/* ---- the table of tiles ---------------------------------------------------------------------------------------------- */

#define BOTH_TILES(n) PRODUCT_TILE(n) WEIGHTS_TILE(n)
BOTH_TILES(1)
BOTH_TILES(2)
BOTH_TILES(3)
BOTH_TILES(4)
BOTH_TILES(5)
BOTH_TILES(6)
#if KDS_VECTOR_FLOATS == 16
BOTH_TILES(7)
BOTH_TILES(8)
BOTH_TILES(9)
BOTH_TILES(10)
BOTH_TILES(11)
BOTH_TILES(12)
BOTH_TILES(13)
BOTH_TILES(14)
BOTH_TILES(15)
BOTH_TILES(16)
#define TILE_LIST(kind)                                                                                            \
    {                                                                                                              \
        NULL, kind##_1, kind##_2, kind##_3, kind##_4, kind##_5, kind##_6, kind##_7, kind##_8, kind##_9, kind##_10, \
            kind##_11, kind##_12, kind##_13, kind##_14, kind##_15, kind##_16                                       \
    }
#else
#define TILE_LIST(kind)                                                  \
    {                                                                    \
        NULL, kind##_1, kind##_2, kind##_3, kind##_4, kind##_5, kind##_6 \
    }
#endif

static product_tile_of *const product_tiles[TILE_PIXELS + 1] = TILE_LIST(product_tile);
static weights_tile_of *const weights_tiles[TILE_PIXELS + 1] = TILE_LIST(weights_tile);

/* Cut n into the fewest tiles of about equal size: 28 = 14 + 14, not 16 + 12. Returns the size of tile i of n_tiles. */
static inline int32_t tile_size(int32_t n, int32_t n_tiles, int32_t i)
{
    return n / n_tiles + (i < n % n_tiles);
}

/* Ask for n floats. */
INLINED void fetch(const float *at, size_t n)
{
    for (size_t i = 0; i < n; i += LINE) {
        __builtin_prefetch(at + i, 0, 2);
    }
}

enum { LARGE_PANEL = 4096 }; /* floats: smaller ones are in the cache anyway */

static void product(const kds_product_shape *shape, const float *a, const float *b, const float *bias, int relu,
                    float *out)
{
    const size_t panel = (size_t)shape->n_segments * (size_t)shape->n_k * KDS_PANEL;
    const int32_t n_tiles = (shape->n_pixels + TILE_PIXELS - 1) / TILE_PIXELS;
    for (int32_t j = 0; j < shape->n_panels; j++) {
        const float *b_panel = b + (size_t)j * panel, *bias_panel = bias ? bias + j * KDS_PANEL : NULL;
        const bool ahead = shape->n_images * shape->n_rows == 1 && j + 1 < shape->n_panels && panel >= LARGE_PANEL;
        for (int32_t i = 0; i < shape->n_images; i++) {
            for (int32_t r = 0; r < shape->n_rows; r++) {
                const float *from = a + i * shape->a_image + r * shape->a_row;
                float *to = out + i * shape->out_image + r * shape->out_row + j * KDS_PANEL;
                for (int32_t t = 0; t < n_tiles; t++) {
                    const int32_t n = tile_size(shape->n_pixels, n_tiles, t);
                    if (ahead) { /* its share of the next panel, on its way from memory while this one is in use */
                        fetch(b_panel + panel + panel / (size_t)n_tiles * (size_t)t, panel / (size_t)n_tiles);
                    }
                    product_tiles[n](shape, from, b_panel, bias_panel, relu, to);
                    from += n * shape->a_pixel;
                    to += n * shape->out_pixel;
                }
            }
        }
    }
}

static void each_weights_tile(const kds_product_shape *shape, const float *a, const float *d_out, weights_end end,
                              float *to)
{
    const int32_t n_tiles = (shape->n_k + TILE_PIXELS - 1) / TILE_PIXELS;
    for (int32_t j = 0; j < shape->n_panels; j++) {
        for (int32_t s = 0; s < shape->n_segments; s++) {
            const float *from = a + s * shape->a_segment;
            for (int32_t t = 0; t < n_tiles; t++) {
                const int32_t n = tile_size(shape->n_k, n_tiles, t);
                if (end.sgd) { /* what the next tile will change */
                    fetch(to + n * KDS_PANEL, (size_t)(n * KDS_PANEL));
                    fetch(end.velocity + n * KDS_PANEL, (size_t)(n * KDS_PANEL));
                }
                weights_tiles[n](shape, from, d_out + j * KDS_PANEL, &end, to);
                from += n;
                to += n * KDS_PANEL;
                if (end.sgd) {
                    end.velocity += n * KDS_PANEL;
                }
            }
        }
    }
}

static void product_weights(const kds_product_shape *shape, const float *a, const float *d_out, int accumulate,
                            float *d_b)
{
    each_weights_tile(shape, a, d_out, (weights_end){.accumulate = accumulate}, d_b);
}

static void product_step(const kds_product_shape *shape, const float *a, const float *d_out, const kds_sgd *sgd,
                         float *velocity, float *b)
{
    each_weights_tile(shape, a, d_out, (weights_end){.sgd = sgd, .velocity = velocity}, b);
}

/* ---- transpose ------------------------------------------------------------------------------------------------------- */

#if KDS_VECTOR_FLOATS == 16
/* Pairs, then fours within each quarter of a vector, then the quarters themselves. */
static void transpose(const float *from, int64_t from_row, float *to, int64_t to_row)
{
    vf a[16], b[16];
    UNROLLED for (int i = 0; i < 16; i++)
    {
        a[i] = v_load(from + i * from_row);
    }
    UNROLLED for (int i = 0; i < 16; i += 2)
    {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    UNROLLED for (int i = 0; i < 16; i += 4)
    {
        UNROLLED for (int h = 0; h < 2; h++)
        {
            const __m512d x = _mm512_castps_pd(b[i + h]), y = _mm512_castps_pd(b[i + 2 + h]);
            a[i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            a[i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
        }
    }
    UNROLLED for (int c = 0; c < 4; c++) /* now a[4 r + c] has columns c, c + 4, c + 8, c + 12 of rows 4 r .. 4 r + 3 */
    {
        const vf low = _mm512_shuffle_f32x4(a[c], a[4 + c], 0x88), high = _mm512_shuffle_f32x4(a[c], a[4 + c], 0xdd);
        const vf low2 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0x88);
        const vf high2 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0xdd);
        v_store(to + c * to_row, _mm512_shuffle_f32x4(low, low2, 0x88));
        v_store(to + (c + 4) * to_row, _mm512_shuffle_f32x4(high, high2, 0x88));
        v_store(to + (c + 8) * to_row, _mm512_shuffle_f32x4(low, low2, 0xdd));
        v_store(to + (c + 12) * to_row, _mm512_shuffle_f32x4(high, high2, 0xdd));
    }
}
#elif KDS_VECTOR_FLOATS == 8
static void transpose8(const float *from, int64_t from_row, float *to, int64_t to_row)
{
    vf a[8], b[8];
    UNROLLED for (int i = 0; i < 8; i++)
    {
        a[i] = v_load(from + i * from_row);
    }
    UNROLLED for (int i = 0; i < 8; i += 2)
    {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    UNROLLED for (int i = 0; i < 8; i += 4)
    {
        UNROLLED for (int h = 0; h < 2; h++)
        {
            a[i + 2 * h] = _mm256_shuffle_ps(b[i + h], b[i + 2 + h], 0x44);
            a[i + 2 * h + 1] = _mm256_shuffle_ps(b[i + h], b[i + 2 + h], 0xee);
        }
    }
    UNROLLED for (int c = 0; c < 4; c++)
    {
        v_store(to + c * to_row, _mm256_permute2f128_ps(a[c], a[4 + c], 0x20));
        v_store(to + (c + 4) * to_row, _mm256_permute2f128_ps(a[c], a[4 + c], 0x31));
    }
}

static void transpose(const float *from, int64_t from_row, float *to, int64_t to_row)
{
    for (int i = 0; i < KDS_PANEL; i += 8) {
        for (int j = 0; j < KDS_PANEL; j += 8) {
            transpose8(from + i * from_row + j, from_row, to + j * to_row + i, to_row);
        }
    }
}
#else
static void transpose(const float *from, int64_t from_row, float *to, int64_t to_row)
{
    for (int i = 0; i < KDS_PANEL; i++) {
        for (int j = 0; j < KDS_PANEL; j++) {
            to[j * to_row + i] = from[i * from_row + j];
        }
    }
}
#endif

#endif
