/* What is measured once, of the scores that a trial returns: quality and calibration of classes, confidence, individual fairness, decisions. */
#include <math.h>
#include <string.h>

#include "kdsweep/metrics.h"
#include "run.h"

void kds_run_take_measures(kds_run *run, int64_t n_validation, int64_t n_test, kds_arena *arena)
{
    size_t m = (size_t)run->model.n_classes, n = (size_t)(n_validation > n_test ? n_validation : n_test);
    run->quality_sums = KDS_ARENA_TAKE(arena, KDS_QUALITY_SUMS * m, double);
    run->log_weight = KDS_ARENA_TAKE(arena, KDS_N_DECISIONS * m, double);
    run->decision_work = KDS_ARENA_TAKE(arena, kds_decision_work(run->model.n_classes), double);
    run->decision_weight = KDS_ARENA_TAKE(arena, m, float);
    run->decision_counts = KDS_ARENA_TAKE(arena, m * m, int32_t);
    run->sorted = KDS_ARENA_TAKE(arena, 2 * n, uint64_t);
    run->part_label = KDS_ARENA_TAKE(arena, n, int32_t);
}

/* run->quality_sums, as the measures of a part. */
static void record_quality(kds_run *run, kds_part part)
{
    kds_trial_result *result = run->result;
    size_t at = (size_t)part * (size_t)run->model.n_classes;
    kds_quality_finish(run->quality_sums, run->model.n_classes, result->class_margin + at,
                       result->class_probability + at, result->class_error + at, result->class_log_loss + at);
}

static void start_quality(kds_run *run)
{
    memset(run->quality_sums, 0, KDS_QUALITY_SUMS * (size_t)run->model.n_classes * sizeof(double));
}

static double *log_weight_of(const kds_run *run, int32_t decision)
{
    return run->log_weight + (size_t)decision * (size_t)run->model.n_classes;
}

/* Does this decision look at the validation examples' probabilities? Otherwise at the prior alone, and may need logits to tell classes apart. */
static bool is_searched(int32_t decision)
{
    return decision != KDS_DECISION_LOGIT_ADJUSTED;
}

/* Choose the weights of one decision. run->logits: probabilities of validation for one that is searched. */
static bool choose_decision(kds_run *run, int32_t decision)
{
    const int32_t m = run->model.n_classes;
    double *log_weight = log_weight_of(run, decision);
    const kds_decision_inputs inputs = {.n_classes = m,
                                        .n_validation = run->split->n_validation,
                                        .validation_probability = run->logits,
                                        .validation_log_loss = run->result->class_log_loss +
                                                               (size_t)KDS_PART_VALIDATION * (size_t)m,
                                        .validation_label = run->part_label,
                                        .prior = run->split->train_prior,
                                        .measure = &run->spec->measure,
                                        .interrupt = run->hooks ? run->hooks->interrupt : NULL,
                                        .context = run->hooks ? run->hooks->context : NULL};
    if (!kds_decision_get(decision)(&inputs, log_weight, run->decision_work, run->decision_weight)) {
        return false;
    }
    for (int32_t y = 0; y < m; y++) {
        run->result->decision_weight[(size_t)decision * (size_t)m + (size_t)y] = (float)log_weight[y];
    }
    return true;
}

/* One decision on one part, from run->logits, or from the probabilities that they have become. */
static bool measure_decision(kds_run *run, int32_t decision, kds_split split, int64_t n, bool by_probability)
{
    kds_trial_result *result = run->result;
    const int32_t n_classes = run->model.n_classes;
    const size_t m = (size_t)n_classes, place = (size_t)decision * KDS_N_SPLITS + (size_t)split;
    const double *log_weight = log_weight_of(run, decision);
    int32_t *counts = result->decision_counts ? result->decision_counts + place * m * m : run->decision_counts;
    kds_measures measures;
    kds_decision_factors(n_classes, log_weight, run->decision_weight);
    memset(counts, 0, m * m * sizeof *counts);
    for (int64_t i = 0; i < n; i++) {
        const float *row = run->logits + (size_t)i * m;
        if (kds_run_interrupted_at(run, i)) {
            return false;
        }
        int32_t decided = by_probability ? kds_decide_product(n_classes, row, run->decision_weight)
                                         : kds_decide(n_classes, row, log_weight);
        kds_counts_add(counts, n_classes, 1, &run->part_label[i], &decided);
    }
    kds_measure(n_classes, counts, result->decision_class_accuracy + place * m, &measures);
    result->decision_accuracy[decision][split] = (float)measures.accuracy;
    result->decision_balanced_accuracy[decision][split] = (float)measures.balanced_accuracy;
    result->decision_worst_class_accuracy[decision][split] = (float)measures.worst_class_accuracy;
    return true;
}

static kds_distance_rule *norm_of(int32_t norm)
{
    return norm == KDS_NORM_L1 ? kds_distance_l1 : norm == KDS_NORM_L2 ? kds_distance_l2 : kds_distance_maximum;
}

static bool turn_into_probabilities(kds_run *run, int64_t n)
{
    const int32_t m = run->model.n_classes;
    for (int64_t i = 0; i < n; i++) {
        if (kds_run_interrupted_at(run, i)) {
            return false;
        }
        kds_softmax_row(m, run->logits + i * m, run->logits + i * m);
    }
    return true;
}

