/*
 * group_dro: max_g E[l | G = g] over classes or groups of the data, methods 2.4 and 4.6 (Sagawa et al., ICLR 2020, algorithm 1): minimise sum_g
 * lambda_g l_g, l_g the mean loss of the batch's examples of g (0 without any), that is, weights lambda_g n / n_g(batch) of examples. The
 * multipliers follow l_g + C / sqrt(n_g), n_g training examples, also of what is absent from the batch: l_g of the batch's one-hot cross-entropies,
 * before its gradient, or of validation (kds_loss_update_end). What has no training examples has lambda = 0 for good: what it had would reach no
 * example, and validation would give it ever more.
 */
#include <math.h>
#include <string.h>

#include "objectives.h"
#include "parts.h"

static void begin(kds_loss *loss, const kds_loss_inputs *inputs)
{
    const int32_t *count = kds_recipe_of_groups(loss->recipe) ? inputs->group_count : inputs->train_count;
    int32_t n_present = 0;
    for (int32_t g = 0; g < loss->n_multipliers; g++) {
        n_present += count[g] > 0;
    }
    for (int32_t g = 0; g < loss->n_multipliers; g++) {
        loss->log_multiplier[g] = count[g] > 0 ? -log((double)n_present) : -INFINITY;
        loss->risk_offset[g] = count[g] > 0 ? loss->recipe->dro_adjustment / sqrt((double)count[g]) : 0.0;
    }
}

static void label(kds_loss *loss, const kds_loss_rows *rows)
{
    const int32_t *group = kds_recipe_of_groups(loss->recipe) ? rows->group : rows->label;
    bool learns = loss->recipe->dro_learns == KDS_DRO_TRAINING;
    memset(loss->risk_sum, 0, (size_t)loss->n_multipliers * sizeof *loss->risk_sum);
    memset(loss->risk_mass, 0, (size_t)loss->n_multipliers * sizeof *loss->risk_mass);
    for (int32_t i = 0; i < rows->n_rows; i++) {
        loss->risk_mass[group[i]]++;
        if (learns) {
            loss->risk_sum[group[i]] += kds_loss_cross_entropy(loss, rows->logits + (size_t)i * (size_t)loss->n_classes,
                                                               rows->label[i]);
        }
    }
    if (learns) {
        kds_loss_multiply(loss, loss->risk_mass);
    }
    for (int32_t i = 0; i < rows->n_rows; i++) {
        kds_loss_weigh_row(loss, i, loss->multiplier[group[i]] * rows->n_rows / loss->risk_mass[group[i]]);
    }
}

const kds_objective_rule kds_objective_group_dro = {.begin = begin, .label = label};
