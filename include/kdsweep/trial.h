/*
 * A trial: what is trained (kds_trial_spec), what came out (kds_trial_result), and the table of keys that both the grid
 * file and the results file are made from.
 *
 * A trial is a pure function of its spec, the data bytes, the instruction set (and, with scalar kernels, the BLAS core). Its identity (spec id) is
 * a hash over exactly the keys that have an effect on it: two combinations that differ only in a key without effect, such
 * as the temperature of a student without a teacher, are one trial.
 */
#ifndef KDSWEEP_TRIAL_H
#define KDSWEEP_TRIAL_H

#include <stdint.h>

#include "kdsweep/status.h"
#include "kdsweep/text.h"

/* ---- choices ----------------------------------------------------------------------------------------------------- */

typedef enum kds_role { KDS_ROLE_TEACHER, KDS_ROLE_STUDENT, KDS_ROLE_BASELINE, KDS_N_ROLES } kds_role;

/* Values of the choice keys. The order is that of the words in the key table (trial/keys.c). */
/* Kinds of data sets, in the order of their words: X(ENUM, word, whether it is generated: without a path). A new one is a line here and its file
 * src/data/<word>.c with `const kds_data_source kds_data_source_<word>` (src/data/data_source.h). */
#define KDS_SOURCES(X)            \
    X(IDX, idx, false)            \
    X(HDF5, hdf5, false)          \
    X(GAUSSIANS, gaussians, true) \
    X(CIFAR10, cifar10, false)    \
    X(CIFAR100, cifar100, false)  \
    X(TRIFEATURE, trifeature, true)

typedef enum kds_source {
#define X(name, word, is_generated) KDS_SOURCE_##name,
    KDS_SOURCES(X)
#undef X
        KDS_N_SOURCES
} kds_source;

typedef enum kds_cifar_labels { KDS_CIFAR_FINE, KDS_CIFAR_COARSE } kds_cifar_labels;
typedef enum kds_profile { KDS_PROFILE_EXPONENTIAL, KDS_PROFILE_STEP } kds_profile;
typedef enum kds_validation_from { KDS_VALIDATION_FROM_TEST, KDS_VALIDATION_FROM_TRAIN } kds_validation_from;
typedef enum kds_standardize {
    KDS_STANDARDIZE_NONE,
    KDS_STANDARDIZE_GLOBAL,
    KDS_STANDARDIZE_FEATURE,
    KDS_STANDARDIZE_CHANNEL, /* images: one mean and deviation per channel */
    KDS_STANDARDIZE_HALF,    /* byte / 255 - 1/2 (methods 0.2) */
} kds_standardize;
/*
 * The objectives, in the order of their words: X(ENUM, word, traits, meaning). A new one is a line here and its file
 * src/distill/objective_<word>.c with `const kds_objective_rule kds_objective_<word>` (distill.h): the grid's words, the help and the registry
 * are made from this list. The meaning is one line, with the source of the formula.
 */
