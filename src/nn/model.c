/* Models by name: from a name and the shape of the data to a table of layers. */
#include "kdsweep/nn.h"

kds_status kds_model_make(const char *name, int32_t n_features, int32_t n_classes, kds_model *out, kds_error *err)
{
    kds_status status;
    int32_t widths[KDS_MAX_LAYERS];
    int n_hidden = 0;
    KDS_TRY(kds_model_parse(name, widths, KDS_MAX_LAYERS, &n_hidden, err));

    *out = (kds_model){.n_features = n_features, .n_classes = n_classes, .n_layers = n_hidden + 1};
    int32_t n_in = n_features;
    for (int l = 0; l < out->n_layers; l++) {
        kds_layer *layer = &out->layers[l];
        layer->n_in = n_in;
        layer->n_out = l < n_hidden ? widths[l] : n_classes;
        layer->relu = l < n_hidden;
        layer->weights = out->n_parameters;
        layer->biases = layer->weights + (int64_t)layer->n_in * layer->n_out;
        out->n_parameters = layer->biases + layer->n_out;
        n_in = layer->n_out;
    }
out:
    return status;
}

double kds_model_forward_macs(const kds_model *model)
{
    double macs = 0;
    for (int l = 0; l < model->n_layers; l++) {
        macs += (double)model->layers[l].n_in * model->layers[l].n_out;
    }
    return macs;
}

double kds_model_training_macs(const kds_model *model)
{
    return 3 * kds_model_forward_macs(model) - (double)model->layers[0].n_in * model->layers[0].n_out;
}
