/*
 * Transforms of Winograd's minimal filtering, F(2x2, 3x3): included by kernels_<isa>.c behind its vector primitives, and by
 * winograd_scalar.c with a "vector" of one float. Only additions; kernels.h has the formulas. Neighbouring tiles of the input share two of
 * their four columns, whose first half of the transform is kept.
 */
#ifndef KDSWEEP_VECTOR_WINOGRAD_H
#define KDSWEEP_VECTOR_WINOGRAD_H

/* One column of four pixels: B' x. */
INLINED void winograd_in_column(const float *x, int64_t row, vf out[4])
{
    const vf a = v_load(x), b = v_load(x + row), c = v_load(x + 2 * row), d = v_load(x + 3 * row);
    out[0] = v_sub(a, c);
    out[1] = v_add(b, c);
    out[2] = v_sub(c, b);
    out[3] = v_sub(b, d);
}

static void winograd_in(const kds_tiles *tiles, const float *x, float *planes)
{
    for (int32_t r = 0; r < tiles->n_rows; r++) {
        for (int32_t c = 0; c < tiles->n_columns; c += VL) {
            const float *from = x + 2 * r * tiles->row + c;
            float *to = planes + (int64_t)r * tiles->n_tiles * tiles->n_columns + c;
            vf column[4][4];
            winograd_in_column(from, tiles->row, column[0]);
            winograd_in_column(from + tiles->pixel, tiles->row, column[1]);
            for (int32_t t = 0; t < tiles->n_tiles; t++, to += tiles->n_columns) {
                from += 2 * tiles->pixel;
                winograd_in_column(from, tiles->row, column[2]);
                winograd_in_column(from + tiles->pixel, tiles->row, column[3]);
                float *at = to;
                for (int i = 0; i < 4; i++, at += 4 * tiles->plane) {
                    v_store(at, v_sub(column[0][i], column[2][i]));
                    v_store(at + tiles->plane, v_add(column[1][i], column[2][i]));
                    v_store(at + 2 * tiles->plane, v_sub(column[2][i], column[1][i]));
                    v_store(at + 3 * tiles->plane, v_sub(column[1][i], column[3][i]));
                    column[0][i] = column[2][i];
                    column[1][i] = column[3][i];
                }
            }
        }
    }
}

static void winograd_gradient(const kds_tiles *tiles, const float *dy, float *planes)
{
    for (int32_t r = 0; r < tiles->n_rows; r++) {
        for (int32_t c = 0; c < tiles->n_columns; c += VL) {
            const float *from = dy + 2 * r * tiles->row + c;
            float *at = planes + (int64_t)r * tiles->n_tiles * tiles->n_columns + c;
            for (int32_t t = 0; t < tiles->n_tiles; t++, from += 2 * tiles->pixel, at += tiles->n_columns) {
                const vf a = v_load(from), b = v_load(from + tiles->row);
                const vf p = v_load(from + tiles->pixel), q = v_load(from + tiles->row + tiles->pixel);
                const vf left[4] = {a, v_add(a, b), v_sub(a, b), v_sub(v_zero(), b)};
                const vf right[4] = {p, v_add(p, q), v_sub(p, q), v_sub(v_zero(), q)};
                for (int i = 0; i < 4; i++) {
                    float *to = at + 4 * i * tiles->plane;
                    v_store(to, left[i]);
                    v_store(to + tiles->plane, v_add(left[i], right[i]));
                    v_store(to + 2 * tiles->plane, v_sub(left[i], right[i]));
                    v_store(to + 3 * tiles->plane, v_sub(v_zero(), right[i]));
                }
            }
        }
    }
}

static void winograd_out(const kds_tiles *tiles, const float *planes, float *y)
{
    for (int32_t r = 0; r < tiles->n_rows; r++) {
        const int two_rows = 2 * r + 1 < tiles->height;
        for (int32_t c = 0; c < tiles->n_columns; c += VL) {
            const float *at = planes + (int64_t)r * tiles->n_tiles * tiles->n_columns + c;
            float *to = y + 2 * r * tiles->row + c;
            for (int32_t t = 0; t < tiles->n_tiles; t++, at += tiles->n_columns, to += 2 * tiles->pixel) {
                vf top[4], bottom[4];
                for (int j = 0; j < 4; j++) {
                    const float *m = at + j * tiles->plane;
                    const vf m1 = v_load(m + 4 * tiles->plane), m2 = v_load(m + 8 * tiles->plane);
                    top[j] = v_add(v_add(v_load(m), m1), m2);
                    bottom[j] = v_sub(v_sub(m1, m2), v_load(m + 12 * tiles->plane));
                }
                const int two_columns = 2 * t + 1 < tiles->width;
                v_store(to, v_add(v_add(top[0], top[1]), top[2]));
                if (two_columns) {
                    v_store(to + tiles->pixel, v_sub(v_sub(top[1], top[2]), top[3]));
                }
                if (two_rows) {
                    v_store(to + tiles->row, v_add(v_add(bottom[0], bottom[1]), bottom[2]));
                    if (two_columns) {
                        v_store(to + tiles->row + tiles->pixel, v_sub(v_sub(bottom[1], bottom[2]), bottom[3]));
                    }
                }
            }
        }
    }
}

#endif
