/*
 * The one table of keys. Everything that reads or shows a key - grid file, canonical text, identity, columns of the results file,
 * help - is made from it; a new key is one row here and one field in kds_trial_spec.
 *
 * The order of the rows is the order of the axes (first row slowest) and of every listing. It plays no role in identities, so
 * rows may be moved. The path, the words of a choice and the meaning of a value do: KDS_NUMERICS_VERSION.
 */
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kdsweep/hash.h"
#include "kdsweep/trial.h"
#include "trial_keys.h"

/* When a slot has an effect, given that its role bits allow it. The recipe is that of the slot's own scope. */
typedef enum rule {
    RULE_ALWAYS,
    RULE_GAUSSIANS, /* the data are generated */
    RULE_CIFAR100,  /* the data are CIFAR-100 */
    RULE_LONG_TAIL, /* ratio > 1 */
    RULE_TRADEOFF,  /* the objective has these traits: KDS_OBJECTIVE_... */
    RULE_TAU,
    RULE_BETA, /* ... and if only the teacher's labels are reweighted, they have a weight */
    RULE_SMOOTHING,
    RULE_GAMMA,
    RULE_LDAM,
    RULE_GROUP_DRO,
    RULE_CVAR,
    RULE_ADA,          /* ... and the teacher's labels have a weight */
    RULE_ADA_MEASURES, /* ... and its margins are means of classes */
    RULE_DKD,
    RULE_DIST,
    RULE_MULTIPLIERS, /* it has multipliers */
    RULE_ROBUST,      /* ... learnt on validation */
    RULE_TRIFEATURE,  /* the data are Trifeature */
    RULE_CORRELATION, /* examples are chosen by class and group */
    RULE_DECISIONS,   /* decisions after training are measured */
    RULE_INDIVIDUAL,  /* individual fairness is measured */
    RULE_MOMENTUM,    /* momentum > 0 */
    RULE_DECAY,       /* weight_decay > 0 */
    RULE_STEP,        /* step schedule */
    RULE_RESNET,      /* a residual network */
    RULE_WEIGHTS,     /* the objective does not weigh its two terms itself */
    RULE_MIXING,      /* the teacher's labels have a weight */
    RULE_TEMPERED, /* ... and a temperature, and the objective leaves it to the key what that divides; at T = 1 nothing is */
    RULE_T_SQUARED,        /* ... and it divides both sides; at T = 1 the factor is 1 */
    RULE_AUGMENTED_LABELS, /* the teacher's labels have a weight, and the images that they belong to are augmented */
    RULE_VALIDATION,       /* the student's objective has multipliers of classes */
    RULE_TEACHER_ON_VALIDATION /* ... and they are updated with the teacher's labels */
} rule;

#define X(name, word, is_generated) #word,
static const char *const words_source[] = {KDS_SOURCES(X) NULL};
#undef X
static const char *const words_cifar_labels[] = {"fine", "coarse", NULL};
static const char *const words_profile[] = {"exponential", "step", NULL};
static const char *const words_validation_from[] = {"test", "train", NULL};
static const char *const words_standardize[] = {"none", "global", "feature", "channel", "half", NULL};
#define X(name, word, traits, meaning) #word,
static const char *const words_objective[] = {KDS_OBJECTIVES(X) NULL};
#undef X
static const char *const words_dro_groups[] = {"class", "group", NULL};
static const char *const words_dro_learns[] = {"validation", "train", NULL};
static const char *const words_ada_from[] = {"validation", "train", NULL};
static const char *const words_ada_per[] = {"class", "example", NULL};
static const char *const words_attributes[] = {"colour", "texture", "both", NULL};
static const char *const words_pairs[] = {"none", "random", "nearest", NULL};
static const char *const words_norm[] = {"l1", "l2", "maximum", NULL};
static const char *const words_shortcut[] = {"zero_pad", "projection", NULL};
static const char *const words_schedule[] = {"constant", "step", "cosine", NULL};
static const char *const words_risk[] = {"zero_one", "cross_entropy", NULL};
static const char *const words_iterate[] = {"last", "averaged", NULL};
static const char *const words_labels[] = {"one_hot", "teacher", NULL};
static const char *const words_tempered[] = {"teacher", "both", NULL};
static const char *const words_augmented_labels[] = {"live", "cached", NULL};

/* Seeds and other 64-bit integers end where doubles, JSON and analysis tools stop being exact. */
#define LAST_EXACT 9007199254740991.0

#define BIT(role) (1u << KDS_ROLE_##role)
#define ROLES_ALL (BIT(TEACHER) | BIT(STUDENT) | BIT(BASELINE))
#define SCOPE_teacher KDS_SCOPE_TEACHER
#define SCOPE_student KDS_SCOPE_STUDENT
/* A student's identity holds its teacher's. */
#define ROLES_teacher (BIT(TEACHER) | BIT(STUDENT))
#define ROLES_student (BIT(STUDENT) | BIT(BASELINE))

#define FIELD(member) .offset = offsetof(kds_trial_spec, member), .size = sizeof(((kds_trial_spec *)0)->member)
#define RANGE(low, high) .minimum = (low), .maximum = (high)
#define ABOVE(low, high) .minimum = (low), .maximum = (high), .minimum_excluded = true
#define BELOW(low, high) .minimum = (low), .maximum = (high), .maximum_excluded = true
#define BETWEEN(low, high) .minimum = (low), .maximum = (high), .minimum_excluded = true, .maximum_excluded = true
#define WORDS(name) .choices = words_##name
#define SWEEP .sweepable = true
#define FREE .free_of_cost = true
#define DECIDES .decides = true
#define CHECKED .checked = true
#define WHEN(name) .rule = RULE_##name

#define DATA(path_, name_, member, type_, ...)                                                                       \
    {                                                                                                                \
        .path = "data." path_, .name = name_, .type = KDS_KEY_##type_, .scope = KDS_SCOPE_TRIAL, FIELD(data.member), \
        __VA_ARGS__                                                                                                  \
    }

/* What a student does with its teacher: no baseline and no teacher knows of it. */
#define DISTILL(member, type_, ...)                                                                       \
    {                                                                                                     \
        .path = "student." #member, .name = #member, .type = KDS_KEY_##type_, .scope = KDS_SCOPE_STUDENT, \
        .roles = BIT(STUDENT), FIELD(distill.member), __VA_ARGS__                                         \
    }

#define DISTILL_IN(path_, member, type_, ...)                                                           \
    {                                                                                                   \
        .path = "student." path_, .name = #member, .type = KDS_KEY_##type_, .scope = KDS_SCOPE_STUDENT, \
        .roles = BIT(STUDENT), FIELD(distill.member), __VA_ARGS__                                       \
    }

/* How a trial is measured: part of its identity, as its row depends on it. */
#define MEASURE(path_, name_, member, type_, ...)                                                   \
    {                                                                                               \
        .path = "measure." path_, .name = name_, .type = KDS_KEY_##type_, .scope = KDS_SCOPE_TRIAL, \
        .roles = ROLES_ALL, FIELD(measure.member), __VA_ARGS__                                      \
    }

/* Recipe keys exist for the teacher and for the student; those with a shared place can be given for both at once. */
#define OWN(owner, member, type_, ...)                                                                           \
    {                                                                                                            \
        .path = #owner "." #member, .name = #owner "_" #member, .type = KDS_KEY_##type_, .scope = SCOPE_##owner, \
        .roles = ROLES_##owner, FIELD(owner.member), __VA_ARGS__                                                 \
    }
