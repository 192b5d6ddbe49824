/* Learning-rate schedules. */
#include <math.h>

#include "kdsweep/nn.h"

double kds_schedule_lr(const kds_recipe *recipe, int64_t step, int64_t steps_per_epoch)
{
    double epoch = (double)step / (double)steps_per_epoch;
    if (epoch < recipe->warmup) {
        double n_warmup_steps = recipe->warmup * (double)steps_per_epoch;
        return recipe->lr * fmin(1.0, (double)(step + 1) / n_warmup_steps);
    }
    double lr = recipe->lr;
    if (recipe->schedule == KDS_SCHEDULE_STEP) {
        for (int32_t i = 0; i < recipe->n_milestones; i++) {
            lr *= epoch >= recipe->milestones[i] ? recipe->lr_decay : 1.0;
        }
    } else if (recipe->schedule == KDS_SCHEDULE_COSINE) {
        double progress = (epoch - recipe->warmup) / (recipe->epochs - recipe->warmup);
        lr *= 0.5 * (1 + cos(3.14159265358979323846 * progress));
    }
    return lr;
}