#define KDS_OBJECTIVES(X)                                                                                              \
    X(STANDARD, standard, 0, "cross-entropy E[l]")                                                                     \
    X(BALANCED, balanced, 0, "mean over classes of E[l | y]: logits + log pi (Wang et al. 2023, L_bal)")               \
    X(ROBUST, robust, KDS_OBJECTIVE_DRO,                                                                               \
      "worst class: costs lambda / pi, lambda learnt on validation (Wang et al. 2023)")                                \
    X(TRADEOFF, tradeoff, KDS_OBJECTIVE_DRO | KDS_OBJECTIVE_TRADES, "(1-a) balanced + a robust (Wang et al. 2023)")    \
    X(LOGIT_ADJUSTED, logit_adjusted, KDS_OBJECTIVE_TAU, "logits + tau log pi (Menon et al. 2021)")                    \
    X(CLASS_BALANCED, class_balanced, KDS_OBJECTIVE_BETA, "weights (1-beta) / (1-beta^n_y) (Cui et al. 2019)")         \
    X(LABEL_SMOOTHING, label_smoothing, KDS_OBJECTIVE_SMOOTHS, "one-hot labels (1-e) + e/m (Szegedy et al. 2016)")     \
    X(FOCAL, focal, KDS_OBJECTIVE_GAMMA, "(1-q_y)^gamma CE (Lin et al. 2017)")                                         \
    X(LDAM, ldam, KDS_OBJECTIVE_MARGINS | KDS_OBJECTIVE_BETA, "margins C / n_y^(1/4), then weights (Cao et al. 2019)") \
    X(GROUP_DRO, group_dro, KDS_OBJECTIVE_GROUPS, "worst group or class: weighted losses (Sagawa et al. 2020)")        \
    X(CVAR, cvar, KDS_OBJECTIVE_TAIL, "mean of the largest losses of a batch (conditional value at risk)")             \
    X(ADA_ALPHA, ada_alpha, KDS_OBJECTIVE_ADAPTS | KDS_OBJECTIVE_TAUGHT,                                               \
      "mixing by the teacher's margin (Lukasik et al. 2022)")                                                          \
    X(ADA_MARGIN, ada_margin, KDS_OBJECTIVE_ADAPTS | KDS_OBJECTIVE_TAUGHT,                                             \
      "the teacher's margin as the margin of its labels (Lukasik et al. 2022)")                                        \
    X(BALANCED_KD, balanced_kd, KDS_OBJECTIVE_BETA | KDS_OBJECTIVE_TAUGHT,                                             \
      "teacher's labels reweighted by class (Zhang et al. 2021)")                                                      \
    X(DKD, dkd, KDS_OBJECTIVE_DECOUPLES | KDS_OBJECTIVE_TAUGHT | KDS_OBJECTIVE_OWN_TEMPERING,                          \
      "target and other classes decoupled (Zhao et al. 2022)")                                                         \
    X(DIST, dist, KDS_OBJECTIVE_CORRELATES | KDS_OBJECTIVE_TAUGHT | KDS_OBJECTIVE_OWN_TEMPERING,                       \
      "correlation of rows and of columns (Huang et al. 2022)")                                                        \
    X(LOGIT_STANDARDIZED, logit_standardized, KDS_OBJECTIVE_TAUGHT | KDS_OBJECTIVE_OWN_TEMPERING,                      \
      "distillation between standardised logits (Sun et al. 2024)")                                                    \
    X(WTTM, wttm, KDS_OBJECTIVE_TAUGHT | KDS_OBJECTIVE_OWN_TEMPERING,                                                  \
      "teacher's power transform, examples weighted by it (Zheng, Yang 2024)")

/* What an objective is made of: which keys have an effect on it, where it can stand. */
enum {
    KDS_OBJECTIVE_TAUGHT = 1 << 0,        /* only for students: without a teacher it is `standard` */
    KDS_OBJECTIVE_OWN_TEMPERING = 1 << 1, /* it says itself what T divides, and whether T^2 multiplies */
    KDS_OBJECTIVE_DRO = 1 << 2,           /* multipliers of classes, learnt on validation: robust.* */
    KDS_OBJECTIVE_TRADES = 1 << 3,        /* tradeoff */
    KDS_OBJECTIVE_TAU = 1 << 4,           /* logit_adjusted.tau */
    KDS_OBJECTIVE_BETA = 1 << 5,          /* class_balanced.* */
    KDS_OBJECTIVE_SMOOTHS = 1 << 6,       /* label_smoothing.epsilon */
    KDS_OBJECTIVE_GAMMA = 1 << 7,         /* focal.gamma */
    KDS_OBJECTIVE_MARGINS = 1 << 8,       /* ldam.* */
    KDS_OBJECTIVE_GROUPS =
        1 << 9,                   /* group_dro.*, robust.step; robust.* when its multipliers are learnt on validation */
    KDS_OBJECTIVE_TAIL = 1 << 10, /* cvar.fraction */
    KDS_OBJECTIVE_ADAPTS = 1 << 11,     /* ada.* */
    KDS_OBJECTIVE_DECOUPLES = 1 << 12,  /* dkd.* */
    KDS_OBJECTIVE_CORRELATES = 1 << 13, /* dist.* */
};

typedef enum kds_objective {
#define X(name, word, traits, meaning) KDS_OBJECTIVE_##name,
    KDS_OBJECTIVES(X)
#undef X
        KDS_N_OBJECTIVES
} kds_objective;

const char *kds_objective_name(int32_t objective);    /* "robust" */
uint32_t kds_objective_traits(int32_t objective);     /* KDS_OBJECTIVE_... */
const char *kds_objective_meaning(int32_t objective); /* one line */

/* Decisions that are made from a trained model's scores; only logit_adjusted chooses nothing on validation: X(ENUM, word, meaning); the file is
 * src/distill/decision_<word>.c. Their order is that of the dimension `decision` of the results file. */