#define SHARED(owner, key, name_, member, type_, ...)                                                  \
    {                                                                                                  \
        .path = #owner "." key, .shared_path = key, .name = #owner "_" name_, .type = KDS_KEY_##type_, \
        .scope = SCOPE_##owner, .roles = ROLES_##owner, FIELD(owner.member), __VA_ARGS__               \
    }

/* clang-format off */
#define RECIPE(owner)                                                                                                  \
    OWN(owner, model, TEXT, SWEEP, DECIDES, CHECKED, .is_model = true, .units = "1",                                   \
        .meaning = "network: mlp:512-256 (hidden layers; mlp is linear), lenet5, resnet20, resnet20x32 (32 channels)"),\
    OWN(owner, shortcut, CHOICE, SWEEP, WHEN(RESNET), WORDS(shortcut), .default_text = "\"zero_pad\"", .units = "1",   \
        .meaning = "resnet: how a shortcut gets more channels: zeros, or a 1 x 1 convolution with normalisation"),     \
    OWN(owner, objective, CHOICE, SWEEP, DECIDES, CHECKED, WORDS(objective), .default_text = "\"standard\"",           \
        .units = "1",                                                                                                  \
        .meaning = "what is minimised: see the list of objectives"),                                                   \
    OWN(owner, tradeoff, NUMBER, SWEEP, FREE, WHEN(TRADEOFF), RANGE(0, 1), .default_text = "0.5", .units = "1",        \
        .meaning = "a of the tradeoff objective"),                                                                     \
    SHARED(owner, "train.epochs", "epochs", epochs, INT, SWEEP, CHECKED, RANGE(1, 1e6), .default_text = "30",          \
        .units = "epochs", .meaning = "passes over the training examples"),                                            \
    SHARED(owner, "train.batch", "batch", batch, INT, SWEEP, RANGE(1, 1e6), .default_text = "128",                     \
        .units = "examples", .meaning = "examples of one gradient step"),                                              \
    SHARED(owner, "train.lr", "lr", lr, NUMBER, SWEEP, FREE, ABOVE(0, 1e3), .default_text = "0.1", .units = "1",       \
        .meaning = "peak learning rate"),                                                                              \
    SHARED(owner, "train.momentum", "momentum", momentum, NUMBER, SWEEP, FREE, DECIDES, BELOW(0, 1),                   \
        .default_text = "0.9", .units = "1", .meaning = "momentum of SGD"),                                            \
    SHARED(owner, "train.nesterov", "nesterov", nesterov, BOOL, SWEEP, FREE, WHEN(MOMENTUM), RANGE(0, 1),              \
        .default_text = "false", .units = "1", .meaning = "Nesterov's momentum"),                                      \
    SHARED(owner, "train.weight_decay", "weight_decay", weight_decay, NUMBER, SWEEP, FREE, DECIDES, RANGE(0, 1e3),     \
        .default_text = "1e-4", .units = "1", .meaning = "added to the gradient: weight_decay * w"),                   \
    SHARED(owner, "train.decay_biases", "decay_biases", decay_biases, BOOL, SWEEP, FREE, WHEN(DECAY), RANGE(0, 1),     \
        .default_text = "false", .units = "1",                                                                         \
        .meaning = "weight decay on biases and on scale and offset of normalisations too"),                            \
    SHARED(owner, "train.schedule", "schedule", schedule, CHOICE, SWEEP, FREE, DECIDES, CHECKED, WORDS(schedule),      \
        .default_text = "\"cosine\"", .units = "1", .meaning = "how the learning rate goes after the warm-up"),        \
    SHARED(owner, "train.warmup", "warmup", warmup, NUMBER, SWEEP, FREE, CHECKED, RANGE(0, 1e6),                       \
        .default_text = "0", .units = "epochs", .meaning = "linear warm-up from 0"),                                   \
    SHARED(owner, "train.milestones", "milestones", milestones, NUMBERS, FREE, CHECKED, WHEN(STEP), ABOVE(0, 1e6),     \
        .count_offset = offsetof(kds_trial_spec, owner.n_milestones), .default_text = "[]", .units = "epochs",         \
        .meaning = "step schedule: after these epochs lr is multiplied by lr_decay"),                                  \
    SHARED(owner, "train.lr_decay", "lr_decay", lr_decay, NUMBER, SWEEP, FREE, WHEN(STEP), ABOVE(0, 1),                \
        .default_text = "0.1", .units = "1", .meaning = "step schedule: factor at each milestone"),                    \
    SHARED(owner, "train.norm_momentum", "norm_momentum", norm_momentum, NUMBER, SWEEP, FREE, WHEN(RESNET),            \
        ABOVE(0, 1), .default_text = "0.1", .units = "1",                                                              \
        .meaning = "resnet: weight of a batch in the running mean and variance of batch normalisation"),               \
    SHARED(owner, "train.norm_epsilon", "norm_epsilon", norm_epsilon, NUMBER, SWEEP, FREE, WHEN(RESNET),               \
        RANGE(1e-12, 1), .default_text = "1e-5", .units = "1",                                                         \
        .meaning = "resnet: added to the variance in batch normalisation"),                                            \
    SHARED(owner, "robust.step", "robust_step", robust_step, NUMBER, SWEEP, FREE, WHEN(MULTIPLIERS), ABOVE(0, 1e3),    \
        .default_text = "0.1", .units = "1",                                                                           \
        .meaning = "g of the multiplier update, lambda_j <- lambda_j exp(g R_j), normalised"),                         \
    SHARED(owner, "robust.every", "robust_every", robust_every, INT, SWEEP, WHEN(ROBUST), RANGE(1, 1e9),               \
        .default_text = "32", .units = "steps", .meaning = "gradient steps between multiplier updates"),               \
    SHARED(owner, "robust.validation_batch", "robust_batch", robust_batch, INT, SWEEP, WHEN(ROBUST), RANGE(0, 1e9),    \
        .default_text = "0", .units = "examples", .meaning = "validation examples of one multiplier update; 0: all"),  \
    SHARED(owner, "robust.risk", "robust_risk", robust_risk, CHOICE, SWEEP, FREE, WHEN(ROBUST), WORDS(risk),           \
        .default_text = "\"zero_one\"", .units = "1", .meaning = "loss l of the class risks R_j"),                     \
    SHARED(owner, "robust.iterate", "robust_iterate", robust_iterate, CHOICE, SWEEP, CHECKED, WHEN(ROBUST),            \
        WORDS(iterate), .default_text = "\"last\"", .units = "1", .meaning = "model that a robust run returns"),         \
    SHARED(owner, "logit_adjusted.tau", "tau", tau, NUMBER, SWEEP, FREE, WHEN(TAU), RANGE(0, 1e3),                     \
        .default_text = "1", .units = "1", .meaning = "tau of the logit_adjusted objective"),                          \
    SHARED(owner, "class_balanced.beta", "beta", beta, NUMBER, SWEEP, FREE, WHEN(BETA), BELOW(0, 1),                   \
        .default_text = "0.9999", .units = "1",                                                                        \
        .meaning = "beta of the class weights of class_balanced, ldam and balanced_kd"),                               \
    SHARED(owner, "class_balanced.from_epoch", "reweight_from", reweight_from, NUMBER, SWEEP, FREE, WHEN(BETA),        \
        RANGE(0, 1e6), .default_text = "0", .units = "epochs",                                                         \
        .meaning = "epochs before these class weights come into force (deferred re-weighting)"),                       \
    SHARED(owner, "label_smoothing.epsilon", "smoothing", smoothing, NUMBER, SWEEP, FREE, WHEN(SMOOTHING),             \
        RANGE(0, 1), .default_text = "0.1", .units = "1", .meaning = "e of the label_smoothing objective"),            \
    SHARED(owner, "focal.gamma", "focal_gamma", focal_gamma, NUMBER, SWEEP, FREE, WHEN(GAMMA), RANGE(0, 100),          \
        .default_text = "2", .units = "1", .meaning = "gamma of the focal objective"),                                 \
    SHARED(owner, "ldam.margin", "ldam_margin", ldam_margin, NUMBER, SWEEP, FREE, WHEN(LDAM), RANGE(0, 1e3),           \
        .default_text = "0.5", .units = "1", .meaning = "ldam: margin of the rarest class"),                           \
    SHARED(owner, "ldam.scale", "ldam_scale", ldam_scale, NUMBER, SWEEP, FREE, WHEN(LDAM), ABOVE(0, 1e3),              \
        .default_text = "1", .units = "1",                                                                             \
        .meaning = "ldam: factor on logits and margins; its authors' 30 belongs to normalised features, not used here"),\
    SHARED(owner, "group_dro.groups", "dro_groups", dro_groups, CHOICE, SWEEP, FREE, DECIDES, WHEN(GROUP_DRO),         \
        WORDS(dro_groups), .default_text = "\"class\"", .units = "1",                                                  \
        .meaning = "group_dro: what has a multiplier, classes or the groups of the data"),                             \
    SHARED(owner, "group_dro.learn_on", "dro_learns", dro_learns, CHOICE, SWEEP, DECIDES, WHEN(GROUP_DRO),             \
        WORDS(dro_learns), .default_text = "\"validation\"", .units = "1",                                             \
        .meaning = "group_dro: losses that multipliers follow, of validation, or of every training batch"),            \
    SHARED(owner, "group_dro.adjustment", "dro_adjustment", dro_adjustment, NUMBER, SWEEP, FREE, WHEN(GROUP_DRO),      \
        RANGE(0, 1e3), .default_text = "0", .units = "1",                                                              \
        .meaning = "group_dro: C of the adjusted losses l_g + C / sqrt(n_g)"),                                         \
    SHARED(owner, "cvar.fraction", "cvar_fraction", cvar_fraction, NUMBER, SWEEP, FREE, WHEN(CVAR), ABOVE(0, 1),       \
        .default_text = "0.5", .units = "1", .meaning = "cvar: share of a batch, those of the largest losses, that counts")

