/*
 * The grid file: libconfig text -> validated axes and values. The only module that knows libconfig.
 *
 * Reading is table-driven: the table of slots (kdsweep/trial.h) says which keys exist. All errors are collected and told at
 * once, each with file, line, key, value and what is allowed.
 */
#ifndef KDSWEEP_GRID_H
#define KDSWEEP_GRID_H

#include "kdsweep/status.h"
#include "kdsweep/trial.h"

enum { KDS_MAX_AXES = 16, KDS_MAX_SLOTS = 160 };

/* One axis: a key that holds a list. An axis on a shared key ("train.lr") moves two slots together. */
typedef struct kds_axis {
    const char *path; /* as the user wrote it: "student.temperature", "seeds" */
    const char *name; /* short name for tables: the coordinate name of its first slot */
    int slots[2];     /* slot numbers */
    int n_slots;      /* 1 or 2 */
    int n_values;
    const kds_value *values; /* [n_values], owned by the grid */
} kds_axis;

/* Yes, no, or decided by the sizes. Words: "yes", "no", "auto"; booleans are accepted too. */
typedef enum kds_store_choice { KDS_STORE_AUTO, KDS_STORE_YES, KDS_STORE_NO } kds_store_choice;

typedef struct kds_grid {
    char name[256];
    char output[KDS_PATH_CHARS]; /* relative paths: to the current folder */
    char *text;                  /* the file as read */
    /* every slot with its value or list, one "path = value;" a line, in table order, then student.baseline and store.*;
     * readable as a grid file again. Without name and output: they say nothing about what is computed, and a renamed
     * sweep is the same sweep */
    char *resolved;
    kds_trial_spec
        base; /* values of all slots that are not axes (axes: first value); not settled (kds_trial_spec_settle):
                                    what "as the temperature" means differs from trial to trial */
    int n_axes;
    /* in table order. The seeds are first in the table, so they vary slowest and every prefix of the rows of a role that
     * ends with a seed is a complete, balanced design */
    kds_axis axes[KDS_MAX_AXES];
    char file[256]; /* name of the file, and for each slot the line that set it (0: default or --set): for messages */
    int lines[KDS_MAX_SLOTS];
    bool given[KDS_MAX_SLOTS];  /* by the file or by --set */
    bool shared[KDS_MAX_SLOTS]; /* the value stands at the shared path: it is one for teacher and student */
    bool baseline;              /* student.baseline */
    bool teacher_seed_fixed;    /* teacher.seed given (not -1): every student has the teacher of that seed */
    kds_store_choice store_counts, store_group_counts, store_predictions, store_logits, store_parameters;
    void *memory;
} kds_grid;

/* A "key=value" of --set: the value in grid-file syntax (bare words are taken as text: student.objective=robust,
 * student.temperature=[1,2]). It replaces the file's value of the same key; of two the last wins. As in the file, a value for
 * teacher or student (teacher.train.lr) goes before one for both (train.lr). */
typedef struct kds_override {
    const char *assignment;
} kds_override;

/* Limits of a grid file, far above any real one; they keep a file that is not a grid from costing minutes. */
enum { KDS_GRID_MAX_BYTES = 1 << 20, KDS_GRID_MAX_SETTINGS = 4096, KDS_GRID_MAX_DEPTH = 16 };

/*
 * Parse and validate. `name` is used in messages; its stem is the default of name and output. Beside libconfig's own syntax: lists in [ ]
 * may mix kinds of numbers, a comma may stand before the closing bracket, and a key may be written with dots
 * (student.temperature = 2). @include is refused: the results file holds the whole grid. KDS_GRID: err->message holds every problem, one per line "file:line: key: what
 * is wrong, what is allowed" (as many as fit; the rest are counted), also complete in *problems when it is not NULL (caller clears it).
 * Pure: the same bytes give the same grid on every rank.
 */
kds_status kds_grid_parse(const char *bytes, size_t n_bytes, const char *name, const kds_override *overrides,
                          int n_overrides, kds_grid **out, kds_text *problems, kds_error *err);
void kds_grid_free(kds_grid *grid);

/* The key table as text for people, at most 80 columns wide: `--help-keys`; and as a Markdown table: sweeps/README.md. */
void kds_grid_keys_to_text(kds_text *out);
void kds_grid_keys_to_markdown(kds_text *out);

#endif
