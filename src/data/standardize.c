/*
 * Means and deviations of a trial's own training examples, and the scale and shift that follow from them.
 *
 * Bytes are summed as integers, so their mean is exact and a constant feature has variance 0, not nearly 0. Floats are
 * summed in double, always in ascending order of the examples, relative to the first one, for the same reason.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "data_source.h"
#include "kdsweep/arena.h"

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/* 65536 * 255^2 < 2^32: so many rows can be summed in 32 bits, which is twice as fast as in 64. */
enum { ROWS_PER_SUM = 65536, ROWS_AT_ONCE = 4 };

/* sum += x, square += x^2 for four rows: one load and store of the sums for four bytes each. */
static void add_four_rows(int32_t n_features, const uint8_t *const rows[ROWS_AT_ONCE], uint32_t *restrict sum,
                          uint32_t *restrict square)
{
    const uint8_t *restrict a = rows[0];
    const uint8_t *restrict b = rows[1];
    const uint8_t *restrict c = rows[2];
    const uint8_t *restrict d = rows[3];
    for (int32_t j = 0; j < n_features; j++) {
        /* 16 bits hold four bytes' sum and one byte's square: vector code needs no wider product. */
        const uint16_t four = (uint16_t)(a[j] + b[j] + c[j] + d[j]);
        const uint16_t aa = (uint16_t)(a[j] * a[j]);
        const uint16_t bb = (uint16_t)(b[j] * b[j]);
        const uint16_t cc = (uint16_t)(c[j] * c[j]);
        const uint16_t dd = (uint16_t)(d[j] * d[j]);
        sum[j] += four;
        square[j] += (uint32_t)aa + (uint32_t)bb + (uint32_t)cc + (uint32_t)dd;
    }
}

static void add_row(int32_t n_features, const uint8_t *row, uint32_t *sum, uint32_t *square)
{
    for (int32_t j = 0; j < n_features; j++) {
        sum[j] += row[j];
        square[j] += (uint32_t)row[j] * row[j];
    }
}

/* Mean and variance of n bytes from sum s and sum of squares q. The integer part m of the mean is taken out in
 * integers: what remains, sum (x - m) = s - n m and sum (x - m)^2 = q - 2 m s + n m^2, loses no digits when it is
 * divided. */
static void moments_of_bytes(uint64_t n, uint64_t s, uint64_t q, double *mean, double *variance)
{
    const uint64_t m = s / n;
    const double rest = (double)(s - n * m) / (double)n;
    *mean = (double)m + rest;
    *variance = (double)(q + n * m * m - 2 * m * s) / (double)n - rest * rest;
}

