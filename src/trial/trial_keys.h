/*
 * Inside trial: what spec.c needs of the key table beyond kdsweep/trial.h.
 */
#ifndef KDSWEEP_TRIAL_KEYS_H
#define KDSWEEP_TRIAL_KEYS_H

#include <stddef.h>

/* Index of the slot of the field at this offset in kds_trial_spec. */
int kds_slot_at(size_t offset);

/* Characters of a model's name that its meaning depends on: "mlp:" is "mlp", "resnet20x16" is "resnet20". Of any text: of one that is no
 * model, no more is known than that another text has another meaning. */
size_t kds_model_length(const char *model);

#endif
