/*
 * Objectives: targets, margins, weights and multipliers; their value and gradient with respect to the logits. And decisions: what a trained
 * model's scores are turned into a class by, with parameters chosen on validation.
 *
 * Most objectives are a cross-entropy on shifted logits,
 *
 *     L(p, f; c) = - sum_y p_y log softmax_y(f - log c),        dL/df = softmax(f - log c) sum_y p_y - p  (methods 0.4; without its 1/m)
 *
 * of two terms, one for the teacher's labels and one for the one-hot labels, and differ in the costs c, in the labels p and in the weights of
 * examples and classes, which scale p: its rows need not sum to 1. The costs are none (standard), 1/pi (balanced), lambda/pi (robust),
 * ((1-a)/m + a lambda)/pi (tradeoff) and so on, pi being the marginal of the labels that the term uses: the class prior for one-hot labels,
 * the teacher's own marginal for the teacher's. Those of another form (margins, focal, decoupled, correlations) compute their gradient
 * themselves. Decisions while training and measuring are made on the unshifted logits.
 */
#ifndef KDSWEEP_DISTILL_H
#define KDSWEEP_DISTILL_H

#include <stdbool.h>
#include <stdint.h>

#include "kdsweep/arena.h"
#include "kdsweep/kernels.h"
#include "kdsweep/trial.h"

/* Marginals and multipliers below this are taken as this before their logarithm: a class without mass gets a finite offset. */
#define KDS_MASS_FLOOR 1e-12

typedef struct kds_loss kds_loss;

/* What the loss of one trial is made from; borrowed for the call. */
typedef struct kds_loss_inputs {
    const kds_kernels *kernels;
    const kds_recipe *recipe;
    const kds_distill_spec *distill; /* NULL without a teacher */
    int64_t n_train, n_validation;
    const double *prior;        /* [n_classes] class frequencies of the training examples */
    const int32_t *train_count; /* [n_classes] training examples of each class: only group_dro looks at it */
    const int32_t *group_count; /* [n_groups] training examples of each group; NULL without groups */
    /* The same of validation. Objectives whose multipliers are learnt there look at one of them. */
    const int32_t *validation_count, *validation_group_count;
    const float *teacher_train_logits;      /* [n_train][n_classes]; NULL without a teacher */
    const float *teacher_validation_logits; /* [n_validation][n_classes]: for margins and the teacher's validation */
    const int32_t *train_label;             /* [n_train]: only ada_alpha and ada_margin look at it */
    const int32_t *validation_label;        /* [n_validation]: the same */
} kds_loss_inputs;

/* Examples with what is known of them. Borrowed. */
typedef struct kds_loss_rows {
    int32_t n_rows;              /* <= max_rows */
    const float *logits;         /* [n_rows][n_classes] */
    const int32_t *label;        /* [n_rows] */
    const int32_t *group;        /* [n_rows]; NULL without groups */
    const float *teacher_logits; /* [n_rows][n_classes]; NULL without a teacher */
    double epoch;                /* epochs since the beginning, in fractions: what comes into force later looks at it */
} kds_loss_rows;

/* What an objective is: a file objective_<word>.c with one of these, kds_objective_<word>, and a line in KDS_OBJECTIVES (trial.h). What is NULL
 * it has not; all NULL is `standard`. */
typedef struct kds_objective_rule {
    /* Once, when everything else of the loss is set up: constants of classes (kds_loss.class_weight, .margin ...), weights of terms. */
    void (*begin)(kds_loss *loss, const kds_loss_inputs *inputs);
    /* log c_y of each class, from the marginal of a term's labels and loss->multiplier: its logits are shifted by -log c. */
    void (*log_costs)(const kds_loss *loss, const double *marginal, double *log_cost);
    /* Factor on the exponent of the multiplier update: lambda_y <- lambda_y exp(factor * g * R_y), normalised. NULL: 1. */
    double (*exponent_factor)(const kds_loss *loss);
    /* Before the gradient of a batch: change the labels of its terms, loss->one_hot_target and loss->teacher_target ([n_rows][n_classes], where
     * loss->with_one_hot and .with_teacher), which are one-hot, and softmax(teacher's logits / T). */
    void (*label)(kds_loss *loss, const kds_loss_rows *rows);
    /* Instead of the two terms: mean loss of the batch, and its gradient into d_logits [n_rows][n_classes]. The labels are ready. A logit
     * that is not finite gives a loss that is not. */
    double (*gradient)(kds_loss *loss, const kds_loss_rows *rows, float *d_logits);
} kds_objective_rule;

