/*
 * The transforms of minimal filtering against the formulas of kernels.h, written as products of matrices; and all three together, with
 * products, against a plain 3x3 convolution and its gradient.
 *
 * On small whole numbers every addition is exact, so the transforms must agree exactly, at every level. On other numbers each output of a
 * transform is a sum of at most 16 (in: 4 x 4 terms), 4 (gradient) or 9 x ... terms with coefficients 0, 1, -1: three or four roundings of
 * partial sums that are at most the sum of the absolute values.
 */
#include "kernel_case.h"

static const int to_in[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}}; /* B' */
static const int to_out[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};                             /* A' */

enum { MAX_SIDE = 5, COLUMNS = 32, MAX_PIXELS = (2 * MAX_SIDE + 2 + 3) * (2 * MAX_SIDE + 2 + 3) };

static area image_area, planes_area;

static float whole_number(kds_rng *rng)
{
    return (float)kds_rng_below(rng, 2001) - 1000.0f;
}

/* |got - sum| within a few roundings of the absolute values; a sum that is not finite must not become a number. */
static void check(float got, double sum, double size)
{
    if (size >= (double)FLT_MAX / 2 || isnan(size)) {
        assert_true(isfinite(sum) || !isfinite(got));
        return;
    }
    const double tolerance = 8 * UNIT_ROUNDOFF * size + TINY;
    if (!(fabs((double)got - sum) <= tolerance)) {
        fail_msg("got %.9g, wanted %.9g within %.3g", (double)got, sum, tolerance);
    }
}

/* Sum over a, b of row[i][a] * x(a, b) * column[j][b], and of the absolute values. */
static void sandwich(const int *row, const int *column, int n, const float *x, int64_t x_row, int64_t x_column,
                     double *sum, double *size)
{
    *sum = *size = 0;
    for (int a = 0; a < n; a++) {
        for (int b = 0; b < n; b++) {
            const double term = (double)(row[a] * column[b]) * (double)x[a * x_row + b * x_column];
            if (row[a] * column[b] != 0) {
                *sum += term;
                *size += fabs(term);
            }
        }
    }
}

static void try_transforms(const kds_kernels *k, kds_tiles t, place where, filling how, int exact, kds_rng *rng)
{
    const size_t n_in = (size_t)((2 * t.n_rows + 1) * t.row + (2 * t.n_tiles + 1) * t.pixel + t.n_columns);
    const size_t n_planes = (size_t)(15 * t.plane + (int64_t)t.n_rows * t.n_tiles * t.n_columns);
    float *x = area_place(&image_area, n_in * sizeof(float), where);
    float *planes = area_place(&planes_area, n_planes * sizeof(float), where);
    double sum, size;
    for (size_t i = 0; i < n_in; i++) {
        x[i] = exact ? whole_number(rng) : random_number(rng, how);
    }

    k->winograd_in(&t, x, planes);
    for (int32_t r = 0; r < t.n_rows; r++) {
        for (int32_t c = 0; c < t.n_tiles; c++) {
            for (int32_t j = 0; j < t.n_columns; j++) {
                for (int p = 0; p < 16; p++) {
                    sandwich(to_in[p / 4], to_in[p % 4], 4, x + 2 * r * t.row + 2 * c * t.pixel + j, t.row, t.pixel,
                             &sum, &size);
                    check(planes[p * t.plane + ((int64_t)r * t.n_tiles + c) * t.n_columns + j], sum, exact ? 0 : size);
                }
            }
        }
    }
    area_check(&planes_area);

    k->winograd_gradient(&t, x, planes);
    for (int32_t r = 0; r < t.n_rows; r++) {
        for (int32_t c = 0; c < t.n_tiles; c++) {
            for (int32_t j = 0; j < t.n_columns; j++) {
                for (int p = 0; p < 16; p++) {
                    const int row[2] = {to_out[0][p / 4], to_out[1][p / 4]},
                              column[2] = {to_out[0][p % 4], to_out[1][p % 4]};
                    sandwich(row, column, 2, x + 2 * r * t.row + 2 * c * t.pixel + j, t.row, t.pixel, &sum, &size);
                    check(planes[p * t.plane + ((int64_t)r * t.n_tiles + c) * t.n_columns + j], sum, exact ? 0 : size);
                }
            }
        }
    }
    area_check(&planes_area);

    for (size_t i = 0; i < n_planes; i++) {
        planes[i] = exact ? whole_number(rng) : random_number(rng, how);
    }
    memset(x, UNTOUCHED, n_in * sizeof(float));
    k->winograd_out(&t, planes, x);
    for (int32_t r = 0; r < 2 * t.n_rows; r++) {
        for (int32_t c = 0; c < 2 * t.n_tiles; c++) {
            for (int32_t j = 0; j < t.n_columns; j++) {
                const float *y = x + r * t.row + c * t.pixel + j;
                if (r >= t.height || c >= t.width) {
                    assert_untouched(y);
                    continue;
                }
                sandwich(to_out[r % 2], to_out[c % 2], 4,
                         planes + ((int64_t)(r / 2) * t.n_tiles + c / 2) * t.n_columns + j, 4 * t.plane, t.plane, &sum,
                         &size);
                check(*y, sum, exact ? 0 : size);
            }
        }
    }
    area_check(&image_area);
}

