#include "parts.h"

#include <math.h>
#include <string.h>

/* ---- terms ---------------------------------------------------------------------------------------------------------- */

int32_t kds_loss_terms(const kds_loss *loss, kds_softmax_term terms[2])
{
    int32_t n_terms = 0;
    bool shifted = loss->rule->log_costs != NULL;
    if (loss->with_teacher) {
        terms[n_terms++] = (kds_softmax_term){.target = loss->teacher_target,
                                              .offset = shifted ? loss->teacher_offset : NULL,
                                              .inverse_temperature = 1.0f / loss->student_temperature,
                                              .weight = loss->teacher_weight};
    }
    if (loss->with_one_hot) {
        terms[n_terms++] = (kds_softmax_term){.target = loss->one_hot_target,
                                              .offset = shifted ? loss->one_hot_offset : NULL,
                                              .inverse_temperature = 1.0f,
                                              .weight = loss->one_hot_weight};
    }
    return n_terms;
}

double kds_loss_one_hot_term(kds_loss *loss, const kds_loss_rows *rows, float *d_logits)
{
    if (!loss->with_one_hot) {
        memset(d_logits, 0, (size_t)rows->n_rows * (size_t)loss->n_classes * sizeof(float));
        return 0;
    }
    kds_softmax_term terms[2];
    int32_t n_terms = kds_loss_terms(loss, terms);
    return loss->kernels->softmax_gradient(rows->n_rows, loss->n_classes, rows->logits, 1, &terms[n_terms - 1],
                                           d_logits, loss->scratch);
}

static void scale(float *labels, int32_t n, float factor)
{
    for (int32_t i = 0; i < n; i++) {
        labels[i] *= factor;
    }
}

void kds_loss_weigh_row(kds_loss *loss, int32_t row, double weight)
{
    size_t start = (size_t)row * (size_t)loss->n_classes;
    if (loss->with_teacher) {
        scale(loss->teacher_target + start, loss->n_classes, (float)weight);
    }
    if (loss->with_one_hot) {
        scale(loss->one_hot_target + start, loss->n_classes, (float)weight);
    }
}

void kds_normalise_logs(int32_t n, double *log_mass)
{
    double largest = -INFINITY, sum = 0;
    for (int32_t j = 0; j < n; j++) {
        largest = fmax(largest, log_mass[j]);
    }
    for (int32_t j = 0; j < n; j++) {
        sum += exp(log_mass[j] - largest);
    }
    const double log_sum = largest + log(sum);
    for (int32_t j = 0; j < n; j++) {
        log_mass[j] -= log_sum;
    }
}

double kds_loss_cross_entropy(kds_loss *loss, const float *logits, int32_t label)
{
    kds_apart q;
    kds_apart_make(loss, logits, 1.0, label, loss->class_work, &q);
    return -q.log_own;
}

/* ---- weights of classes, margins ------------------------------------------------------------------------------------- */

static void weigh(const kds_loss *loss, double n_examples, const double *marginal, double *weight)
{
    double beta = loss->recipe->beta, sum = 0;
    for (int32_t y = 0; y < loss->n_classes; y++) {
        double n = fmax(n_examples * marginal[y], 1.0);
        weight[y] = (1.0 - beta) / -expm1(n * log(beta)); /* beta = 0: log 0, and 1 in the end */
        sum += weight[y];
    }
    for (int32_t y = 0; y < loss->n_classes; y++) {
        weight[y] *= loss->n_classes / sum;
    }
}

void kds_loss_weigh_classes(kds_loss *loss, const kds_loss_inputs *inputs)
{
    weigh(loss, (double)inputs->n_train, loss->prior, loss->class_weight);
    if (loss->with_teacher) {
        weigh(loss, (double)inputs->n_train, loss->teacher_marginal, loss->teacher_class_weight);
    }
}

bool kds_loss_reweights(const kds_loss *loss, const kds_loss_rows *rows)
{
    return rows->epoch >= loss->recipe->reweight_from;
}

void kds_loss_label_by_class(kds_loss *loss, const kds_loss_rows *rows)
{
    int32_t m = loss->n_classes;
    if (!kds_loss_reweights(loss, rows)) {
        return;
    }
    for (int32_t i = 0; i < rows->n_rows; i++) {
        size_t start = (size_t)i * (size_t)m;
        for (int32_t y = 0; y < m && loss->with_teacher; y++) {
            loss->teacher_target[start + (size_t)y] *= (float)loss->teacher_class_weight[y];
        }
        if (loss->with_one_hot) {
            loss->one_hot_target[start + (size_t)rows->label[i]] *= (float)loss->class_weight[rows->label[i]];
        }
    }
}

double kds_average_margin(int32_t n_classes, double p_y)
{
    return p_y - (1.0 - p_y) / (n_classes - 1);
}