#define KDS_DECISIONS(X)                                                                                \
    X(LOGIT_ADJUSTED, logit_adjusted, "argmax of f_y - tau log pi_y (Menon et al. 2021)")               \
    X(POST_SHIFT, post_shift, "argmax of g_y q_y, g for the best worst class (Narasimhan, Menon 2021)") \
    X(DROPS, drops, "argmax of g_y / pi_y q_y, g robust within a divergence (Wei et al. 2023)")

typedef enum kds_decision {
#define X(name, word, meaning) KDS_DECISION_##name,
    KDS_DECISIONS(X)
#undef X
        KDS_N_DECISIONS
} kds_decision;

typedef enum kds_schedule { KDS_SCHEDULE_CONSTANT, KDS_SCHEDULE_STEP, KDS_SCHEDULE_COSINE } kds_schedule;
typedef enum kds_risk { KDS_RISK_ZERO_ONE, KDS_RISK_CROSS_ENTROPY } kds_risk;       /* l in the multiplier update */
typedef enum kds_iterate { KDS_ITERATE_LAST, KDS_ITERATE_AVERAGED } kds_iterate;    /* what a robust run returns */
typedef enum kds_labels { KDS_LABELS_ONE_HOT, KDS_LABELS_TEACHER } kds_labels;      /* in the multiplier update */
typedef enum kds_tempered { KDS_TEMPERED_TEACHER, KDS_TEMPERED_BOTH } kds_tempered; /* whose logits are divided by T */
typedef enum kds_augmented_labels { KDS_AUGMENTED_LIVE, KDS_AUGMENTED_CACHED } kds_augmented_labels;
typedef enum kds_dro_groups { KDS_DRO_CLASSES, KDS_DRO_GROUPS } kds_dro_groups;      /* what has a multiplier */
typedef enum kds_dro_learns { KDS_DRO_VALIDATION, KDS_DRO_TRAINING } kds_dro_learns; /* where it is learnt */
typedef enum kds_ada_from { KDS_ADA_VALIDATION, KDS_ADA_TRAIN } kds_ada_from;        /* where margins are measured */
typedef enum kds_ada_per { KDS_ADA_CLASS, KDS_ADA_EXAMPLE } kds_ada_per; /* the mean of a class, or each one's own */
typedef enum kds_attributes { KDS_ATTRIBUTE_COLOUR, KDS_ATTRIBUTE_TEXTURE, KDS_ATTRIBUTE_BOTH } kds_attributes;
typedef enum kds_pairs { KDS_PAIRS_NONE, KDS_PAIRS_RANDOM, KDS_PAIRS_NEAREST } kds_pairs; /* of individual fairness */
typedef enum kds_norm { KDS_NORM_L1, KDS_NORM_L2, KDS_NORM_MAXIMUM } kds_norm;
typedef enum kds_shortcut { KDS_SHORTCUT_ZERO_PAD, KDS_SHORTCUT_PROJECTION } kds_shortcut;

/* ---- the spec ---------------------------------------------------------------------------------------------------- */

enum { KDS_MODEL_CHARS = 64, KDS_PATH_CHARS = 512, KDS_MAX_MILESTONES = 8 };
/* Hidden layers and units of one: far beyond what one core trains, small enough for sizes to be int32_t. */
enum { KDS_MAX_LAYERS = 16, KDS_MAX_WIDTH = 65536 };

/* How one model is trained: the keys that a teacher and a student both have. */
typedef struct kds_recipe {
    char model[KDS_MODEL_CHARS]; /* "mlp:512-256": hidden widths; "lenet5"; "resnet20", "resnet20x32" */
    int32_t shortcut;            /* kds_shortcut, of residual networks */
    double norm_momentum;        /* weight of a batch in the running statistics of batch normalisation */
    double norm_epsilon;         /* added to the variance */
    int32_t objective;           /* kds_objective */
    double tradeoff;             /* a in [0, 1], methods 2.1; only for the tradeoff objective */
    int32_t epochs;
    int32_t batch;
    double lr; /* peak learning rate */
    double momentum;
    int32_t nesterov; /* 0 or 1 */
    double weight_decay;
    int32_t decay_biases; /* 0: weights only; 1: biases and the parameters of normalisations too */
    int32_t schedule;     /* kds_schedule */
    double warmup;        /* epochs of linear warm-up */
    int32_t n_milestones;
    double milestones[KDS_MAX_MILESTONES]; /* step schedule: epochs after which lr is multiplied by lr_decay */
    double lr_decay;
    double robust_step;     /* EG step g, methods 2.4 */
    int32_t robust_every;   /* gradient steps between multiplier updates */
    int32_t robust_batch;   /* validation examples for one update; 0: all */
    int32_t robust_risk;    /* kds_risk */
    int32_t robust_iterate; /* kds_iterate */
    double tau;             /* logit_adjusted: factor on log pi */
    double beta;            /* class_balanced, ldam, balanced_kd: weight of a class (1 - beta) / (1 - beta^n_y) */
    double reweight_from;   /* ... from this epoch on, 0-based; before it all weights are 1 (deferred re-weighting) */
    double smoothing;       /* label_smoothing: e */
    double focal_gamma;     /* focal */
    double ldam_margin;     /* ldam: the largest margin, that of the rarest class */
    double ldam_scale;      /* ldam: factor on logits and margins */
    int32_t dro_groups;     /* kds_dro_groups, of group_dro */
    int32_t dro_learns;     /* kds_dro_learns, of group_dro */
    double dro_adjustment;  /* group_dro: C of l_g + C / sqrt(n_g) */
    double cvar_fraction;   /* cvar: share of a batch that counts, at least one example */
} kds_recipe;