/* By the number that a recipe holds (kds_objective). */
const kds_objective_rule *kds_objective_get(int32_t objective);

/* The loss of one trial. Arrays come from the trial's arena. */
struct kds_loss {
    const kds_kernels *kernels;
    const kds_objective_rule *rule;
    const kds_recipe *recipe;        /* borrowed for the life of the loss */
    const kds_distill_spec *distill; /* the same; NULL without a teacher */
    int32_t n_classes, n_groups;
    int32_t n_multipliers;           /* classes, or groups (group_dro): of the arrays below, so many are in use */
    bool with_one_hot, with_teacher; /* which terms there are */
    bool teacher_validates;          /* the teacher's labels, not the true ones, weigh the multiplier update */
    float teacher_temperature;       /* divides the teacher's logits: training */
    float validation_temperature;    /* the same in the multiplier update */
    float margin_temperature;        /* the same in the margins of ada_alpha and ada_margin */
    float student_temperature;       /* divides the student's logits in the teacher term: 1 or T */
    float teacher_weight, one_hot_weight;
    double *prior, *teacher_marginal; /* [n_classes] */
    /* [n_classes] an objective's own, of the one-hot and of the teacher term */
    double *class_weight, *teacher_class_weight;
    double *margin, *teacher_margin;
    /* What has a multiplier, [max(n_classes, n_groups)]; log lambda, lambda sums to 1, is the only state that training changes. It is
     * -INFINITY where lambda is 0 for good. */
    double *log_multiplier, *multiplier;
    double *risk_offset;                    /* added to each risk before an update; 0 unless an objective sets it */
    double *risk_sum, *risk_mass;           /* of an update, or of a batch that multipliers are learnt on */
    double *validation_share;               /* mean of its labels over all of validation */
    int64_t n_risk_rows;                    /* examples of an update */
    double *log_cost;                       /* [n_classes] */
    double *row_work;                       /* [max_rows] and */
    double *class_work;                     /* [8 * n_classes]: scratch of an objective's own */
    float *one_hot_offset, *teacher_offset; /* [n_classes] - log c of either term; unused without costs */
    float *one_hot_target, *teacher_target; /* [max_rows][n_classes] */
    float *student_softmax;                 /* [max_rows][n_classes] scratch of an objective's own */
    float *scratch;                         /* [2 * n_classes] */
};

/* Take the arrays (works on a measuring arena). n_groups: 0 without groups. */
void kds_loss_take(kds_loss *loss, int32_t n_classes, int32_t n_groups, int32_t max_rows, kds_arena *arena);

/* Set up for one trial; inputs->recipe and ->distill must outlive the loss. The teacher's marginal is pi^t_y = mean of p^t_y over the
 * training examples at the training temperature. Multipliers start equal; those of group_dro are 0 from the beginning to the end for what has no
 * training examples. An objective that learns from a teacher is `standard` without. */
void kds_loss_init(kds_loss *loss, const kds_loss_inputs *inputs);

/* Loss of a batch (mean; all terms, with their weights) and its gradient with respect to the logits. Multipliers that are learnt on training
 * batches move here. */
double kds_loss_gradient(kds_loss *loss, const kds_loss_rows *rows, float *d_logits);

/*
 * One multiplier update on validation (methods 2.4): begin, add n validation examples in chunks, all of them or a sample, end. With label
 * weights p (one-hot, or the teacher's at the validation temperature): R_j = sum_x p_j(x) l(j, f(x)) / (n pi_j), pi_j the mean of p_j over
 * the whole of validation, so that a sample's R_j is that of the whole on average, and 0 where pi_j is; log lambda_j += factor * g * R_j;
 * normalise. Of groups: pi_g is the share of the group, and l that of the label. group_dro adds C / sqrt(n_j) to R_j, whatever it is, as
 * its authors do.
 */