/* Individual fairness of one part. */
static bool measure_pairs(kds_run *run, kds_split split, const float *probability)
{
    const kds_pair_list *pairs = run->pairs;
    double sum = 0;
    int64_t n_used = 0, n_at_once = kds_run_rows_at_once(run);
    for (int64_t i = 0; i < pairs->n_pairs[split]; i += n_at_once) {
        const int64_t left = pairs->n_pairs[split] - i;
        if (kds_run_interrupted_at(run, i)) {
            return false;
        }
        kds_individual_fairness_add(&sum, &n_used, left < n_at_once ? left : n_at_once, pairs->pair[split] + 2 * i,
                                    pairs->distance[split] + i, run->model.n_classes, probability,
                                    norm_of(run->spec->measure.individual_norm));
    }
    run->result->individual_fairness[split] = n_used > 0 ? (float)(sum / (double)n_used) : NAN;
    run->result->individual_pairs[split] = (int32_t)n_used;
    return true;
}

/* What probabilities tell of one part. */
static bool measure_probabilities(kds_run *run, kds_split split, int64_t n, const float *probability)
{
    kds_trial_result *result = run->result;
    const int32_t m = run->model.n_classes;
    const kds_confidence bins = {result->confidence_count[split], result->confidence_correct[split],
                                 result->confidence_sum[split]};
    for (int32_t y = 0; y < m; y++) {
        if (kds_run_interrupted(run)) {
            return false;
        }
        result->class_calibration[(int32_t)split * m + y] = (float)kds_class_calibration(
            KDS_N_BINS, m, n, probability, run->part_label, y, run->sorted);
    }
    result->expected_calibration_error[split] = (float)kds_confidence_measure(
        KDS_N_BINS, m, n, probability, run->part_label, kds_run_prediction(run, split), &bins);
    return !run->pairs || measure_pairs(run, split, probability);
}

/* Quality of one part, from run->logits. */
static bool measure_quality(kds_run *run, kds_split split, int64_t n)
{
    const int64_t m = run->model.n_classes, n_at_once = kds_run_rows_at_once(run);
    start_quality(run);
    for (int64_t i = 0; i < n; i += n_at_once) {
        if (kds_run_interrupted_at(run, i)) {
            return false;
        }
        kds_quality_add(run->quality_sums, run->model.n_classes, n - i < n_at_once ? n - i : n_at_once,
                        run->logits + i * m, run->part_label + i);
    }
    record_quality(run, split == KDS_SPLIT_VALIDATION ? KDS_PART_VALIDATION : KDS_PART_TEST);
    return true;
}

bool kds_run_measure_last(kds_run *run, kds_split split)
{
    int64_t n;
    const int32_t *examples = kds_run_part(run, split, &n);
    const bool decides = run->spec->measure.decisions, chooses = split == KDS_SPLIT_VALIDATION;
    for (int64_t i = 0; i < n; i++) {
        run->part_label[i] = run->split->dataset->label[examples[i]];
    }
    if (!measure_quality(run, split, n)) {
        return false;
    }
    for (int32_t d = 0; decides && d < KDS_N_DECISIONS; d++) {
        if (chooses && is_searched(d)) {
            continue;
        }
        if ((chooses && !choose_decision(run, d)) || !measure_decision(run, d, split, n, false)) {
            return false;
        }
    }
    if (!turn_into_probabilities(run, n)) {
        return false;
    }
    for (int32_t d = 0; decides && chooses && d < KDS_N_DECISIONS; d++) {
        if (is_searched(d) && (!choose_decision(run, d) || !measure_decision(run, d, split, n, true))) {
            return false;
        }
    }
    return measure_probabilities(run, split, n, run->logits);
}

bool kds_run_fill_pairs(kds_run *run)
{
    return !run->pairs ||
           kds_pair_list_fill(run->pairs, run->spec, run->split, kds_net_kernels(run->net),
                              run->hooks ? run->hooks->interrupt : NULL, run->hooks ? run->hooks->context : NULL);
}

bool kds_run_measure_train(kds_run *run, const float *train_logits)
{
    const kds_split_view *split = run->split;
    size_t m = (size_t)run->model.n_classes;
    bool average = run->averages && run->position.n_iterates > 0 && run->sum_train;
    if (run->spec->role != KDS_ROLE_TEACHER) {
        return true;
    }
    start_quality(run);
    for (int64_t i = 0; i < split->n_train; i += run->evaluation_rows) {
        int64_t left = split->n_train - i;
        int32_t n_rows = left < run->evaluation_rows ? (int32_t)left : run->evaluation_rows;
        const float *logits = train_logits ? train_logits + (size_t)i * m : run->d_logits;
        if (kds_run_interrupted(run)) {
            return false;
        }
        for (int32_t k = 0; k < n_rows; k++) {
            run->label[k] = split->dataset->label[split->train[i + k]];
        }
        if (!train_logits && average) {
            kds_run_average(run, run->sum_train + (size_t)i * m, n_rows, run->d_logits);
        } else if (!train_logits) {
            logits = kds_run_evaluate(run, split->train + i, n_rows);
        }
        kds_quality_add(run->quality_sums, run->model.n_classes, n_rows, logits, run->label);
    }
    record_quality(run, KDS_PART_TRAIN);
    return true;
}