typedef struct kds_data_spec {
    int32_t source;            /* kds_source */
    char path[KDS_PATH_CHARS]; /* folder (idx) or file (hdf5) */
    int32_t profile;           /* kds_profile */
    double imbalance_ratio;    /* n_max / n_min >= 1 */
    int64_t max_count;         /* n_max of the long tail; 0: as many as the largest class has */
    int32_t validation_from;   /* kds_validation_from */
    double validation_fraction;
    int64_t split_seed;   /* validation split and which examples the long tail keeps */
    int32_t standardize;  /* kds_standardize */
    int32_t cifar_labels; /* kds_cifar_labels, of CIFAR-100 */
    /* augmentation of training images, drawn anew in every epoch: shift by up to `pad` pixels each way (a random crop of the image with a
     * border of zeros after standardisation), then a mirror image with probability 1/2 */
    int32_t augment_pad;
    int32_t augment_flip; /* 0 or 1 */
    /* generated Gaussians: class c has mean separation * (random unit vector of c), identity covariance */
    int32_t gaussian_classes;
    int32_t gaussian_features;
    int32_t gaussian_train; /* examples per class before the long tail is cut */
    int32_t gaussian_test;  /* examples per class, test and validation together */
    double gaussian_separation;
    int64_t gaussian_seed;
    /* generated Trifeature (methods 3.7): shapes of a colour and a texture; label = shape */
    int32_t trifeature_size;   /* pixels of a side; lengths scale with size / 224 */
    int32_t trifeature_train;  /* renderings of each of the 1000 combinations */
    int32_t trifeature_test;   /* the same in the test part, validation included */
    int32_t trifeature_groups; /* kds_attributes */
    int64_t trifeature_seed;
    int32_t tint_colours; /* grey images get one of so many colours, in turn within each class: the groups; 0: none */
    /* training examples are chosen so that this share of each class has its own group (class mod groups), the rest evenly all other groups;
     * 0: as they are */
    double correlation_strength;
    int64_t
        correlation_count; /* training examples of each class then; 0: the largest number that every strength allows */
} kds_data_spec;

/* What a student does with its teacher's labels. */
typedef struct kds_distill_spec {
    double temperature;            /* T of the training labels */
    double validation_temperature; /* T of the teacher's labels in the multiplier update; 0: same as temperature */
    int32_t validation_labels;     /* kds_labels */
    double mixing;                 /* weight of the teacher term */
    double one_hot_weight;         /* of the one-hot term; negative until settled: 1 - mixing, at least 0 */
    int32_t tempered;              /* kds_tempered */
    int32_t t_squared;             /* 1: the teacher term is multiplied by T^2; only with tempered = both */
    /* kds_augmented_labels: the teacher sees the augmented image, or its labels of the clean one serve */
    int32_t augmented_labels;
    int32_t ada_from;       /* kds_ada_from */
    int32_t ada_per;        /* kds_ada_per */
    double ada_temperature; /* of the teacher's labels in the margin; 0: same as temperature */
    double ada_scale;       /* s of clip(s G, minimum, maximum) */
    double ada_minimum, ada_maximum;
    double dkd_alpha, dkd_beta; /* weights of the target's and of the other classes' divergence */
    double dkd_warmup;          /* epochs in which the weight of both rises to its value */
    double dist_inter, dist_intra;
} kds_distill_spec;