static void transforms(const kds_kernels *k)
{
    kds_rng rng = kds_rng_make(11, KDS_RNG_GENERATE, 0);
    image_area = area_make(MAX_PIXELS * COLUMNS * sizeof(float));
    planes_area = area_make(16 * (MAX_SIDE * MAX_SIDE + 1) * COLUMNS * sizeof(float));
    for (int32_t n_rows = 1; n_rows <= MAX_SIDE; n_rows += 2) {
        for (int32_t n_tiles = 1; n_tiles <= MAX_SIDE; n_tiles++) {
            for (int32_t columns = 16; columns <= COLUMNS; columns += 16) {
                for (int odd = 0; odd < 4; odd++) {
                    kds_tiles t = {
                        .n_rows = n_rows,
                        .n_tiles = n_tiles,
                        .n_columns = columns,
                        .height = 2 * n_rows - (odd & 1),
                        .width = 2 * n_tiles - (odd >> 1),
                        .row = (2 * n_tiles + 2 + odd) * columns,
                        .pixel = columns,
                        .plane = (int64_t)n_rows * n_tiles * columns + (odd > 1 ? 16 : 0),
                    };
                    for (int where = 0; where < N_PLACES; where++) {
                        try_transforms(k, t, (place)where, ORDINARY, 1, &rng);
                        try_transforms(k, t, (place)where, (filling)(odd % N_FILLINGS), 0, &rng);
                    }
                }
            }
        }
    }
    area_free(&image_area);
    area_free(&planes_area);
}

/* G w G' of one 3 x 3 filter. */
static void filter_planes(const double w[3][3], double u[4][4])
{
    static const double g[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            u[i][j] = 0;
            for (int a = 0; a < 3; a++) {
                for (int b = 0; b < 3; b++) {
                    u[i][j] += g[i][a] * w[a][b] * g[j][b];
                }
            }
        }
    }
}

/* What the pieces are for: one channel in each column, y = sum of taps, by way of the planes. */
static void filters(const kds_kernels *k)
{
    enum { SIDE = 6, PADDED = SIDE + 2, TILES = SIDE / 2, N = TILES * TILES * KDS_PANEL };
    kds_rng rng = kds_rng_make(12, KDS_RNG_GENERATE, 0);
    static _Alignas(64) float x[PADDED * PADDED * KDS_PANEL], planes[16 * N], y[SIDE * SIDE * KDS_PANEL];
    double w[3][3], u[4][4];
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) {
        x[i] = random_normal(&rng);
    }
    for (int a = 0; a < 9; a++) {
        w[a / 3][a % 3] = kds_rng_normal(&rng);
    }
    filter_planes(w, u);
    const kds_tiles t = {TILES, TILES, KDS_PANEL, SIDE, SIDE, PADDED * KDS_PANEL, KDS_PANEL, N};
    k->winograd_in(&t, x, planes);
    for (int p = 0; p < 16; p++) {
        for (int i = 0; i < N; i++) {
            planes[p * N + i] *= (float)u[p / 4][p % 4];
        }
    }
    kds_tiles out = t;
    out.row = SIDE * KDS_PANEL;
    k->winograd_out(&out, planes, y);
    for (int r = 0; r < SIDE; r++) {
        for (int c = 0; c < SIDE; c++) {
            for (int j = 0; j < KDS_PANEL; j++) {
                double sum = 0, size = 0;
                for (int a = 0; a < 9; a++) {
                    const double term = w[a / 3][a % 3] * (double)x[((r + a / 3) * PADDED + c + a % 3) * KDS_PANEL + j];
                    sum += term;
                    size += fabs(term);
                }
                /* Intermediate sums are larger than the result: 16 inputs with weights of at most 9/4. */
                assert_true(fabs((double)y[(r * SIDE + c) * KDS_PANEL + j] - sum) <= 64 * UNIT_ROUNDOFF * (size + 4));
            }
        }
    }
}

static void all_transforms(void **state)
{
    (void)state;
    for_each_level(transforms);
}

static void all_filters(void **state)
{
    (void)state;
    for_each_level(filters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_transforms), cmocka_unit_test(all_filters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
