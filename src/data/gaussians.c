/*
 * Generated data: class c is a normal distribution with identity covariance around separation * (a random unit vector).
 *
 * Its Bayes rule is known (kds_gaussian_mean), so a sweep over it can be compared with the optimum of each objective.
 * Every number has its own counter: an example is a function of (seed, part, class, its number in the class), whatever
 * the number of classes or of examples.
 */
#include <limits.h>
#include <math.h>

#include "data_source.h"
#include "kdsweep/arena.h"
#include "kdsweep/rng.h"

/* Stream numbers (the epoch of KDS_RNG_GENERATE): 0 the means, 1 + 2 c + part the examples of class c. Within a stream,
 * 2^32 counters for each class or example: more than there are features. */
static kds_rng stream(const kds_data_spec *spec, uint32_t epoch, int64_t i_item)
{
    kds_rng rng = kds_rng_make((uint64_t)spec->gaussian_seed, KDS_RNG_GENERATE, epoch);
    rng.index = (uint64_t)i_item << 32;
    return rng;
}

void kds_gaussian_mean(const kds_data_spec *spec, int32_t i_class, double *mean)
{
    kds_rng rng = stream(spec, 0, i_class);
    double square = 0.0;
    for (int32_t j = 0; j < spec->gaussian_features; j++) {
        mean[j] = kds_rng_normal(&rng);
        square += mean[j] * mean[j];
    }
    const double length = sqrt(square);
    for (int32_t j = 0; j < spec->gaussian_features; j++) {
        mean[j] = spec->gaussian_separation * (mean[j] / length);
    }
}

static kds_status probe(const kds_data_spec *spec, kds_dataset *out, kds_error *err)
{
    kds_status status = KDS_OK;
    /* Before anything is multiplied: a negative count must not become a large one. */
    if (spec->gaussian_classes < 0 || spec->gaussian_train < 0 || spec->gaussian_test < 0) {
        KDS_FAIL(err, KDS_DATA, NULL, "%s: found a negative number of classes or examples",
                 kds_data_source_gaussians.name);
    }
    if (!isfinite(spec->gaussian_separation)) {
        KDS_FAIL(err, KDS_DATA, NULL, "%s: the separation is %f, expected a finite number",
                 kds_data_source_gaussians.name, spec->gaussian_separation);
    }
    out->n_train = (int64_t)spec->gaussian_classes * spec->gaussian_train;
    out->n_test = (int64_t)spec->gaussian_classes * spec->gaussian_test;
    out->n_features = spec->gaussian_features;
    out->n_classes = spec->gaussian_classes;
out:
    return status;
}

static kds_status fill(const kds_data_spec *spec, const kds_data_parts *parts, kds_error *err)
{
    kds_status status = KDS_OK;
    const int32_t n_classes = spec->gaussian_classes;
    const int32_t n_features = spec->gaussian_features;
    const int32_t n_per_class[2] = {spec->gaussian_train, spec->gaussian_test};
    double *mean = kds_alloc((size_t)n_classes * (size_t)n_features, sizeof *mean, err);
    if (mean == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (int32_t c = 0; c < n_classes; c++) {
        kds_gaussian_mean(spec, c, mean + (int64_t)c * n_features);
    }
    float *x = parts->x_f32;
    int32_t *label = parts->label;
    for (uint32_t i_part = 0; i_part < 2; i_part++) {
        for (int32_t i = 0; i < n_per_class[i_part]; i++) {
            for (int32_t c = 0; c < n_classes; c++) {
                kds_rng rng = stream(spec, 1 + 2 * (uint32_t)c + i_part, i);
                const double *centre = mean + (int64_t)c * n_features;
                for (int32_t j = 0; j < n_features; j++) {
                    *x++ = (float)(centre[j] + kds_rng_normal(&rng));
                }
                *label++ = c;
            }
        }
    }
out:
    kds_free(mean);
    return status;
}

const kds_data_source kds_data_source_gaussians = {
    .name = "generated Gaussians", .has_path = false, .probe = probe, .fill = fill};