/* What is measured of a finished trial besides its accuracies. */
typedef struct kds_measure_spec {
    int32_t decisions; /* 0 or 1: decisions after training (KDS_DECISIONS) */
    double decision_tau;
    double decision_step;        /* post_shift: EG step; drops: step of its temperature */
    int32_t decision_updates;    /* iterations of either */
    int32_t decision_risk;       /* kds_risk */
    double decision_divergence;  /* drops: delta, radius of the KL ball about uniform weights */
    int32_t individual_pairs;    /* kds_pairs, methods 3.5 */
    int32_t individual_count;    /* pairs of each part, fewer when there are not so many */
    int32_t individual_norm;     /* kds_norm of the difference of softmax outputs */
    int32_t individual_distance; /* kds_norm of the difference of standardised inputs */
} kds_measure_spec;

typedef struct kds_trial_spec {
    int32_t role; /* kds_role */
    int64_t seed;
    int64_t teacher_seed; /* seed of the teacher; equal to seed unless the grid fixes it; -1 until settled: seed */
    kds_data_spec data;
    kds_recipe teacher; /* of the teacher itself, or of this student's teacher; without meaning in a baseline */
    kds_recipe student; /* without meaning in a teacher */
    kds_distill_spec distill;
    kds_measure_spec measure;
} kds_trial_spec;

const char *kds_role_name(kds_role role); /* "teacher" */

/* The recipe that this trial trains: the teacher's for a teacher, the student's otherwise. */
const kds_recipe *kds_trial_recipe(const kds_trial_spec *spec);

/* ---- keys -------------------------------------------------------------------------------------------------------- */

typedef enum kds_key_type {
    KDS_KEY_BOOL,
    KDS_KEY_INT,
    KDS_KEY_NUMBER,
    KDS_KEY_CHOICE,
    KDS_KEY_TEXT,
    KDS_KEY_NUMBERS, /* a short list that is one value (milestones); never an axis */
} kds_key_type;

/* Whose value a slot is. A recipe key has two slots, "teacher.<name>" and "student.<name>". */
typedef enum kds_scope { KDS_SCOPE_TRIAL, KDS_SCOPE_TEACHER, KDS_SCOPE_STUDENT } kds_scope;

/*
 * One slot: one field of kds_trial_spec with its name in the grid file and in the results file. The table of slots is
 * made from the one list of keys in trial/keys.c.
 */
typedef struct kds_slot {
    const char *path;        /* in the grid file: "student.train.lr" */
    const char *shared_path; /* where a value for both teacher and student stands: "train.lr"; NULL if there is none */
    const char *name;        /* coordinate in the results file: "student_lr"; snake_case, unique */
    kds_key_type type;
    kds_scope scope;
    bool sweepable;
    bool free_of_cost; /* does not change how long a trial takes: seeds, temperatures */
    bool decides;      /* its value decides about other slots (objective, mixing ...), or can stand for another one's */
    bool checked;      /* kds_trial_spec_check looks at it */
    bool is_model;     /* a text that kds_model_parse must accept */
    uint8_t roles;     /* bit 1 << role: the roles whose identity can depend on it; 0: none (data.path) */
    uint8_t rule;      /* when it has an effect; private to trial/keys.c, asked through kds_slot_applies */
    size_t offset;     /* of the field in kds_trial_spec */
    size_t size;       /* of the field: bytes of the integer, capacity of a text, of a whole list */
    size_t count_offset; /* KDS_KEY_NUMBERS: of the int32_t that counts the list */
    double minimum, maximum;
    bool minimum_excluded, maximum_excluded;
    const char *const *choices; /* NULL-terminated words of a choice; NULL otherwise */
    const char *default_text;   /* as it would be written in the grid file; NULL: the key must be given */
    const char *units;          /* "1", "epochs", "examples", ... */
    const char *meaning;        /* one line, with its formula or source */
} kds_slot;

/* The table, in canonical order. */
const kds_slot *kds_slots(int *n_slots);

/* Index of the slot with this coordinate name ("temperature"), or -1. */
int kds_slot_find(const char *name);

/* One value of a slot. Texts and number lists are borrowed or owned by whoever made the value; see there. */
typedef struct kds_value {
    union {
        int64_t integer; /* BOOL, INT, CHOICE (index into choices) */
        double number;   /* NUMBER */
        const char *text;
        struct {
            const double *items;
            int32_t n_items;
        } numbers;
    };
} kds_value;

/* Read and write the field of a slot. kds_slot_set copies texts (they must fit; the grid checks). */
kds_value kds_slot_get(const kds_slot *slot, const kds_trial_spec *spec);
void kds_slot_set(const kds_slot *slot, kds_trial_spec *spec, kds_value value);