static const kds_slot table[] = {
    {.path = "seeds", .name = "seed", .type = KDS_KEY_INT, .scope = KDS_SCOPE_TRIAL, .roles = ROLES_ALL, FIELD(seed),
     SWEEP, FREE, RANGE(0, LAST_EXACT), .default_text = "0", .units = "1",
     .meaning = "the seeds themselves, not their number: initial weights and batch order"},

    DATA("source", "data_source", source, CHOICE, .roles = ROLES_ALL, DECIDES, CHECKED, WORDS(source), .units = "1",
         .meaning = "kind of data set"),
    /* No roles: where the files stand is no part of any identity, moved files are the same data. */
    DATA("path", "data_path", path, TEXT, FREE, .default_text = "\"\"", .units = "1",
         .meaning = "folder (idx, cifar10, cifar100) or file (hdf5); must be given for these"),
    DATA("cifar100.labels", "cifar_labels", cifar_labels, CHOICE, .roles = ROLES_ALL, WHEN(CIFAR100), WORDS(cifar_labels),
         .default_text = "\"fine\"", .units = "1",
         .meaning = "CIFAR-100: the 100 classes, with the 20 superclasses as groups, or the superclasses as classes"),
    DATA("imbalance.profile", "imbalance_profile", profile, CHOICE, .roles = ROLES_ALL, SWEEP, WHEN(LONG_TAIL),
         WORDS(profile), .default_text = "\"exponential\"", .units = "1",
         .meaning = "long tail: n_i = n_max ratio^(-i/(m-1)), or half of the classes n_max / ratio"),
    DATA("imbalance.ratio", "imbalance_ratio", imbalance_ratio, NUMBER, .roles = ROLES_ALL, SWEEP, DECIDES, CHECKED,
         RANGE(1, 1e6), .default_text = "1", .units = "1", .meaning = "training examples, largest class : smallest class"),
    DATA("imbalance.max_count", "max_count", max_count, INT, .roles = ROLES_ALL, SWEEP, CHECKED, RANGE(0, 1e9),
         .default_text = "0", .units = "examples", .meaning = "n_max of the long tail; 0: the largest class as it is"),
    DATA("validation.from", "validation_from", validation_from, CHOICE, .roles = ROLES_ALL, WORDS(validation_from),
         .default_text = "\"test\"", .units = "1",
         .meaning = "part that the validation examples are taken from; of train before the long tail is cut"),
    DATA("validation.fraction", "validation_fraction", validation_fraction, NUMBER, .roles = ROLES_ALL, BETWEEN(0, 1),
         .default_text = "0.5", .units = "1", .meaning = "share of that part"),
    DATA("split_seed", "split_seed", split_seed, INT, .roles = ROLES_ALL, FREE, RANGE(0, LAST_EXACT), .default_text = "0",
         .units = "1", .meaning = "which examples: validation, and those that the long tail keeps"),
    DATA("standardize", "standardize", standardize, CHOICE, .roles = ROLES_ALL, SWEEP, FREE, CHECKED, WORDS(standardize),
         .default_text = "\"global\"", .units = "1",
         .meaning = "mean 0 and deviation 1 over the training examples: of all, each feature, each channel; half: x/255 - 1/2"),
    DATA("augment.pad", "augment_pad", augment_pad, INT, .roles = ROLES_ALL, SWEEP, DECIDES, CHECKED, RANGE(0, 32),
         .default_text = "0", .units = "pixels",
         .meaning = "training images are shifted at random by up to so many pixels each way, in every epoch anew"),
    DATA("augment.flip", "augment_flip", augment_flip, BOOL, .roles = ROLES_ALL, SWEEP, DECIDES, CHECKED, RANGE(0, 1),
         .default_text = "false", .units = "1",
         .meaning = "training images are exchanged for their mirror images with probability 1/2, in every epoch anew"),
    DATA("gaussians.classes", "gaussian_classes", gaussian_classes, INT, .roles = ROLES_ALL, WHEN(GAUSSIANS),
         RANGE(2, 65535), .default_text = "10", .units = "classes", .meaning = "generated data: number of classes"),
    DATA("gaussians.features", "gaussian_features", gaussian_features, INT, .roles = ROLES_ALL, WHEN(GAUSSIANS),
         RANGE(1, 1e6), .default_text = "32", .units = "features", .meaning = "generated data: number of features"),
    DATA("gaussians.train_per_class", "gaussian_train", gaussian_train, INT, .roles = ROLES_ALL, WHEN(GAUSSIANS), CHECKED,
         RANGE(1, 1e7), .default_text = "500", .units = "examples",
         .meaning = "generated data: training examples of a class before the long tail is cut"),
    DATA("gaussians.test_per_class", "gaussian_test", gaussian_test, INT, .roles = ROLES_ALL, WHEN(GAUSSIANS),
         RANGE(1, 1e7), .default_text = "200", .units = "examples",
         .meaning = "generated data: test examples of a class, validation included"),
    DATA("gaussians.separation", "gaussian_separation", gaussian_separation, NUMBER, .roles = ROLES_ALL, FREE,
         WHEN(GAUSSIANS), RANGE(0, 1e6), .default_text = "3", .units = "1",
         .meaning = "generated data: length of the class means; the covariance is the identity"),
    DATA("gaussians.seed", "gaussian_seed", gaussian_seed, INT, .roles = ROLES_ALL, FREE, WHEN(GAUSSIANS),
         RANGE(0, LAST_EXACT), .default_text = "0", .units = "1", .meaning = "generated data: which draw"),

    DATA("trifeature.size", "trifeature_size", trifeature_size, INT, .roles = ROLES_ALL, WHEN(TRIFEATURE), RANGE(16, 224),
         .default_text = "32", .units = "pixels", .meaning = "Trifeature: side of an image; lengths scale with size / 224"),
    DATA("trifeature.train", "trifeature_train", trifeature_train, INT, .roles = ROLES_ALL, WHEN(TRIFEATURE),
         RANGE(1, 1e4), .default_text = "20", .units = "examples",
         .meaning = "Trifeature: training images of each of the 1000 combinations of shape, texture and colour"),
    DATA("trifeature.test", "trifeature_test", trifeature_test, INT, .roles = ROLES_ALL, WHEN(TRIFEATURE),
         RANGE(1, 1e4), .default_text = "10", .units = "examples",
         .meaning = "Trifeature: test images of each combination, validation included"),
    DATA("trifeature.groups", "trifeature_groups", trifeature_groups, CHOICE, .roles = ROLES_ALL, WHEN(TRIFEATURE),
         WORDS(attributes), .default_text = "\"colour\"", .units = "1",
         .meaning = "Trifeature: groups, by colour, by texture or by both (100)"),
    DATA("trifeature.seed", "trifeature_seed", trifeature_seed, INT, .roles = ROLES_ALL, FREE, WHEN(TRIFEATURE),
         RANGE(0, LAST_EXACT), .default_text = "0", .units = "1", .meaning = "Trifeature: which draw"),
    DATA("tint.colours", "tint_colours", tint_colours, INT, .roles = ROLES_ALL, CHECKED, RANGE(0, 10), .default_text = "0",
         .units = "1",
         .meaning = "grey images (idx, hdf5) become coloured ones: so many colours, in turn within each class, as groups; 0: none"),
    DATA("correlation.strength", "correlation_strength", correlation_strength, NUMBER, .roles = ROLES_ALL, SWEEP, DECIDES,
         CHECKED, RANGE(0, 1), .default_text = "0", .units = "1",
         .meaning = "share of a class's training examples in its own group (class mod groups), others evenly; 0: as they are"),
    DATA("correlation.count", "correlation_count", correlation_count, INT, .roles = ROLES_ALL, WHEN(CORRELATION),
         RANGE(0, 1e9), .default_text = "0", .units = "examples",
         .meaning = "training examples of each class then; 0: the most that every strength allows"),

    {.path = "measure.decisions", .name = "measure_decisions", .type = KDS_KEY_BOOL, .scope = KDS_SCOPE_TRIAL,
     .roles = ROLES_ALL, FIELD(measure.decisions), DECIDES, RANGE(0, 1), .default_text = "true", .units = "1",
     .meaning = "measure decisions after training too (logit_adjusted, post_shift, drops), chosen on validation"},
    MEASURE("decision.tau", "decision_tau", decision_tau, NUMBER, WHEN(DECISIONS), RANGE(0, 1e3), .default_text = "1",
            .units = "1", .meaning = "logit_adjusted decision: argmax of f_y - tau log pi_y"),
    MEASURE("decision.step", "decision_step", decision_step, NUMBER, WHEN(DECISIONS), ABOVE(0, 1e3),
            .default_text = "0.1", .units = "1", .meaning = "post_shift: step of its multipliers; drops: of its temperature"),
    MEASURE("decision.updates", "decision_updates", decision_updates, INT, WHEN(DECISIONS), RANGE(1, 1e6),
            .default_text = "100", .units = "1", .meaning = "updates of post_shift and drops, each from all of validation"),
    MEASURE("decision.risk", "decision_risk", decision_risk, CHOICE, WHEN(DECISIONS), WORDS(risk),
            .default_text = "\"cross_entropy\"", .units = "1", .meaning = "loss that drops takes of each class"),
    MEASURE("decision.divergence", "decision_divergence", decision_divergence, NUMBER, WHEN(DECISIONS), RANGE(0, 1e3),
            .default_text = "0.2", .units = "1", .meaning = "drops: delta, how far weights may go from uniform ones (KL)"),
    MEASURE("individual.pairs", "individual_pairs", individual_pairs, CHOICE, DECIDES, WORDS(pairs),
            .default_text = "\"none\"", .units = "1",
            .meaning = "individual fairness: pairs of random examples, or of random ones and their nearest neighbours"),
    MEASURE("individual.count", "individual_count", individual_count, INT, WHEN(INDIVIDUAL), RANGE(1, 1e7),
            .default_text = "1000", .units = "1", .meaning = "individual fairness: pairs of each split"),
    MEASURE("individual.norm", "individual_norm", individual_norm, CHOICE, WHEN(INDIVIDUAL), WORDS(norm),
            .default_text = "\"l1\"", .units = "1", .meaning = "individual fairness: norm of the difference of outputs, softmax at T = 1"),
    MEASURE("individual.distance", "individual_distance", individual_distance, CHOICE, WHEN(INDIVIDUAL), WORDS(norm),
            .default_text = "\"l2\"", .units = "1",
            .meaning = "individual fairness: norm of the difference of standardised inputs"),

    /* A teacher's own seed is its `seed`; this one is a key of its students. */
    {.path = "teacher.seed", .name = "teacher_seed", .type = KDS_KEY_INT, .scope = KDS_SCOPE_TEACHER,
     .roles = BIT(STUDENT), FIELD(teacher_seed), SWEEP, FREE, RANGE(-1, LAST_EXACT), .default_text = "-1", .units = "1",
     .meaning = "seed of the teacher of every student; -1: the student's own"},
    RECIPE(teacher),
    RECIPE(student),

    DISTILL(temperature, NUMBER, SWEEP, FREE, DECIDES, WHEN(MIXING), ABOVE(0, 1e6), .default_text = "1", .units = "1",
            .meaning = "T of the teacher's labels, softmax(f / T)"),
    /* Not free of cost: without a weight a live teacher does not run. */
    DISTILL(mixing, NUMBER, SWEEP, DECIDES, CHECKED, WHEN(WEIGHTS), RANGE(0, 1e3), .default_text = "1", .units = "1",
            .meaning = "weight of the teacher's labels; the rest of 1 is on the one-hot labels"),
    DISTILL(one_hot_weight, NUMBER, SWEEP, FREE, DECIDES, CHECKED, WHEN(WEIGHTS), RANGE(-1, 1e3), .default_text = "-1",
            .units = "1", .meaning = "weight of the one-hot labels; below 0: 1 - mixing, or 0"),
    DISTILL(tempered, CHOICE, SWEEP, FREE, DECIDES, WHEN(TEMPERED), WORDS(tempered), .default_text = "\"teacher\"",
            .units = "1", .meaning = "logits that are divided by T: the teacher's, or the student's too"),
    DISTILL(t_squared, BOOL, SWEEP, FREE, WHEN(T_SQUARED), RANGE(0, 1), .default_text = "false", .units = "1",
            .meaning = "multiply the teacher term by T^2 (only with tempered = \"both\")"),
    DISTILL(augmented_labels, CHOICE, SWEEP, CHECKED, WHEN(AUGMENTED_LABELS), WORDS(augmented_labels),
            .default_text = "\"live\"", .units = "1",
            .meaning = "teacher's labels of augmented images: of the image as the student sees it, or those of the clean one"),
    DISTILL(validation_labels, CHOICE, SWEEP, FREE, DECIDES, WHEN(VALIDATION), WORDS(labels),
            .default_text = "\"one_hot\"", .units = "1", .meaning = "labels of the multiplier update of a robust student"),
    DISTILL(validation_temperature, NUMBER, SWEEP, FREE, DECIDES, WHEN(TEACHER_ON_VALIDATION), RANGE(0, 1e6),
            .default_text = "0", .units = "1",
            .meaning = "T of the teacher's labels in the multiplier update; 0: as temperature"),
    DISTILL_IN("ada.margin_from", ada_from, CHOICE, SWEEP, FREE, WHEN(ADA_MEASURES), WORDS(ada_from),
            .default_text = "\"validation\"", .units = "1",
            .meaning = "ada_alpha, ada_margin: examples on which the teacher's margins of classes are measured"),
    DISTILL_IN("ada.per", ada_per, CHOICE, SWEEP, FREE, DECIDES, WHEN(ADA), WORDS(ada_per), .default_text = "\"class\"",
            .units = "1", .meaning = "ada_alpha, ada_margin: the mean margin of a class, or the margin of each example"),
    DISTILL_IN("ada.temperature", ada_temperature, NUMBER, SWEEP, FREE, DECIDES, WHEN(ADA), RANGE(0, 1e6),
            .default_text = "0", .units = "1", .meaning = "ada_alpha, ada_margin: T of the teacher's labels in the margin; 0: as temperature"),
    DISTILL_IN("ada.scale", ada_scale, NUMBER, SWEEP, FREE, WHEN(ADA), RANGE(0, 1e3), .default_text = "1", .units = "1",
            .meaning = "ada_alpha, ada_margin: s of clip(s G, minimum, maximum), G the margin"),
    DISTILL_IN("ada.minimum", ada_minimum, NUMBER, SWEEP, FREE, CHECKED, WHEN(ADA), RANGE(-1e3, 1e3), .default_text = "0",
            .units = "1", .meaning = "ada_alpha, ada_margin: lower end of the clip"),
    DISTILL_IN("ada.maximum", ada_maximum, NUMBER, SWEEP, FREE, CHECKED, WHEN(ADA), RANGE(-1e3, 1e3), .default_text = "1",
            .units = "1", .meaning = "ada_alpha, ada_margin: upper end of the clip"),
    DISTILL_IN("dkd.alpha", dkd_alpha, NUMBER, SWEEP, FREE, WHEN(DKD), RANGE(0, 1e3), .default_text = "1", .units = "1",
            .meaning = "dkd: weight of the divergence of target against the rest"),
    DISTILL_IN("dkd.beta", dkd_beta, NUMBER, SWEEP, FREE, WHEN(DKD), RANGE(0, 1e3), .default_text = "8", .units = "1",
            .meaning = "dkd: weight of the divergence among the rest"),
    DISTILL_IN("dkd.warmup", dkd_warmup, NUMBER, SWEEP, FREE, WHEN(DKD), RANGE(0, 1e6), .default_text = "20",
            .units = "epochs", .meaning = "dkd: epochs in which the teacher's weight rises linearly"),
    DISTILL_IN("dist.inter", dist_inter, NUMBER, SWEEP, FREE, WHEN(DIST), RANGE(0, 1e3), .default_text = "1", .units = "1",
            .meaning = "dist: weight of 1 - correlation over the classes of an example"),
    DISTILL_IN("dist.intra", dist_intra, NUMBER, SWEEP, FREE, WHEN(DIST), RANGE(0, 1e3), .default_text = "1", .units = "1",
            .meaning = "dist: weight of 1 - correlation over the examples of a batch"),
};
/* clang-format on */

