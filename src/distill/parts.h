/* What the files of objectives and loss.c share. */
#ifndef KDSWEEP_DISTILL_PARTS_H
#define KDSWEEP_DISTILL_PARTS_H

#include "kdsweep/distill.h"

/* ---- terms ---------------------------------------------------------------------------------------------------------- */

/* The terms that this loss has, the teacher's first. Returns how many. */
int32_t kds_loss_terms(const kds_loss *loss, kds_softmax_term terms[2]);

/* The one-hot term alone, for objectives whose teacher term is another: its loss, and its gradient into d_logits; 0 without the term. */
double kds_loss_one_hot_term(kds_loss *loss, const kds_loss_rows *rows, float *d_logits);

/* Multiply the labels of a row, in every term that there is. */
void kds_loss_weigh_row(kds_loss *loss, int32_t row, double weight);

/* Shift n logarithms so that what they are of sums to 1. */
void kds_normalise_logs(int32_t n, double *log_mass);

/* log lambda_j += factor * g * (risk_sum_j / mass_j + risk_offset_j), normalised, with all that follows from it. The ratio is 0 without mass. */
void kds_loss_multiply(kds_loss *loss, const double *mass);

/* -log q_label of a row at T = 1. */
double kds_loss_cross_entropy(kds_loss *loss, const float *logits, int32_t label);

/* ---- weights of classes, margins ------------------------------------------------------------------------------------- */

/*
 * Set class_weight and teacher_class_weight: w_y = (1 - beta) / (1 - beta^n_y), normalised to sum to the number of classes (Cui et al. 2019).
 * n_y: training examples of the class; in the teacher term the mass of its labels. At least one example: the effective number of fewer would
 * fall below 1, and one class that the teacher hardly names would take the weight of all others.
 */
void kds_loss_weigh_classes(kds_loss *loss, const kds_loss_inputs *inputs);

/* Are these weights in force (class_balanced.from_epoch)? */
bool kds_loss_reweights(const kds_loss *loss, const kds_loss_rows *rows);

/* kds_objective_rule.label of class_balanced and ldam: p_y -> w_y p_y in both terms. */
void kds_loss_label_by_class(kds_loss *loss, const kds_loss_rows *rows);

/* Set teacher_margin to G_y, the mean of gamma_avg(y, p^t(x)) over the examples of class y (methods 1.3); 0, the margin of a teacher that
 * knows nothing, without examples. */
void kds_loss_measure_margins(kds_loss *loss, const kds_loss_inputs *inputs);

/* gamma_avg(y, p) = p_y - (1 - p_y) / (m - 1) */
double kds_average_margin(int32_t n_classes, double p_y);

/* clip(s G, minimum, maximum) of the ada objectives. */
double kds_loss_clip_margin(const kds_loss *loss, double margin);

/* log c of robust (a = 1) and tradeoff: beta / marginal, beta = (1 - a) / m + a lambda. */
void kds_loss_robust_costs(const kds_loss *loss, const double *marginal, double a, double *log_cost);

/* ---- rows -------------------------------------------------------------------------------------------------------------- */

/*
 * softmax(f * inverse_temperature) of one row, taken apart at one class: q_at, and the shares that the others have of the rest 1 - q_at.
 * In double and with logarithms, it stays exact where one class takes all but nothing; the exponentials are the kernel's. All is NaN where a
 * logit is not finite.
 */
typedef struct kds_apart {
    int32_t at;
    double odds; /* log(rest / own) */
    double own, rest;
    double log_own, log_rest;
    double *share, *log_share; /* [n_classes] q_j / rest; 0 at `at` */
} kds_apart;

enum { KDS_APART_LARGEST = -1 };

/* `work`: [2 * n_classes] for the shares. at: a class, or KDS_APART_LARGEST. Uses loss->scratch. */
void kds_apart_make(kds_loss *loss, const float *f, double inverse_temperature, int32_t at, double *work,
                    kds_apart *out);

/* q_y, log q_y, 1 - q_y. */
static inline double kds_apart_q(const kds_apart *a, int32_t y)
{
    return y == a->at ? a->own : a->rest * a->share[y];
}

static inline double kds_apart_log_q(const kds_apart *a, int32_t y)
{
    return y == a->at ? a->log_own : a->log_rest + a->log_share[y];
}

static inline double kds_apart_not_q(const kds_apart *a, int32_t y)
{
    return y == a->at ? a->rest : 1 - a->rest * a->share[y];
}

/*
 * One-sided margin loss of a term's row (methods 0.4): sum_y p_y log(1 + e^rho_y sum_{j != y} e^(z_j - z_y)), z = f * inverse_temperature;
 * its gradient with respect to z, times `factor`, is added to d. Uses loss->scratch and class_work[0 .. 3 m).
 */
double kds_loss_margin_row(kds_loss *loss, const float *f, double inverse_temperature, const float *p,
                           const double *rho, double factor, float *d);

#endif