/* The value as it stands in the grid file and in canonical text: 4, 0.1, "robust", true, [10.0, 20.0]. Choices and texts are
 * quoted when `quoted`. */
void kds_slot_value_to_text(const kds_slot *slot, kds_value value, bool quoted, kds_text *out);

/* What a slot takes, in words: "a number > 0 and <= 1000", "one of \"last\", \"averaged\"". */
void kds_slot_allowed_to_text(const kds_slot *slot, kds_text *out);

/* Is this value of the right kind also one that the slot takes (range, length, a model that parses)? If not, `why` (may be NULL)
 * gets a few words: "out of range". */
bool kds_slot_accepts(const kds_slot *slot, kds_value value, kds_text *why);

/* Identity of "this slot has this value": a hash over the key and the value's bits (of a choice: its word, so that the order of the
 * words is free; of a model: its shortest name, so that resnet20x16 is resnet20). The spec id is made from the sum of these, so
 * whoever walks through many trials can keep it up to date value by value. */
uint64_t kds_slot_value_hash(const kds_slot *slot, kds_value value);

/*
 * Does slot i_slot have an effect on this trial, as far as its identity is concerned? Depends on the role (a teacher does not know
 * of temperatures) and on other keys (the EG step only matters to robust and tradeoff objectives, milestones only to the
 * step schedule, the ratio's profile not at ratio 1 ...). The teacher's keys apply to its students too. data.path never applies: moved
 * files are the same data; that they are is checked by their fingerprint.
 * A student with mixing = 0 remains a student with a teacher, although its gradient is its baseline's.
 */
bool kds_slot_applies(int i_slot, const kds_trial_spec *spec);

/* A spec with every default set (role student, all slots that have one). */
kds_trial_spec kds_trial_spec_default(void);

/* Combinations that no single key's range can refuse, e.g. warmup > epochs, a model name that does not parse. Returns KDS_OK, or
 * KDS_GRID with the reason; *i_slot names the slot to blame. Pure. */
kds_status kds_trial_spec_check(const kds_trial_spec *spec, int *i_slot, kds_error *err);

/* Replace values that stand for another by that: a validation temperature of 0 by the temperature, a teacher seed of -1 by the seed, the
 * name of a model by its shortest ("mlp:" by "mlp", "resnet20x16" by "resnet20"). */
void kds_trial_spec_settle(kds_trial_spec *spec);

/* Is this a student whose teacher's labels have a weight? ada_alpha weighs them itself. */
bool kds_trial_learns_from_teacher(const kds_trial_spec *spec);

/* Does this recipe learn multipliers: at all; on validation, so that robust.every and what goes with it have an effect? */
bool kds_recipe_has_multipliers(const kds_recipe *recipe);
bool kds_recipe_validates(const kds_recipe *recipe);

/* Are they multipliers of the data's groups, not of classes? */
bool kds_recipe_of_groups(const kds_recipe *recipe);

/* Does this recipe return the average of its iterates' scores? */
bool kds_recipe_averages(const kds_recipe *recipe);

/* Are training images augmented? */
bool kds_data_spec_augments(const kds_data_spec *data);

/* Are the data generated, so that no path is needed? */
bool kds_data_spec_generates(const kds_data_spec *data);

/* KDS_GRID for a student whose teacher would have to label augmented images, but returns no one network that could. */
kds_status kds_trial_check_live_labels(const kds_trial_spec *spec, kds_error *err);

/* Settle, and put every key without effect (kds_slot_applies) at its default, but for data.path. Specs with the same id become equal;
 * so training from a canonical spec cannot depend on a key that is not in its identity. */
void kds_trial_spec_canonical(kds_trial_spec *spec);

/* The teacher's own spec of a student: role teacher, seed = teacher_seed, canonical. */
kds_trial_spec kds_trial_teacher_of(const kds_trial_spec *student);

/* The same student without a teacher, canonical. */
kds_trial_spec kds_trial_baseline_of(const kds_trial_spec *student);

/* Version of what the keys mean and of the arithmetic behind them. Raise it when a change gives rows of the same spec other numbers:
 * every spec id changes with it, so that a resumed sweep does not mix old rows with new ones. */
enum { KDS_NUMERICS_VERSION = 3 };

/* Spec id: from numerics version, role, and the sum of the hashes of all slots that apply, settled. 0 is never returned.
 * Neither the order of the table nor keys that do not apply play a role. */
uint64_t kds_trial_id(const kds_trial_spec *spec);