void kds_loss_measure_margins(kds_loss *loss, const kds_loss_inputs *inputs)
{
    int32_t m = loss->n_classes;
    bool on_train = inputs->distill->ada_from == KDS_ADA_TRAIN;
    const float *logits = on_train ? inputs->teacher_train_logits : inputs->teacher_validation_logits;
    const int32_t *label = on_train ? inputs->train_label : inputs->validation_label;
    int64_t n = on_train ? inputs->n_train : inputs->n_validation;
    double *count = loss->class_work;
    for (int32_t y = 0; y < m; y++) {
        loss->teacher_margin[y] = count[y] = 0;
    }
    for (int64_t i = 0; i < n; i++) {
        int32_t y = label[i];
        loss->kernels->softmax(1, m, logits + i * m, 1.0f / loss->margin_temperature, loss->scratch);
        loss->teacher_margin[y] += kds_average_margin(m, (double)loss->scratch[y]);
        count[y]++;
    }
    for (int32_t y = 0; y < m; y++) {
        loss->teacher_margin[y] /= fmax(count[y], 1.0);
    }
}

double kds_loss_clip_margin(const kds_loss *loss, double margin)
{
    double scaled = loss->distill->ada_scale * margin;
    if (scaled < loss->distill->ada_minimum) {
        return loss->distill->ada_minimum;
    }
    return scaled > loss->distill->ada_maximum ? loss->distill->ada_maximum : scaled; /* NaN stays */
}

void kds_loss_robust_costs(const kds_loss *loss, const double *marginal, double a, double *log_cost)
{
    for (int32_t y = 0; y < loss->n_classes; y++) {
        double beta = (1 - a) / loss->n_classes + a * loss->multiplier[y];
        log_cost[y] = log(fmax(beta, KDS_MASS_FLOOR)) - log(fmax(marginal[y], KDS_MASS_FLOOR));
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------------- */

/* log(1 + e^x); its derivative 1 / (1 + e^-x) into *slope. */
static double softplus(double x, double *slope)
{
    double e = exp(-fabs(x));
    *slope = (x < 0 ? e : 1) / (1 + e);
    return fmax(x, 0) + log1p(e);
}

void kds_apart_make(kds_loss *loss, const float *f, double inverse_temperature, int32_t at, double *work,
                    kds_apart *out)
{
    int32_t m = loss->n_classes, n_others = 0, largest = -1;
    float *others = loss->scratch, *share = loss->scratch + m, zero = 0;
    *out = (kds_apart){.at = at, .share = work, .log_share = work + m};
    if (at == KDS_APART_LARGEST) {
        out->at = 0;
        for (int32_t j = 1; j < m; j++) {
            out->at = f[j] > f[out->at] ? j : out->at;
        }
    }
    for (int32_t j = 0; j < m; j++) {
        zero += 0 * f[j];
        if (j != out->at) {
            largest = largest < 0 || f[j] > f[largest] ? j : largest;
        }
    }
    for (int32_t j = 0; j < m; j++) { /* differences first: large logits lose no digits to the temperature */
        if (j != out->at) {
            others[n_others++] = f[j] - f[largest];
        }
    }
    loss->kernels->softmax(1, n_others, others, (float)inverse_temperature, share);
    double log_largest = log((double)share[largest - (largest > out->at)]); /* its share is at least 1 / m */
    log_largest += (double)zero;                                            /* NaN if any logit is not finite */
    for (int32_t j = 0, k = 0; j < m; j++) {
        if (j == out->at) {
            out->share[j] = out->log_share[j] = 0;
            continue;
        }
        out->share[j] = (double)share[k++];
        out->log_share[j] = ((double)f[j] - (double)f[largest]) * inverse_temperature + log_largest;
    }
    out->odds = ((double)f[largest] - (double)f[out->at]) * inverse_temperature - log_largest;
    out->log_own = -softplus(out->odds, &out->rest);
    out->log_rest = -softplus(-out->odds, &out->own);
}

/*
 * Of one class, l = log(1 + e^u) with u = rho_y + log((1 - q_y) / q_y); with s = 1 / (1 + e^-u)
 *     dl/dz_y = -s,   dl/dz_k = s q_k / (1 - q_y)
 * 1 - q_y can be too small for anything but a logarithm only where y is the largest: there the row is taken apart.
 */
double kds_loss_margin_row(kds_loss *loss, const float *f, double inverse_temperature, const float *p,
                           const double *rho, double factor, float *d)
{
    int32_t m = loss->n_classes;
    kds_apart q;
    double *own = loss->class_work + 2 * m; /* dl/dz_y of each class but the largest, by its label */
    double total = 0, spread = 0;           /* sum of what each class gives to the others, in units of their q */
    kds_apart_make(loss, f, inverse_temperature, KDS_APART_LARGEST, loss->class_work, &q);
    double at_largest = (double)p[q.at];
    double slope, from_largest = 0;
    if (at_largest != 0) {
        total += at_largest * softplus(rho[q.at] + q.odds, &slope);
        from_largest = at_largest * slope;
    }
    for (int32_t y = 0; y < m; y++) {
        own[y] = 0;
        if (y != q.at && p[y] != 0) {
            double log_rest = log1p(-kds_apart_q(&q, y));
            total += (double)p[y] * softplus(rho[y] + log_rest - kds_apart_log_q(&q, y), &slope);
            own[y] = (double)p[y] * slope;
            spread += own[y] / kds_apart_not_q(&q, y);
        }
    }
    for (int32_t k = 0; k < m; k++) {
        double others = own[k] == 0 ? spread : spread - own[k] / kds_apart_not_q(&q, k);
        double g = k == q.at ? q.own * others - from_largest
                             : kds_apart_q(&q, k) * others + from_largest * q.share[k] - own[k];
        d[k] += (float)(factor * g);
    }
    return total;
}
