/*
 * Inside grid: the keys of a grid file. Those of the trial's slots come from kdsweep/trial.h; the few that say something about the
 * sweep as a whole are added here.
 */
#ifndef KDSWEEP_GRID_KEYS_H
#define KDSWEEP_GRID_KEYS_H

#include "kdsweep/grid.h"

/* Keys of the sweep as a whole; described by a kds_slot like all others, with the field's offset in kds_grid. */
enum { KEYS_N_SWEEP = 8 };
const kds_slot *kds_keys_of_sweep(void);

/* Words of store.*, in the order of kds_store_choice. */
extern const char *const kds_keys_store_words[];

typedef struct key {
    const char *path;     /* "train.lr" */
    const kds_slot *slot; /* type, range, meaning; of the teacher's slot when the key is for both */
    int slots[2];         /* slot numbers; none for a key of the sweep */
    int n_slots;
} key;

enum { KEYS_MAX = KDS_MAX_SLOTS * 3 / 2 + KEYS_N_SWEEP };

/* All keys that a grid file may hold, in the order of the table. Returns how many. */
int kds_keys_list(key keys[KEYS_MAX]);

/* A known key that was probably meant, or NULL. */
const char *kds_keys_nearest(const key *keys, int n_keys, const char *path);

/* Is this the path of a group of known keys: "data.imbalance"? */
bool kds_keys_is_group(const key *keys, int n_keys, const char *path);

/* The keys of the innermost known group of `path`, comma-separated: "model, objective, ...". Returns the group's path length. */
size_t kds_keys_siblings(const key *keys, int n_keys, const char *path, kds_text *out);

#endif