/* The last step of kds_trial_id: from the sum (modulo 2^64) of kds_slot_value_hash over the slots that apply. */
uint64_t kds_trial_id_from_sum(kds_role role, uint64_t sum);

enum { KDS_ID_CHARS = 17 };
const char *kds_trial_id_to_text(uint64_t id, char buffer[KDS_ID_CHARS]); /* 16 hex digits */

/* "kdsweep_numerics = <version>", "role = ...", then "key = value" of every slot that applies, a line each, in table order: what the id
 * stands for. */
void kds_trial_spec_to_text(const kds_trial_spec *spec, kds_text *out);
/* The same as one JSON object on one line (no newline), with "spec_id", "role" and the coordinate names as keys. */
void kds_trial_spec_to_json(const kds_trial_spec *spec, kds_text *out);

/* What the data look like to a model, and to an objective with groups (n_groups = 0: none). height = width = channels = 0 unless they are
 * images; n_features = their product if they are. */
typedef struct kds_data_shape {
    int32_t n_features, height, width, channels, n_classes, n_groups;
} kds_data_shape;

/* A model's name, taken apart. */
typedef enum kds_family { KDS_FAMILY_MLP, KDS_FAMILY_LENET5, KDS_FAMILY_RESNET } kds_family;
typedef struct kds_model_name {
    int32_t family;                 /* kds_family */
    int32_t n_hidden;               /* mlp */
    int32_t widths[KDS_MAX_LAYERS]; /* mlp: hidden units */
    int32_t blocks;                 /* resnet: k of depth 6k + 2, 1 .. 36 */
    int32_t width;                  /* resnet: channels of the first stage, 16 unless given */
} kds_model_name;

/* Parse "mlp:512-256", "lenet5", "resnet20" or "resnet20x32" (any depth 6k + 2 from 8 to 218, any width from 1 to 1024). "mlp:" and "mlp"
 * alone are the linear model, "resnet20x16" is "resnet20". KDS_GRID with a hint otherwise. */
kds_status kds_model_parse(const char *model, kds_model_name *out, kds_error *err);

/* ---- the result -------------------------------------------------------------------------------------------------- */

typedef enum kds_trial_status {
    KDS_TRIAL_MISSING = 0,
    KDS_TRIAL_DONE = 1,
    KDS_TRIAL_DIVERGED = 2,
    KDS_TRIAL_FAILED = 3,
} kds_trial_status;

/* Bins of equal width of the confidence (expected calibration error), of equal mass of a class's score (calibration of the class). */
enum { KDS_N_BINS = 15 };
enum { KDS_N_SELECTIONS = 3, KDS_N_SPLITS = 2, KDS_N_PARTS = 3, KDS_REASON_CHARS = 160, KDS_HOST_CHARS = 64 };
typedef enum kds_selection { KDS_SELECT_LAST, KDS_SELECT_BEST_AVERAGE, KDS_SELECT_BEST_WORST } kds_selection;
typedef enum kds_split { KDS_SPLIT_VALIDATION, KDS_SPLIT_TEST } kds_split;
typedef enum kds_part { KDS_PART_TRAIN, KDS_PART_VALIDATION, KDS_PART_TEST } kds_part;

/* The sizes that every row of one results file shares. */
typedef struct kds_result_shape {
    int32_t n_classes;
    int32_t n_groups;     /* 0: the data have no groups */
    int32_t n_epochs;     /* the longest trial's; shorter curves end in NaN */
    int64_t n_validation; /* examples */
    int64_t n_test;
    int64_t n_parameters;   /* stored values of the largest model, 0 unless they are stored */
    bool with_counts;       /* counts of classes by predicted classes */
    bool with_group_counts; /* the same of every group; without groups there are none */
    bool with_decisions;    /* decisions after training; their counts only with_counts too */
    bool with_logits;       /* scores of the returned model on test, last epoch */
} kds_result_shape;

/*
 * One row. Made once per rank by kds_trial_result_new and filled again for each trial; every array is dense, row-major, in
 * the order of the dimensions named. What was not computed is NaN (floating point) or 0 (counts).
 */
