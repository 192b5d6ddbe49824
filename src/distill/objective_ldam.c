/*
 * ldam: cross-entropy of s (f - Delta_y onehot_y), Delta_y = C / n_y^(1/4), the largest of them ldam_margin; then the deferred weights of
 * class_balanced (Cao et al., NeurIPS 2019; methods 4.3). That is the one-sided margin loss of methods 0.4 with rho_y = s Delta_y on logits s f;
 * where the student is tempered, s f / T and s Delta_y / T. The authors' s = 30 goes with normalised features and weights, which the models here do
 * not have. n_y: as of the weights.
 *
 * The weighted losses of a batch are divided by the sum of its weights, as by the authors' F.cross_entropy(weight=): one-hot term sum_i w_{y_i} l_i
 * / sum_i w_{y_i}, teacher term sum_i sum_y w_y p_y(x_i) l_y(x_i) / sum_i sum_y w_y p_y(x_i). Divided by the number of examples (class_balanced: so
 * do Cui et al., whose weights have mean 1 over classes), the step would shrink when the weights come into force: most examples are of classes of
 * small weight.
 */
#include <math.h>
#include <string.h>

#include "objectives.h"
#include "parts.h"

static void set_margins(const kds_loss *loss, double n_examples, const double *marginal, double *margin)
{
    double smallest = INFINITY;
    for (int32_t y = 0; y < loss->n_classes; y++) {
        smallest = fmin(smallest, fmax(n_examples * marginal[y], 1.0));
    }
    for (int32_t y = 0; y < loss->n_classes; y++) {
        double share = smallest / fmax(n_examples * marginal[y], 1.0);
        margin[y] = loss->recipe->ldam_margin * sqrt(sqrt(share));
    }
}

static void begin(kds_loss *loss, const kds_loss_inputs *inputs)
{
    kds_loss_weigh_classes(loss, inputs);
    set_margins(loss, (double)inputs->n_train, loss->prior, loss->margin);
    if (loss->with_teacher) {
        set_margins(loss, (double)inputs->n_train, loss->teacher_marginal, loss->teacher_margin);
    }
}

/* Of a term's rows: the mean of sum_y w_y p_y. */
static double mean_weight(const float *target, int32_t n_rows, int32_t n_classes)
{
    double sum = 0;
    for (size_t i = 0; i < (size_t)n_rows * (size_t)n_classes; i++) {
        sum += (double)target[i];
    }
    return sum / n_rows;
}

static double gradient(kds_loss *loss, const kds_loss_rows *rows, float *d_logits)
{
    size_t m = (size_t)loss->n_classes;
    kds_softmax_term terms[2];
    int32_t n_terms = kds_loss_terms(loss, terms);
    double total = 0;
    memset(d_logits, 0, (size_t)rows->n_rows * m * sizeof(float));
    for (int32_t t = 0; t < n_terms; t++) {
        const double *margin = terms[t].target == loss->teacher_target ? loss->teacher_margin : loss->margin;
        double scale = loss->recipe->ldam_scale * (double)terms[t].inverse_temperature;
        double *rho = loss->class_work + 3 * m;
        for (size_t y = 0; y < m; y++) {
            rho[y] = scale * margin[y];
        }
        double weight = (double)terms[t].weight;
        if (kds_loss_reweights(loss, rows)) {
            weight /= mean_weight(terms[t].target, rows->n_rows, loss->n_classes);
        }
        for (int32_t i = 0; i < rows->n_rows; i++) {
            size_t start = (size_t)i * m;
            total += weight * kds_loss_margin_row(loss, rows->logits + start, scale, terms[t].target + start, rho,
                                                  weight * scale / rows->n_rows, d_logits + start);
        }
    }
    return total / rows->n_rows;
}

const kds_objective_rule kds_objective_ldam = {.begin = begin, .label = kds_loss_label_by_class, .gradient = gradient};