static kds_status measure_u8(const kds_dataset *dataset, const int32_t *rows, int64_t n_rows, double *mean,
                             double *variance, kds_error *err)
{
    kds_status status = KDS_OK;
    const int32_t n_features = dataset->n_features;
    uint32_t *part_sum = kds_alloc((size_t)n_features, sizeof *part_sum, err);
    uint32_t *part_square = kds_alloc((size_t)n_features, sizeof *part_square, err);
    uint64_t *sum = kds_alloc((size_t)n_features, sizeof *sum, err);
    uint64_t *square = kds_alloc((size_t)n_features, sizeof *square, err);
    if (part_sum == NULL || part_square == NULL || sum == NULL || square == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (int64_t first = 0; first < n_rows; first += ROWS_PER_SUM) {
        const int64_t end = first + ROWS_PER_SUM < n_rows ? first + ROWS_PER_SUM : n_rows;
        memset(part_sum, 0, (size_t)n_features * sizeof *part_sum);
        memset(part_square, 0, (size_t)n_features * sizeof *part_square);
        int64_t i = first;
        for (; i + ROWS_AT_ONCE <= end; i += ROWS_AT_ONCE) {
            const uint8_t *four[ROWS_AT_ONCE];
            for (int k = 0; k < ROWS_AT_ONCE; k++) {
                four[k] = dataset->x_u8 + (int64_t)rows[i + k] * n_features;
            }
            add_four_rows(n_features, four, part_sum, part_square);
        }
        for (; i < end; i++) {
            add_row(n_features, dataset->x_u8 + (int64_t)rows[i] * n_features, part_sum, part_square);
        }
        for (int32_t j = 0; j < n_features; j++) {
            sum[j] += part_sum[j];
            square[j] += part_square[j];
        }
    }
    for (int32_t j = 0; j < n_features; j++) {
        moments_of_bytes((uint64_t)n_rows, sum[j], square[j], &mean[j], &variance[j]);
    }
out:
    kds_free(part_sum);
    kds_free(part_square);
    kds_free(sum);
    kds_free(square);
    return status;
}

/* ---- floats ------------------------------------------------------------------------------------------------------ */

/* Two passes: the textbook's one pass loses all digits where the mean is large against the deviation. */
static void measure_f32(const kds_dataset *dataset, const int32_t *rows, int64_t n_rows, double *mean, double *variance)
{
    const int32_t n_features = dataset->n_features;
    const double n = (double)n_rows;
    const float *first = dataset->x_f32 + (int64_t)rows[0] * n_features;
    memset(mean, 0, (size_t)n_features * sizeof *mean);
    memset(variance, 0, (size_t)n_features * sizeof *variance);
    for (int64_t i = 0; i < n_rows; i++) {
        const float *row = dataset->x_f32 + (int64_t)rows[i] * n_features;
        for (int32_t j = 0; j < n_features; j++) {
            mean[j] += (double)row[j] - (double)first[j];
        }
    }
    for (int32_t j = 0; j < n_features; j++) {
        mean[j] = (double)first[j] + mean[j] / n;
    }
    for (int64_t i = 0; i < n_rows; i++) {
        const float *row = dataset->x_f32 + (int64_t)rows[i] * n_features;
        for (int32_t j = 0; j < n_features; j++) {
            const double centred = (double)row[j] - mean[j];
            variance[j] += centred * centred;
        }
    }
    for (int32_t j = 0; j < n_features; j++) {
        variance[j] /= n;
    }
}

/* ---- scale and shift --------------------------------------------------------------------------------------------- */

/* One mean and variance of every stride-th feature together, from the first on: mean of means, mean of variances plus variance of
 * means. */
static void pool(int32_t first, int32_t stride, int32_t n_features, double *mean, double *variance)
{
    const int32_t n_pooled = n_features / stride;
    double pooled_mean = 0.0;
    for (int32_t j = first; j < n_features; j += stride) {
        pooled_mean += mean[j] - mean[first];
    }
    pooled_mean = mean[first] + pooled_mean / n_pooled;
    double pooled_variance = 0.0;
    for (int32_t j = first; j < n_features; j += stride) {
        const double centred = mean[j] - pooled_mean;
        pooled_variance += variance[j] + centred * centred;
    }
    pooled_variance /= n_pooled;
    for (int32_t j = first; j < n_features; j += stride) {
        mean[j] = pooled_mean;
        variance[j] = pooled_variance;
    }
}

/* 1 / deviation; `unit` for a feature that is constant as far as a float can tell. */
static double scale_of(double mean, double variance, double unit)
{
    const double deviation = sqrt(variance);
    const bool is_constant = deviation <= FLT_EPSILON * fabs(mean) || deviation < 1.0 / FLT_MAX;
    return is_constant ? unit : 1.0 / deviation;
}

kds_status kds_standardize_measure(const kds_dataset *dataset, kds_standardize how, const int32_t *rows, int64_t n_rows,
                                   float *scale, float *shift, kds_error *err)
{
    kds_status status = KDS_OK;
    const int32_t n_features = dataset->n_features;
    const double unit = dataset->is_u8 ? 1.0 / 255.0 : 1.0; /* what a raw 1 is without standardisation */
    double *mean = kds_alloc((size_t)n_features, sizeof *mean, err);
    double *variance = kds_alloc((size_t)n_features, sizeof *variance, err);
    if (mean == NULL || variance == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    if (how == KDS_STANDARDIZE_NONE || how == KDS_STANDARDIZE_HALF) {
        for (int32_t j = 0; j < n_features; j++) {
            scale[j] = (float)unit;
            shift[j] = how == KDS_STANDARDIZE_HALF ? -0.5F : 0.0F;
        }
        goto out;
    }
    if (dataset->is_u8) {
        KDS_TRY(measure_u8(dataset, rows, n_rows, mean, variance, err));
    } else {
        measure_f32(dataset, rows, n_rows, mean, variance);
    }
    if (how == KDS_STANDARDIZE_GLOBAL) {
        pool(0, 1, n_features, mean, variance);
    } else if (how == KDS_STANDARDIZE_CHANNEL) {
        for (int32_t c = 0; c < dataset->channels; c++) {
            pool(c, dataset->channels, n_features, mean, variance);
        }
    }
    for (int32_t j = 0; j < n_features; j++) {
        scale[j] = (float)scale_of(mean[j], variance[j], unit);
        /* From the rounded scale: then the mean itself goes to 0 and does not carry the scale's rounding. */
        shift[j] = (float)(-mean[j] * (double)scale[j]);
    }
out:
    kds_free(mean);
    kds_free(variance);
    return status;
}
