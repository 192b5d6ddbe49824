/* Batch normalisation (Ioffe, Szegedy 2015): only its statistics; the affine map is applied by whoever reads the layer. */
#include <math.h>

#include "net.h"

/* z = (y - mean) inverse gamma + beta as one affine map. */
static void set_affine(kds_net *net, net_layer *layer, int32_t c, double mean, double variance)
{
    const double inverse = 1 / sqrt(variance + (double)net->model->norm_epsilon);
    const float *gamma = net->parameters + layer->vectors, *beta = gamma + layer->n_vectors / 2;
    const double scale = (double)gamma[c] * inverse;
    layer->mean[c] = (float)mean;
    layer->inverse[c] = (float)inverse;
    layer->scale[c] = (float)scale;
    layer->shift[c] = (float)((double)beta[c] - mean * scale);
}

void kds_net_norm_by_batch(kds_net *net, int l, int32_t n_rows)
{
    net_layer *layer = &net->layers[l];
    const double n = (double)n_rows * (double)layer->n_pixels, momentum = (double)net->model->norm_momentum;
    float *running_mean = net->statistics + layer->statistics, *running_variance = running_mean + layer->columns;
    for (int32_t c = 0; c < layer->columns; c++) {
        /* The sums are about the running mean: close to the batch's, so that the difference of squares loses nothing. */
        const double center = (double)running_mean[c], offset = layer->sum[c] / n;
        const double difference = layer->product[c] / n - offset * offset;
        const double mean = center + offset, variance = difference < 0 ? 0 : difference; /* a NaN stays a NaN */
        set_affine(net, layer, c, mean, variance);
        running_mean[c] = (float)((1 - momentum) * center + momentum * mean);
        running_variance[c] = (float)((1 - momentum) * (double)running_variance[c] +
                                      momentum * variance * (n > 1 ? n / (n - 1) : 1));
    }
}

void kds_net_norm_by_running(kds_net *net, int l)
{
    net_layer *layer = &net->layers[l];
    const float *mean = net->statistics + layer->statistics, *variance = mean + layer->columns;
    for (int32_t c = 0; c < layer->columns; c++) {
        set_affine(net, layer, c, (double)mean[c], (double)variance[c]);
    }
}

/* With x = (y - mean) inverse: d_y = gamma inverse (d - mean(d) - x mean(d x)), regrouped as an affine map of d and y. */
void kds_net_norm_backward(kds_net *net, int l, int32_t n_rows)
{
    net_layer *layer = &net->layers[l];
    const double n = (double)n_rows * (double)layer->n_pixels;
    float *d_gamma = net->gradient + layer->d_vectors, *d_beta = d_gamma + layer->n_vectors / 2;
    for (int32_t c = 0; c < layer->columns; c++) {
        const double scale = (double)layer->scale[c], inverse = (double)layer->inverse[c];
        const double of_y = -scale * inverse * inverse * layer->product[c] / n;
        d_gamma[c] = (float)(layer->product[c] * inverse);
        d_beta[c] = (float)layer->sum[c];
        net->coefficient[0][c] = (float)scale;
        net->coefficient[1][c] = (float)of_y;
        net->coefficient[2][c] = (float)(-scale * layer->sum[c] / n - of_y * (double)layer->mean[c]);
    }
}
