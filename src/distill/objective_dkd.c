/*
 * dkd: decoupled distillation (Zhao et al., CVPR 2022; methods 4.8). At temperature T, y the label, r = 1 - q_y and q' the softmax among the other
 * classes, r^t and p' the teacher's:
 *     T^2 min(epoch / warmup, 1) [alpha KL((p_y, r^t) || (q_y, r)) + beta KL(p' || q')]
 * is the teacher term; its epoch counts from 1 and is one number for a whole epoch, as in the authors' code. Its gradient with respect to z = f / T
 * is alpha (q_y - p_y) at y and alpha q'_k (r - r^t) + beta (q'_k - p'_k) elsewhere. The one-hot term is the cross-entropy.
 */
#include <math.h>

#include "objectives.h"
#include "parts.h"

/* a log(a / b), from logarithms; 0 at a = 0. */
static double divergence(double a, double log_a, double log_b)
{
    return a == 0 ? 0 : a * (log_a - log_b);
}

static double gradient(kds_loss *loss, const kds_loss_rows *rows, float *d_logits)
{
    int32_t m = loss->n_classes;
    double one_hot = kds_loss_one_hot_term(loss, rows, d_logits), total = 0, t = (double)loss->teacher_temperature;
    if (!loss->with_teacher) {
        return one_hot;
    }
    const kds_distill_spec *distill = loss->distill;
    double warmth = distill->dkd_warmup > 0 ? fmin((floor(rows->epoch) + 1) / distill->dkd_warmup, 1.0) : 1.0;
    double weight = (double)loss->teacher_weight * t * t * warmth, factor = weight / t / rows->n_rows;
    for (int32_t i = 0; i < rows->n_rows; i++) {
        size_t start = (size_t)i * (size_t)m;
        int32_t y = rows->label[i];
        float *d = d_logits + start;
        kds_apart p, q;
        kds_apart_make(loss, rows->teacher_logits + start, 1 / t, y, loss->class_work, &p);
        kds_apart_make(loss, rows->logits + start, 1 / t, y, loss->class_work + 2 * m, &q);
        double target = divergence(p.own, p.log_own, q.log_own) + divergence(p.rest, p.log_rest, q.log_rest), rest = 0;
        double more = q.own - p.own; /* r^t - r */
        for (int32_t k = 0; k < m; k++) {
            if (k != y) {
                rest += divergence(p.share[k], p.log_share[k], q.log_share[k]);
                d[k] += (float)(factor * (distill->dkd_beta * (q.share[k] - p.share[k]) -
                                          distill->dkd_alpha * q.share[k] * more));
            }
        }
        d[y] += (float)(factor * distill->dkd_alpha * more);
        total += distill->dkd_alpha * target + distill->dkd_beta * rest;
    }
    return one_hot + weight * total / rows->n_rows;
}

const kds_objective_rule kds_objective_dkd = {.gradient = gradient};