void kds_loss_update_begin(kds_loss *loss);
void kds_loss_update_add(kds_loss *loss, const kds_loss_rows *rows);
void kds_loss_update_end(kds_loss *loss);

/* Recompute what follows from log_multiplier (after a checkpoint has restored it). */
void kds_loss_refresh(kds_loss *loss);

/* ---- decisions ---------------------------------------------------------------------------------------------------- */

/*
 * After training, argmax_y w_y q_y with weights chosen on validation, in file decision_<word>.c each as kds_decision_<word>. lambda, g: positive,
 * sum to 1; pi: prior; e_y(w): error of class y on validation under the weights w, 0 for a class without examples there. Masses below
 * KDS_MASS_FLOOR are taken as that.
 *
 * logit_adjusted   w = pi^-tau: argmax of f_y - tau log pi_y (Menon et al. 2021)
 * post_shift       w = lambda / pi. lambda starts uniform; `updates` times lambda_y <- lambda_y exp(step e_y(w)), normalised
 *                  (Narasimhan, Menon 2021); it ends when errors are equal, which changes nothing any more. The best iterate decides.
 * drops            w = g / pi. g starts uniform, tau at 1; `updates` times, with L_y the risk of class y under w (e_y, or the mean of
 *                  -log(w_y q_y / sum_j w_j q_j)): g' ~ exp(L_y / tau), then tau <- max(tau + step (KL(g || uniform) - divergence), 0.001),
 *                  g <- g', and the end once abs(KL(g || uniform) - divergence) < 1e-5 for the g before (Wei et al. 2023; the order and the
 *                  stop are those of the authors' code, google-research/drops). The best of w = 1, the plain decision, and these iterates
 *                  decides. Theirs takes the last g, of 25 updates or fewer; with divergence = 0 there are none in either. The last g goes back
 *                  and forth for ever where the divergence cannot be reached (log m and more never is): tau falls, and each time another
 *                  class takes everything.
 *
 * The best: with the highest worst-class accuracy on validation; of equals, with the higher mean recall; of equals, the earlier. Each looks
 * at validation at most updates + 2 times; a look is n_validation n_classes products and comparisons (with cross_entropy, twice that).
 */

/* What a decision is chosen from. Borrowed. */
typedef struct kds_decision_inputs {
    int32_t n_classes;
    int64_t n_validation;
    /* [n_validation][n_classes] q of the returned model, by kds_softmax_row; no NaN. One that is too small for a float may be 0: weights differ
     * by 1e24 at most, so it decides nothing. */
    const float *validation_probability;
    /* [n_classes] mean of -log q_y over the class's examples, from logits, for the same reason. */
    const float *validation_log_loss;
    const int32_t *validation_label; /* [n_validation] */
    const double *prior;             /* [n_classes] class frequencies of the training examples */
    const kds_measure_spec *measure;
    bool (*interrupt)(void *context); /* asked at every look, and every few milliseconds of a long one; NULL: never */
    void *context;
} kds_decision_inputs;

/* log w_y of the decision argmax_y f_y + log w_y (kds_decide), into log_weight [n_classes]. work: [kds_decision_work(n_classes)] doubles;
 * weight: [n_classes]; what is in them does not matter. False when interrupted. logit_adjusted looks at the prior alone: its tau may be so
 * large that probabilities could not show what it decides. */
typedef bool kds_decision_rule(const kds_decision_inputs *inputs, double *log_weight, double *work, float *weight);

kds_decision_rule *kds_decision_get(int32_t decision); /* by kds_decision */

/* w_y / max w [n_classes], from log w: by these probabilities are multiplied. Returns the largest log w. */
double kds_decision_factors(int32_t n_classes, const double *log_weight, float *weight);
size_t kds_decision_work(int32_t n_classes);

#endif
