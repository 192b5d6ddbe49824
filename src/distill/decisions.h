/* What decisions share. */
#ifndef KDSWEEP_DECISIONS_H
#define KDSWEEP_DECISIONS_H

#include "kdsweep/distill.h"

#define X(name, word, meaning) kds_decision_rule kds_decision_##word;
KDS_DECISIONS(X)
#undef X

/* The search for weights that are best on validation, and what it found last. */
typedef struct kds_decision_search {
    const kds_decision_inputs *inputs;
    double *best; /* [n_classes] log weights; the caller's */
    double best_worst, best_mean;
    double *error;    /* [n_classes] of the weights at hand, 0 for a class without examples */
    double *loss;     /* [n_classes] their cross-entropy, the same; only where it is asked for */
    double *n;        /* [n_classes] examples */
    double *product;  /* [n_classes] scratch */
    float *weight;    /* [n_classes] of products of probabilities: the largest is 1 */
    bool is_complete; /* nothing can be better than the best */
} kds_decision_search;

kds_decision_search kds_decision_search_begin(const kds_decision_inputs *inputs, double *best, double *work,
                                              float *weight);

/* Look at weights: fill error (and loss), and keep them if they are the best so far. False when interrupted. */
bool kds_decision_look(kds_decision_search *search, const double *log_weight, bool wants_loss);

/* log max(mass, KDS_MASS_FLOOR) */
double kds_decision_log(double mass);

/* log w_y = log max(mass, KDS_MASS_FLOOR) - log pi_y of masses given as logarithms. */
void kds_decision_weigh(const kds_decision_inputs *inputs, const double *log_mass, double *log_weight);

#endif
