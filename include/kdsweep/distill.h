/*
 * Objectives: targets, margins and multipliers; their value and gradient with respect to the logits.
 *
 * Every objective of methods 2.1-2.4 is a cross-entropy on shifted logits,
 *
 *     L(p, f; c) = - sum_y p_y log softmax_y(f - log c),        dL/df = softmax(f - log c) - p      (methods 0.4; without its 1/m)
 *
 * and differs only in the costs c: none (standard), 1/pi (balanced), lambda/pi (robust), ((1-a)/m + a lambda)/pi (tradeoff). pi is the
 * marginal of the labels that the term uses: the class prior for one-hot labels, the teacher's own marginal for the teacher's. Decisions
 * are made on the unshifted logits.
 */
#ifndef KDSWEEP_DISTILL_H
#define KDSWEEP_DISTILL_H

#include <stdint.h>

#include "kdsweep/arena.h"
#include "kdsweep/kernels.h"
#include "kdsweep/trial.h"

/* Marginals and multipliers below this are taken as this before their logarithm: a class without mass gets a finite offset. */
#define KDS_MASS_FLOOR 1e-12

/* What an objective is. A new one is a new file with one of these and one line in objectives.c. */
typedef struct kds_objective_rule {
    const char *name;     /* as in the grid file */
    bool has_costs;       /* the logits are shifted */
    bool has_multipliers; /* lambda is learnt on validation */
    /* log c_y for each class. marginal: [n] pi; multiplier: [n] lambda; tradeoff: a. NULL without costs. */
    void (*log_costs)(int32_t n_classes, const double *marginal, const double *multiplier, double tradeoff,
                      double *log_cost);
    /* Factor on the exponent of the multiplier update: lambda_y <- lambda_y exp(factor * g * R_y), normalised. */
    double (*exponent_factor)(double tradeoff);
} kds_objective_rule;

/* By the number that a recipe holds (kds_objective). */
const kds_objective_rule *kds_objective_get(int32_t objective);

/* The loss of one trial. Arrays come from the trial's arena. */
typedef struct kds_loss {
    const kds_kernels *kernels;
    const kds_objective_rule *rule;
    double tradeoff, step; /* a; g */
    int32_t risk;          /* kds_risk */
    int32_t n_classes;
    bool with_one_hot, with_teacher; /* which terms there are */
    bool teacher_validates;          /* the teacher's labels, not the true ones, weigh the multiplier update */
    float teacher_temperature;       /* divides the teacher's logits: training */
    float validation_temperature;    /* the same in the multiplier update */
    float student_temperature;       /* divides the student's logits in the teacher term: 1 or T */
    float teacher_weight, one_hot_weight;
    double *prior, *teacher_marginal; /* [n_classes] */
    double *log_multiplier;        /* [n_classes] log lambda, lambda sums to 1: the only state that training changes */
    double *multiplier, *log_cost; /* [n_classes] */
    double *risk_sum, *risk_mass;  /* [n_classes] */
    float *one_hot_offset, *teacher_offset; /* [n_classes] - log c of either term; unused without costs */
    float *one_hot_target, *teacher_target; /* [max_rows][n_classes] */
    float *scratch;                         /* [n_classes] */
} kds_loss;

/* Take the arrays (works on a measuring arena). */
void kds_loss_take(kds_loss *loss, int32_t n_classes, int32_t max_rows, kds_arena *arena);

/*
 * Set up for one trial. distill: NULL without a teacher. prior: [n_classes] class frequencies of the training examples.
 * teacher_logits: [n_train][n_classes], for the teacher's marginal pi^t_y = mean of p^t_y at the training temperature; NULL without.
 * Multipliers start at 1/m.
 */
void kds_loss_init(kds_loss *loss, const kds_kernels *kernels, const kds_recipe *recipe,
                   const kds_distill_spec *distill, const double *prior, const float *teacher_logits, int64_t n_train);

/*
 * Loss of a batch and its gradient with respect to the logits. label: [n_rows]; teacher_logits: [n_rows][n_classes] or NULL without a
 * teacher. Returns the mean loss (of all terms, with their weights).
 */
double kds_loss_gradient(kds_loss *loss, int32_t n_rows, const float *logits, const int32_t *label,
                         const float *teacher_logits, float *d_logits);

/*
 * One multiplier update (methods 2.4): begin, add the validation examples in chunks, end. With label weights p (one-hot, or the
 * teacher's at the validation temperature): R_j = sum_x p_j(x) l(j, f(x)) / sum_x p_j(x), 0 for a class without mass;
 * log lambda_j += factor * g * R_j; normalise. chunks: n_rows <= max_rows.
 */
void kds_loss_update_begin(kds_loss *loss);
void kds_loss_update_add(kds_loss *loss, int32_t n_rows, const float *logits, const int32_t *label,
                         const float *teacher_logits);
void kds_loss_update_end(kds_loss *loss);

/* Recompute what follows from log_multiplier (after a checkpoint has restored it). */
void kds_loss_refresh(kds_loss *loss);

#endif