enum { N_SLOTS = sizeof table / sizeof table[0] };

const kds_slot *kds_slots(int *n_slots)
{
    *n_slots = N_SLOTS;
    return table;
}

int kds_slot_find(const char *name)
{
    for (int i = 0; i < N_SLOTS; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

int kds_slot_at(size_t offset)
{
    int i = 0;
    while (i < N_SLOTS && table[i].offset != offset) {
        i++;
    }
    KDS_ASSERT(i < N_SLOTS);
    return i;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

kds_value kds_slot_get(const kds_slot *slot, const kds_trial_spec *spec)
{
    const char *field = (const char *)spec + slot->offset;
    kds_value value = {0};
    switch (slot->type) {
    case KDS_KEY_BOOL:
    case KDS_KEY_INT:
    case KDS_KEY_CHOICE:
        if (slot->size == sizeof(int64_t)) {
            memcpy(&value.integer, field, sizeof value.integer);
        } else {
            int32_t narrow;
            memcpy(&narrow, field, sizeof narrow);
            value.integer = narrow;
        }
        break;
    case KDS_KEY_NUMBER:
        memcpy(&value.number, field, sizeof value.number);
        break;
    case KDS_KEY_TEXT:
        value.text = field;
        break;
    case KDS_KEY_NUMBERS:
        value.numbers.items = (const double *)(const void *)field;
        memcpy(&value.numbers.n_items, (const char *)spec + slot->count_offset, sizeof value.numbers.n_items);
        break;
    }
    return value;
}

void kds_slot_set(const kds_slot *slot, kds_trial_spec *spec, kds_value value)
{
    char *field = (char *)spec + slot->offset;
    switch (slot->type) {
    case KDS_KEY_BOOL:
    case KDS_KEY_INT:
    case KDS_KEY_CHOICE:
        if (slot->size == sizeof(int64_t)) {
            memcpy(field, &value.integer, sizeof value.integer);
        } else {
            const int32_t narrow = (int32_t)value.integer;
            memcpy(field, &narrow, sizeof narrow);
        }
        break;
    case KDS_KEY_NUMBER:
        memcpy(field, &value.number, sizeof value.number);
        break;
    case KDS_KEY_TEXT: {
        const size_t length = strlen(value.text);
        KDS_ASSERT(length < slot->size);
        /* Zeroes to the end, so that equal specs are equal bytes. memmove: the value may come from the field itself. */
        memmove(field, value.text, length);
        memset(field + length, 0, slot->size - length);
        break;
    }
    case KDS_KEY_NUMBERS: {
        const size_t size = (size_t)value.numbers.n_items * sizeof(double);
        KDS_ASSERT(size <= slot->size);
        if (size > 0) {
            memmove(field, value.numbers.items, size);
        }
        memset(field + size, 0, slot->size - size);
        memcpy((char *)spec + slot->count_offset, &value.numbers.n_items, sizeof value.numbers.n_items);
        break;
    }
    }
}

/* Quoted as libconfig reads it, which is not quite as JSON does. */
static void add_quoted(kds_text *out, const char *text)
{
    kds_text_add(out, "\"");
    for (const char *p = text; *p != '\0'; p++) {
        const unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            kds_text_addf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7F) {
            kds_text_addf(out, "\\x%02x", (unsigned)c);
        } else {
            kds_text_add_bytes(out, p, 1);
        }
    }
    kds_text_add(out, "\"");
}

static void add_numbers(kds_text *out, const double *items, int n_items)
{
    kds_text_add(out, "[");
    for (int i = 0; i < n_items; i++) {
        kds_text_add(out, i > 0 ? ", " : "");
        kds_text_add_number(out, items[i]);
    }
    kds_text_add(out, "]");
}

void kds_slot_value_to_text(const kds_slot *slot, kds_value value, bool quoted, kds_text *out)
{
    switch (slot->type) {
    case KDS_KEY_BOOL:
        kds_text_add(out, value.integer != 0 ? "true" : "false");
        break;
    case KDS_KEY_INT:
        kds_text_addf(out, "%lld", (long long)value.integer);
        break;
    case KDS_KEY_NUMBER:
        kds_text_add_number(out, value.number);
        break;
    case KDS_KEY_CHOICE:
        kds_text_addf(out, quoted ? "\"%s\"" : "%s", slot->choices[value.integer]);
        break;
    case KDS_KEY_TEXT:
        if (quoted) {
            add_quoted(out, value.text);
        } else {
            kds_text_add(out, value.text);
        }
        break;
    case KDS_KEY_NUMBERS:
        add_numbers(out, value.numbers.items, value.numbers.n_items);
        break;
    }
}

/* Doubles and integers as eight bytes, lowest first, so that the hash is the same on every machine. */
static void to_bytes(const void *value, unsigned char bytes[8])
{
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(bits >> (8 * i));
    }
}

uint64_t kds_slot_value_hash(const kds_slot *slot, kds_value value)
{
    /* The path is the seed: two slots with the same value have different hashes. */
    const uint64_t seed = kds_hash64(slot->path, strlen(slot->path), 0);
    unsigned char bytes[8 * (KDS_MAX_MILESTONES + 1)];
    switch (slot->type) {
    case KDS_KEY_CHOICE: {
        const char *word = slot->choices[value.integer];
        return kds_hash64(word, strlen(word), seed);
    }
    case KDS_KEY_TEXT:
        return kds_hash64(value.text, slot->is_model ? kds_model_length(value.text) : strlen(value.text), seed);
    case KDS_KEY_NUMBER: {
        const double number = value.number + 0.0; /* -0.0 becomes 0.0 */
        to_bytes(&number, bytes);
        return kds_hash64(bytes, 8, seed);
    }
    case KDS_KEY_NUMBERS: {
        for (int i = 0; i < value.numbers.n_items; i++) {
            const double number = value.numbers.items[i] + 0.0;
            to_bytes(&number, bytes + 8 * i);
        }
        return kds_hash64(bytes, 8 * (size_t)value.numbers.n_items, seed);
    }
    case KDS_KEY_BOOL:
    case KDS_KEY_INT:
        break;
    }
    to_bytes(&value.integer, bytes);
    return kds_hash64(bytes, 8, seed);
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

enum { MIN_DEPTH = 8, MAX_DEPTH = 218, MAX_CHANNELS = 1024, DEFAULT_CHANNELS = 16 }; /* of residual networks */

/* What may follow a name and means nothing are only the colon of "mlp:" and the width that resnets have anyway: widths and depths have one
 * spelling each (read_number). */
size_t kds_model_length(const char *model)
{
    const size_t length = strlen(model);
    const char *x = strncmp(model, "resnet", 6) == 0 ? strchr(model, 'x') : NULL;
    if (strcmp(model, "mlp:") == 0) {
        return length - 1;
    }
    if (x != NULL) {
        char *end;
        const long width = strtol(x + 1, &end, 10);
        return *end == '\0' && width == DEFAULT_CHANNELS ? (size_t)(x - model) : length;
    }
    return length;
}

/* Why a text is no model. */
typedef struct refusal {
    const char *verb; /* "is": the words go on with "not a model"; "has" */
    char words[128];
} refusal;

static bool refuse(refusal *why, const char *verb, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool refuse(refusal *why, const char *verb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    why->verb = verb;
    vsnprintf(why->words, sizeof why->words, format, arguments);
    va_end(arguments);
    return false;
}

/* A number from 1 to `largest` at *p, which then stands behind it. "064" is none: it and "64" would be one network with two names,
 * hence two identities. */
static bool read_number(const char **p, long largest, int32_t *out)
{
    long number = 0;
    const char *first = *p;
    for (; **p >= '0' && **p <= '9' && number <= largest; (*p)++) {
        number = 10 * number + (**p - '0');
    }
    *out = (int32_t)number;
    return *p != first && *first != '0' && number <= largest;
}

/* What follows "mlp". */
static bool read_mlp(const char *p, kds_model_name *out, refusal *why)
{
    out->family = KDS_FAMILY_MLP;
    if (p[0] == '\0' || strcmp(p, ":") == 0) {
        return true;
    }
    do { /* from ':' or '-' to the next */
        int32_t width;
        p++;
        if (!read_number(&p, KDS_MAX_WIDTH, &width) || (*p != '-' && *p != '\0')) {
            return refuse(why, "is", "not a model: widths are numbers from 1 to %d", KDS_MAX_WIDTH);
        }
        if (out->n_hidden == KDS_MAX_LAYERS) {
            return refuse(why, "has", "more than %d hidden layers", KDS_MAX_LAYERS);
        }
        out->widths[out->n_hidden++] = width;
    } while (*p == '-');
    return true;
}

/* What follows "resnet". */
static bool read_resnet(const char *p, kds_model_name *out, refusal *why)
{
    static const char depths[] = "a CIFAR residual network has depth 6k + 2";
    int32_t depth;
    out->family = KDS_FAMILY_RESNET;
    out->width = DEFAULT_CHANNELS;
    if (!read_number(&p, 999999, &depth) || (*p != 'x' && *p != '\0')) {
        return refuse(why, "is", "not a model: its depth is missing, as in resnet20 or resnet20x32");
    }
    if (depth < MIN_DEPTH || depth > MAX_DEPTH) {
        return refuse(why, "is", "not a model; take resnet%d: %s, from %d to %d",
                      depth < MIN_DEPTH ? MIN_DEPTH : MAX_DEPTH, depths, MIN_DEPTH, MAX_DEPTH);
    }
    out->blocks = (depth - 2) / 6;
    if ((depth - 2) % 6 != 0) {
        return refuse(why, "is", "not a model; take resnet%d or resnet%d: %s", 6 * out->blocks + 2, 6 * out->blocks + 8,
                      depths);
    }
    if (*p == 'x') {
        p++;
        if (!read_number(&p, MAX_CHANNELS, &out->width) || *p != '\0') {
            return refuse(why, "is", "not a model: behind the x stand the channels of its first stage, from 1 to %d",
                          MAX_CHANNELS);
        }
    }
    return true;
}

static bool read_exactly(const char *model, kds_model_name *out, refusal *why)
{
    *out = (kds_model_name){0};
    if (strncmp(model, "mlp", 3) == 0 && (model[3] == '\0' || model[3] == ':')) {
        return read_mlp(model + 3, out, why);
    }
    if (strcmp(model, "lenet5") == 0) {
        out->family = KDS_FAMILY_LENET5;
        return true;
    }
    if (strncmp(model, "resnet", 6) == 0) {
        return read_resnet(model + 6, out, why);
    }
    return refuse(why, "is", "not a model");
}

/* What was meant by a name spelt as others spell it: "ResNet-20", "lenet", "mlp_64" or "MLP:64-32". False where that is no model either. */
static bool respell(const char *model, char *out, size_t size)
{
    static const struct {
        const char *letters, *name, *alone; /* `alone`: what follows when nothing does */
    } families[] = {{"mlp", "mlp:", ""}, {"lenet", "lenet", "5"}, {"resnet", "resnet", ""}};
    kds_model_name name;
    refusal why;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        const size_t n = strlen(families[i].letters);
        if (strncasecmp(model, families[i].letters, n) == 0) {
            const char *rest = model + n + strspn(model + n, ":-_ ");
            snprintf(out, size, "%s%s", families[i].name, *rest == '\0' ? families[i].alone : rest);
            return read_exactly(out, &name, &why);
        }
    }
    return false;
}

static bool read_model(const char *model, kds_model_name *out, refusal *why)
{
    char meant[KDS_MODEL_CHARS];
    if (read_exactly(model, out, why)) {
        return true;
    }
    return respell(model, meant, sizeof meant) && refuse(why, "is", "not a model; take %s", meant);
}

kds_status kds_model_parse(const char *model, kds_model_name *out, kds_error *err)
{
    kds_status status = KDS_OK;
    refusal why;
    if (!read_model(model, out, &why)) {
        *out = (kds_model_name){0};
        KDS_FAIL(
            err, KDS_GRID,
            "A model is \"mlp:\" and the widths of its hidden layers, \"mlp:512-256\" (\"mlp\" is linear); \"lenet5\"; or "
            "\"resnet\" and its depth, \"resnet20\", and the channels of its first stage unless they are 16, "
            "\"resnet20x32\".",
            "\"%.80s\" %s %s", model, why.verb, why.words);
    }
out:
    return status;
}

/* ---- what is allowed --------------------------------------------------------------------------------------------- */

static void add_range(kds_text *out, const kds_slot *slot)
{
    kds_text_add(out, slot->minimum_excluded ? "> " : ">= ");
    kds_text_add_number(out, slot->minimum);
    kds_text_add(out, slot->maximum_excluded ? " and < " : " and <= ");
    kds_text_add_number(out, slot->maximum);
}

void kds_slot_allowed_to_text(const kds_slot *slot, kds_text *out)
{
    switch (slot->type) {
    case KDS_KEY_BOOL:
        kds_text_add(out, "true or false");
        break;
    case KDS_KEY_INT:
        kds_text_add(out, "a whole number ");
        add_range(out, slot);
        break;
    case KDS_KEY_NUMBER:
        kds_text_add(out, "a number ");
        add_range(out, slot);
        break;
    case KDS_KEY_CHOICE:
        for (int i = 0; slot->choices[i] != NULL; i++) {
            kds_text_addf(out, "%s\"%s\"",
                          i == 0                         ? ""
                          : slot->choices[i + 1] == NULL ? " or "
                                                         : ", ",
                          slot->choices[i]);
        }
        break;
    case KDS_KEY_TEXT:
        if (slot->is_model) {
            kds_text_add(out, "a model, such as \"mlp:512-256\", \"lenet5\" or \"resnet20\"");
        } else {
            kds_text_addf(out, "a text of at most %zu bytes", slot->size - 1);
        }
        break;
    case KDS_KEY_NUMBERS:
        kds_text_addf(out, "an ascending list of at most %zu numbers ", slot->size / sizeof(double));
        add_range(out, slot);
        break;
    }
}

static bool in_range(const kds_slot *slot, double number)
{
    return (slot->minimum_excluded ? number > slot->minimum : number >= slot->minimum) &&
           (slot->maximum_excluded ? number < slot->maximum : number <= slot->maximum);
}

/* What is wrong with a text, in a few words; NULL: nothing. */
static const char *why_not_text(const kds_slot *slot, const char *text, refusal *refused)
{
    kds_model_name name;
    if (strlen(text) >= slot->size) {
        return "too long";
    }
    return slot->is_model && !read_model(text, &name, refused) ? refused->words : NULL;
}

static const char *why_not_numbers(const kds_slot *slot, const double *items, int n_items)
{
    if ((size_t)n_items > slot->size / sizeof(double)) {
        return "too many numbers";
    }
    for (int i = 0; i < n_items; i++) {
        if (!in_range(slot, items[i])) {
            return "out of range";
        }
        if (i > 0 && items[i] <= items[i - 1]) {
            return "not ascending";
        }
    }
    return NULL;
}

bool kds_slot_accepts(const kds_slot *slot, kds_value value, kds_text *why)
{
    const char *words = NULL;
    refusal refused;
    switch (slot->type) {
    case KDS_KEY_BOOL:
    case KDS_KEY_CHOICE: /* an index into the words, whoever made it */
        break;
    case KDS_KEY_INT:
        /* Compared as doubles: LAST_EXACT makes that exact for every value that can be accepted. */
        words = in_range(slot, (double)value.integer) ? NULL : "out of range";
        break;
    case KDS_KEY_NUMBER: /* NaN and infinities fail every comparison */
        words = in_range(slot, value.number) ? NULL : "out of range";
        break;
    case KDS_KEY_TEXT:
        words = why_not_text(slot, value.text, &refused);
        break;
    case KDS_KEY_NUMBERS:
        words = why_not_numbers(slot, value.numbers.items, value.numbers.n_items);
        break;
    }
    if (words != NULL && why != NULL) {
        kds_text_add(why, words);
    }
    return words == NULL;
}

/* ---- what applies ------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name, *meaning;
    uint32_t traits;
} objectives[] = {
#define X(name_, word, traits_, meaning_) {#word, meaning_, traits_},
    KDS_OBJECTIVES(X)
#undef X
};

const char *kds_objective_name(int32_t objective)
{
    return objectives[objective].name;
}

const char *kds_objective_meaning(int32_t objective)
{
    return objectives[objective].meaning;
}

uint32_t kds_objective_traits(int32_t objective)
{
    return objectives[objective].traits;
}

static bool has_trait(const kds_recipe *recipe, uint32_t trait)
{
    return (objectives[recipe->objective].traits & trait) != 0;
}

bool kds_recipe_has_multipliers(const kds_recipe *recipe)
{
    return has_trait(recipe, KDS_OBJECTIVE_DRO | KDS_OBJECTIVE_GROUPS);
}

bool kds_recipe_validates(const kds_recipe *recipe)
{
    return has_trait(recipe, KDS_OBJECTIVE_DRO) ||
           (has_trait(recipe, KDS_OBJECTIVE_GROUPS) && recipe->dro_learns == KDS_DRO_VALIDATION);
}

bool kds_recipe_of_groups(const kds_recipe *recipe)
{
    return has_trait(recipe, KDS_OBJECTIVE_GROUPS) && recipe->dro_groups == KDS_DRO_GROUPS;
}

bool kds_recipe_averages(const kds_recipe *recipe)
{
    return kds_recipe_validates(recipe) && recipe->robust_iterate == KDS_ITERATE_AVERAGED;
}

/* The words of a model that parses say what it is; parsing it anew for each key would be slow. */
static bool is_resnet(const kds_recipe *recipe)
{
    return strncmp(recipe->model, "resnet", 6) == 0;
}

bool kds_data_spec_augments(const kds_data_spec *data)
{
    return data->augment_pad > 0 || data->augment_flip != 0;
}

bool kds_data_spec_generates(const kds_data_spec *data)
{
    static const bool generates[] = {
#define X(name, word, is_generated) is_generated,
        KDS_SOURCES(X)
#undef X
    };
    return generates[data->source];
}

bool kds_trial_learns_from_teacher(const kds_trial_spec *spec)
{
    return spec->role == KDS_ROLE_STUDENT &&
           (spec->distill.mixing > 0.0 || spec->student.objective == KDS_OBJECTIVE_ADA_ALPHA);
}

bool kds_slot_applies(int i_slot, const kds_trial_spec *spec)
{
    const kds_slot *slot = &table[i_slot];
    if ((slot->roles & 1u << spec->role) == 0) {
        return false;
    }
    const kds_recipe *recipe = slot->scope == KDS_SCOPE_TEACHER ? &spec->teacher : &spec->student;
    const kds_distill_spec *distill = &spec->distill;
    const bool learns = kds_trial_learns_from_teacher(spec);
    switch ((rule)slot->rule) {
    case RULE_ALWAYS:
        return true;
    case RULE_GAUSSIANS:
        return spec->data.source == KDS_SOURCE_GAUSSIANS;
    case RULE_CIFAR100:
        return spec->data.source == KDS_SOURCE_CIFAR100;
    case RULE_LONG_TAIL:
        return spec->data.imbalance_ratio > 1.0;
    case RULE_TRADEOFF:
        return has_trait(recipe, KDS_OBJECTIVE_TRADES);
    case RULE_TAU:
        return has_trait(recipe, KDS_OBJECTIVE_TAU);
    case RULE_BETA:
        return has_trait(recipe, KDS_OBJECTIVE_BETA) && (learns || !has_trait(recipe, KDS_OBJECTIVE_TAUGHT));
    case RULE_SMOOTHING:
        return has_trait(recipe, KDS_OBJECTIVE_SMOOTHS);
    case RULE_GAMMA:
        return has_trait(recipe, KDS_OBJECTIVE_GAMMA);
    case RULE_LDAM:
        return has_trait(recipe, KDS_OBJECTIVE_MARGINS);
    case RULE_GROUP_DRO:
        return has_trait(recipe, KDS_OBJECTIVE_GROUPS);
    case RULE_CVAR:
        return has_trait(recipe, KDS_OBJECTIVE_TAIL);
    case RULE_ADA:
        return has_trait(recipe, KDS_OBJECTIVE_ADAPTS) && learns;
    case RULE_ADA_MEASURES:
        return has_trait(recipe, KDS_OBJECTIVE_ADAPTS) && learns && distill->ada_per == KDS_ADA_CLASS;
    case RULE_DKD:
        return has_trait(recipe, KDS_OBJECTIVE_DECOUPLES) && learns;
    case RULE_DIST:
        return has_trait(recipe, KDS_OBJECTIVE_CORRELATES) && learns;
    case RULE_MULTIPLIERS:
        return kds_recipe_has_multipliers(recipe);
    case RULE_ROBUST:
        return kds_recipe_validates(recipe);
    case RULE_TRIFEATURE:
        return spec->data.source == KDS_SOURCE_TRIFEATURE;
    case RULE_CORRELATION:
        return spec->data.correlation_strength > 0.0;
    case RULE_DECISIONS:
        return spec->measure.decisions != 0;
    case RULE_INDIVIDUAL:
        return spec->measure.individual_pairs != KDS_PAIRS_NONE;
    case RULE_MOMENTUM:
        return recipe->momentum > 0.0;
    case RULE_DECAY:
        return recipe->weight_decay > 0.0;
    case RULE_STEP:
        return recipe->schedule == KDS_SCHEDULE_STEP;
    case RULE_RESNET:
        return is_resnet(recipe);
    case RULE_WEIGHTS:
        return recipe->objective != KDS_OBJECTIVE_ADA_ALPHA;
    case RULE_MIXING:
        return learns;
    case RULE_TEMPERED:
        return learns && distill->temperature != 1.0 && !has_trait(recipe, KDS_OBJECTIVE_OWN_TEMPERING);
    case RULE_T_SQUARED:
        return learns && distill->temperature != 1.0 && distill->tempered == KDS_TEMPERED_BOTH &&
               !has_trait(recipe, KDS_OBJECTIVE_OWN_TEMPERING);
    case RULE_AUGMENTED_LABELS:
        return learns && kds_data_spec_augments(&spec->data);
    case RULE_VALIDATION:
        return has_trait(recipe, KDS_OBJECTIVE_DRO);
    case RULE_TEACHER_ON_VALIDATION:
        return has_trait(recipe, KDS_OBJECTIVE_DRO) && distill->validation_labels == KDS_LABELS_TEACHER;
    }
    return true;
}

/* ---- defaults ---------------------------------------------------------------------------------------------------- */

/* Reads default_text, which is ours: anything unexpected is a bug of the table. */
static void set_default(const kds_slot *slot, kds_trial_spec *spec)
{
    const char *text = slot->default_text;
    char *end = NULL;
    char word[KDS_MODEL_CHARS] = "";
    double items[KDS_MAX_MILESTONES];
    kds_value value = {0};
    switch (slot->type) {
    case KDS_KEY_BOOL:
        value.integer = strcmp(text, "true") == 0;
        KDS_ASSERT(value.integer != 0 || strcmp(text, "false") == 0);
        break;
    case KDS_KEY_INT:
        value.integer = strtoll(text, &end, 10);
        KDS_ASSERT(*end == '\0');
        break;
    case KDS_KEY_NUMBER:
        value.number = strtod(text, &end);
        KDS_ASSERT(*end == '\0');
        break;
    case KDS_KEY_CHOICE:
    case KDS_KEY_TEXT: {
        const size_t length = strlen(text);
        KDS_ASSERT(length >= 2 && length - 2 < sizeof word && text[0] == '"' && text[length - 1] == '"');
        memcpy(word, text + 1, length - 2);
        if (slot->type == KDS_KEY_TEXT) {
            value.text = word;
        } else {
            while (slot->choices[value.integer] != NULL && strcmp(slot->choices[value.integer], word) != 0) {
                value.integer++;
            }
            KDS_ASSERT(slot->choices[value.integer] != NULL);
        }
        break;
    }
    case KDS_KEY_NUMBERS:
        KDS_ASSERT(strcmp(text, "[]") == 0); /* no list has had another default so far */
        value.numbers.items = items;
        value.numbers.n_items = 0; /* {0} fills the first member of a union only */
        break;
    }
    kds_slot_set(slot, spec, value);
}

static kds_trial_spec default_spec;
static pthread_once_t default_spec_once = PTHREAD_ONCE_INIT;

static void make_default_spec(void)
{
    default_spec.role = KDS_ROLE_STUDENT;
    for (int i = 0; i < N_SLOTS; i++) {
        if (table[i].default_text != NULL) {
            set_default(&table[i], &default_spec);
        }
    }
}

kds_trial_spec kds_trial_spec_default(void)
{
    pthread_once(&default_spec_once, make_default_spec);
    return default_spec;
}