typedef struct kds_trial_result {
    kds_result_shape shape;
    int32_t status;                /* kds_trial_status */
    char reason[KDS_REASON_CHARS]; /* why not done; zero-padded */
    int32_t n_epochs_trained;
    /* [selection][split] */
    float accuracy[KDS_N_SELECTIONS][KDS_N_SPLITS];
    float balanced_accuracy[KDS_N_SELECTIONS][KDS_N_SPLITS];
    float worst_class_accuracy[KDS_N_SELECTIONS][KDS_N_SPLITS];
    float loss[KDS_N_SELECTIONS][KDS_N_SPLITS];          /* mean cross-entropy at T = 1, without offsets */
    int32_t worst_class[KDS_N_SELECTIONS][KDS_N_SPLITS]; /* -1: undefined */
    int32_t selected_epoch[KDS_N_SELECTIONS];            /* 1-based; 0: none */
    float *class_accuracy;                               /* [selection][split][class] */
    int32_t *counts;       /* [selection][split][class][predicted]; NULL unless shape.with_counts */
    int32_t *group_counts; /* [selection][split][group][class][predicted]; NULL without groups or with_group_counts */
    int32_t *prediction;   /* [selection][test example]; -1: none; the file stores the smallest type */
    float *train_loss;     /* [epoch] mean over the epoch's batches of the training objective */
    float *validation_accuracy;             /* [epoch] */
    float *validation_worst_class_accuracy; /* [epoch] */
    float *validation_class_accuracy;       /* [epoch][class] */
    float *multiplier;       /* [epoch][class] lambda at the end of the epoch; NaN without multipliers of classes */
    float *group_multiplier; /* [epoch][group] the same of groups; NULL without groups */
    /* ---- of the returned model, last epoch, softmax at T = 1 (methods 1.3, 1.4, 2.7) ---- */
    /* [part][class] means over the class's examples; on training examples only of teachers, else NaN */
    float *class_margin;      /* q_y - (1 - q_y) / (m - 1) */
    float *class_probability; /* q_y */
    float *class_error;       /* 1 - recall */
    float *class_log_loss;    /* -log q_y */
    float *class_calibration; /* [split][class] methods 2.7, KDS_N_BINS bins of equal mass */
    float expected_calibration_error[KDS_N_SPLITS];
    int32_t confidence_count[KDS_N_SPLITS][KDS_N_BINS];   /* examples by their largest probability */
    int32_t confidence_correct[KDS_N_SPLITS][KDS_N_BINS]; /* those of them that are right */
    double confidence_sum[KDS_N_SPLITS][KDS_N_BINS];      /* sum of their largest probabilities */
    float individual_fairness[KDS_N_SPLITS];              /* methods 3.5; NaN unless measured */
    int32_t individual_pairs[KDS_N_SPLITS];               /* pairs of different inputs that it is the mean of */
    /* [decision][split]: decisions after training; NaN and 0 unless measured; the arrays NULL unless shape.with_decisions */
    float decision_accuracy[KDS_N_DECISIONS][KDS_N_SPLITS];
    float decision_balanced_accuracy[KDS_N_DECISIONS][KDS_N_SPLITS];
    float decision_worst_class_accuracy[KDS_N_DECISIONS][KDS_N_SPLITS];
    float *decision_class_accuracy; /* [decision][split][class] */
    int32_t *decision_counts;       /* [decision][split][class][predicted]; NULL unless with_counts too */
    float *decision_weight;         /* [decision][class] log of the factor on q_y that decides, up to a constant */
    int32_t *train_count;           /* [class] examples after the long tail was cut */
    float *logits;                  /* [test example][class]; NULL unless shape.with_logits */
    /* [parameter] stored values (nn.h), NaN behind the model's own; NULL unless shape.n_parameters */
    float *parameters;
    /* timing: may differ between runs */
    double wall_seconds;
    double cpu_seconds;
    int32_t rank;
    char host[KDS_HOST_CHARS];
    double finished_at; /* UTC seconds since 1970 */
    void *memory;       /* owns the arrays */
} kds_trial_result;

kds_status kds_trial_result_new(const kds_result_shape *shape, kds_trial_result **out, kds_error *err);
void kds_trial_result_free(kds_trial_result *result);
/* Back to "missing": NaN, 0 and -1 everywhere. */
void kds_trial_result_reset(kds_trial_result *result);

/* CRC-32 over everything but the timing columns, in a fixed order and little-endian: the row_crc of the file. The padding of the
 * arrays is part of it. */
uint32_t kds_trial_result_crc(const kds_trial_result *result);

/* The row as opaque bytes, for the farm to carry to the rank that writes, and back. The size depends on the shape alone. */
size_t kds_trial_result_packed_size(const kds_result_shape *shape);
void kds_trial_result_pack(const kds_trial_result *result, void *bytes);
void kds_trial_result_unpack(const void *bytes, kds_trial_result *result);

#endif
