/*
 * Metrics: counts first, ratios from counts. A ratio without examples is NaN, never 0 or 1.
 */
#ifndef KDSWEEP_METRICS_H
#define KDSWEEP_METRICS_H

#include <stdint.h>

#include "kdsweep/status.h"

/* The predicted class of one row of scores: the largest, the first of equals. NaN scores never win. */
int32_t kds_predict(int32_t n_classes, const float *scores);

/* counts[label][predicted] += 1 for each example. counts: [n_classes][n_classes]. */
void kds_counts_add(int32_t *counts, int32_t n_classes, int64_t n_examples, const int32_t *label,
                    const int32_t *prediction);

typedef struct kds_measures {
    double accuracy;             /* correct / all */
    double balanced_accuracy;    /* mean over the classes that have examples of their recall */
    double worst_class_accuracy; /* smallest recall of the classes that have examples */
    int32_t worst_class;         /* the first class that has it; -1 when no class has examples */
} kds_measures;

/* class_accuracy: [n_classes] recall of each class, NaN for a class without examples. */
void kds_measure(int32_t n_classes, const int32_t *counts, float *class_accuracy, kds_measures *out);

/* sum over rows of -log softmax(logits)[label]: divide by the number of rows for the mean loss (T = 1, no offsets). In double,
 * rows in order. */
double kds_cross_entropy_sum(int32_t n_rows, int32_t n_classes, const float *logits, const int32_t *label);

/* The same for one row and one class. */
double kds_cross_entropy_row(int32_t n_classes, const float *logits, int32_t label);

#endif
