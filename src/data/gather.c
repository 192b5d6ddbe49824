/*
 * Batches: standardised examples, plain or augmented.
 *
 * Standardisation may differ from pixel to pixel, and the value of a pixel does not change because it is moved: scale and shift are
 * those of the place that a pixel comes from. So a row of an augmented image is one gather of the part of its source that the shift
 * leaves inside, with the same kernel that makes plain batches, between zeros.
 */
#include <string.h>

#include "data_source.h"
#include "kdsweep/kernels.h"
#include "kdsweep/rng.h"

bool kds_data_augments(const kds_data_spec *spec)
{
    return kds_data_spec_augments(spec);
}

void kds_split_gather(const kds_split_view *split, const struct kds_kernels *kernels, const int32_t *examples,
                      int32_t n_examples, int64_t pitch, float *out)
{
    const kds_dataset *d = split->dataset;
    if (d->is_u8) {
        kernels->gather_u8(n_examples, d->n_features, examples, d->x_u8, split->scale, split->shift, pitch, out);
    } else {
        kernels->gather_f32(n_examples, d->n_features, examples, d->x_f32, split->scale, split->shift, pitch, out);
    }
}

/* ---- augmentation ------------------------------------------------------------------------------------------------ */

/* An example has 2^32 counters of its own, of which three are used (more when a draw is rejected): down, right, flip. Each is drawn
 * whatever the keys say, so that an example is mirrored in the same epochs at any pad. */
kds_augmentation kds_augmentation_draw(const kds_data_spec *spec, uint64_t seed, int32_t epoch, uint32_t stream,
                                       int32_t example)
{
    KDS_ASSERT(epoch >= 0 && stream < 2 && example >= 0);
    const uint64_t n_places = 2 * (uint64_t)spec->augment_pad + 1;
    kds_rng rng = kds_rng_make(seed, KDS_RNG_AUGMENT, 2 * (uint32_t)epoch + stream);
    rng.index = (uint64_t)example << 32;
    kds_augmentation drawn;
    drawn.down = (int32_t)kds_rng_below(&rng, n_places) - spec->augment_pad;
    drawn.right = (int32_t)kds_rng_below(&rng, n_places) - spec->augment_pad;
    drawn.flip = kds_rng_below(&rng, 2) == 1 && spec->augment_flip != 0;
    return drawn;
}

/* Standardise `n` features of one example from feature `first` on. */
static void gather_part(const kds_split_view *split, const kds_kernels *kernels, int32_t example, int32_t first,
                        int32_t n, float *out)
{
    static const int32_t here = 0;
    const kds_dataset *d = split->dataset;
    const int64_t at = (int64_t)example * d->n_features + first;
    if (d->is_u8) {
        kernels->gather_u8(1, n, &here, d->x_u8 + at, split->scale + first, split->shift + first, n, out);
    } else {
        kernels->gather_f32(1, n, &here, d->x_f32 + at, split->scale + first, split->shift + first, n, out);
    }
}

/* Exchange left and right of a row of `width` pixels. */
static void mirror_row(int32_t width, int32_t channels, float *row)
{
    float *left = row;
    float *right = row + (int64_t)(width - 1) * channels;
    for (; left < right; left += channels, right -= channels) {
        for (int32_t c = 0; c < channels; c++) {
            const float value = left[c];
            left[c] = right[c];
            right[c] = value;
        }
    }
}

static void zero(float *x, int64_t n)
{
    if (n > 0) {
        memset(x, 0, (size_t)n * sizeof *x);
    }
}

static int32_t clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

static void gather_image(const kds_split_view *split, const kds_kernels *kernels, int32_t example, kds_augmentation how,
                         float *out)
{
    const kds_dataset *d = split->dataset;
    const int32_t channels = d->channels;
    const int32_t row_size = d->width * channels;
    /* The rows and columns of the result that come from inside the image: first .. end - 1. */
    const int32_t first_row = clamp(-how.down, 0, d->height);
    const int32_t end_row = clamp(d->height - how.down, first_row, d->height);
    const int32_t first_column = clamp(-how.right, 0, d->width);
    const int32_t end_column = clamp(d->width - how.right, first_column, d->width);
    const int32_t n_left = first_column * channels;
    const int32_t n_inside = (end_column - first_column) * channels;

    if (end_row == first_row || n_inside == 0) { /* shifted out of sight */
        zero(out, (int64_t)d->height * row_size);
        return;
    }
    zero(out, (int64_t)first_row * row_size);
    zero(out + (int64_t)end_row * row_size, (int64_t)(d->height - end_row) * row_size);
    if (n_inside == row_size) {
        gather_part(split, kernels, example, (first_row + how.down) * row_size, (end_row - first_row) * row_size,
                    out + (int64_t)first_row * row_size);
    } else {
        for (int32_t r = first_row; r < end_row; r++) {
            float *row = out + (int64_t)r * row_size;
            zero(row, n_left);
            gather_part(split, kernels, example, (r + how.down) * row_size + (first_column + how.right) * channels,
                        n_inside, row + n_left);
            zero(row + n_left + n_inside, row_size - n_left - n_inside);
        }
    }
    for (int32_t r = first_row; how.flip && r < end_row; r++) {
        mirror_row(d->width, channels, out + (int64_t)r * row_size);
    }
}

void kds_split_gather_augmented(const kds_split_view *split, const struct kds_kernels *kernels, const int32_t *examples,
                                const kds_augmentation *augmentation, int32_t n_examples, int64_t pitch, float *out)
{
    KDS_ASSERT(split->dataset->height > 0);
    for (int32_t i = 0; i < n_examples; i++) {
        gather_image(split, kernels, examples[i], augmentation[i], out + i * pitch);
    }
}
