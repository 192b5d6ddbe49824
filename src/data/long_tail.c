/*
 * The long tail (methods 0.1; Cui et al. 2019, Cao et al. 2019): how many examples a class keeps, and which.
 */
#include <math.h>

#include "data_source.h"
#include "kdsweep/arena.h"
#include "kdsweep/rng.h"

int64_t kds_long_tail_count(kds_profile profile, double ratio, int64_t n_max, int i_class, int n_classes,
                            int64_t available)
{
    KDS_ASSERT(ratio >= 1.0 && n_max >= 0 && i_class >= 0 && i_class < n_classes);
    /* Operation for operation what the published Python code does, int(n_max * ((1/ratio) ** (i/(m-1.0)))): where the
     * exact product is an integer, one rounding more or less would decide between n and n - 1. */
    double share = 1.0;
    if (profile == KDS_PROFILE_STEP) {
        share = i_class < n_classes / 2 ? 1.0 : 1.0 / ratio;
    } else if (n_classes > 1) {
        share = pow(1.0 / ratio, i_class / (n_classes - 1.0));
    }
    const int64_t count = (int64_t)((double)n_max * share);
    return count < available ? count : available;
}

/* Keep the first `n_kept` of the class's `members` after a shuffle that depends on seed and class alone: what a higher
 * ratio keeps, a lower one keeps too. */
static void cut_class(int64_t seed, int32_t i_class, int32_t *members, int64_t n_members, int64_t n_kept, uint8_t *use)
{
    if (n_kept == n_members) {
        return;
    }
    kds_rng rng = kds_rng_make((uint64_t)seed, KDS_RNG_LONG_TAIL, (uint32_t)i_class);
    kds_rng_shuffle(&rng, members, n_members);
    for (int64_t i = n_kept; i < n_members; i++) {
        use[members[i]] = KDS_USE_DROPPED;
    }
}

kds_status kds_long_tail_cut(const kds_dataset *dataset, const kds_data_spec *spec, uint8_t *use, kds_error *err)
{
    kds_status status = KDS_OK;
    const int32_t n_classes = dataset->n_classes;
    int64_t *start = kds_alloc((size_t)n_classes + 1, sizeof *start, err); /* of each class in `members` */
    int64_t *next = kds_alloc((size_t)n_classes, sizeof *next, err);
    int32_t *members = kds_alloc((size_t)dataset->n_train, sizeof *members,
                                 err); /* example numbers by class, ascending */
    if (start == NULL || next == NULL || members == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (int64_t i = 0; i < dataset->n_train; i++) {
        if (use[i] == KDS_USE_REST) {
            start[dataset->label[i] + 1]++;
        }
    }
    int64_t largest = 0;
    for (int32_t c = 0; c < n_classes; c++) {
        largest = start[c + 1] > largest ? start[c + 1] : largest;
        start[c + 1] += start[c];
        next[c] = start[c];
    }
    for (int64_t i = 0; i < dataset->n_train; i++) {
        if (use[i] == KDS_USE_REST) {
            members[next[dataset->label[i]]++] = (int32_t)i;
        }
    }
    const int64_t n_max = spec->max_count > 0 ? spec->max_count : largest;
    for (int32_t c = 0; c < n_classes; c++) {
        const int64_t n_members = start[c + 1] - start[c];
        const int64_t n_kept = kds_long_tail_count((kds_profile)spec->profile, spec->imbalance_ratio, n_max, c,
                                                   n_classes, n_members);
        if (n_kept == 0) {
            KDS_FAIL(
                err, KDS_DATA, "Use a smaller imbalance ratio, a larger max_count or a smaller validation part.",
                "class %d (%s) keeps no training example: %lld are available, the largest class may have %lld, the "
                "imbalance ratio is %g",
                c, dataset->class_name[c], (long long)n_members, (long long)n_max, spec->imbalance_ratio);
        }
        cut_class(spec->split_seed, c, members + start[c], n_members, n_kept, use);
    }
out:
    kds_free(start);
    kds_free(next);
    kds_free(members);
    return status;
}
