/*
 * Inside trial: what spec.c needs of the key table beyond kdsweep/trial.h.
 */
#ifndef KDSWEEP_TRIAL_KEYS_H
#define KDSWEEP_TRIAL_KEYS_H

#include <stddef.h>

/* Index of the slot of the field at this offset in kds_trial_spec. */
int kds_slot_at(size_t offset);

#endif
