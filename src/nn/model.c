/* Models by name: from a name and the shape of the data to a table of layers. */
#include "models.h"

static const kds_layer *layer_at(const model_builder *builder, int index)
{
    return &builder->model->layers[index];
}

/* A layer whose input sizes are filled in, at the end of the table. */
static kds_layer *add_layer(model_builder *builder, kds_layer_kind kind, int input)
{
    kds_model *model = builder->model;
    KDS_ASSERT(model->n_layers < KDS_MAX_MODEL_LAYERS && input < model->n_layers);
    kds_layer *layer = &model->layers[model->n_layers++];
    *layer = (kds_layer){.kind = (int32_t)kind, .input = input, .skip = KDS_NO_SKIP, .stride = 1, .kernel = 1};
    if (input != KDS_INPUT) {
        layer->in_height = layer_at(builder, input)->height;
        layer->in_width = layer_at(builder, input)->width;
        layer->in_channels = layer_at(builder, input)->channels;
    } else if (kind == KDS_LAYER_DENSE) {
        layer->in_height = layer->in_width = 1;
        layer->in_channels = builder->data->n_features;
    } else {
        layer->in_height = builder->data->height;
        layer->in_width = builder->data->width;
        layer->in_channels = builder->data->channels;
    }
    return layer;
}

int kds_add_dense(model_builder *builder, int input, int32_t n_out, int follows)
{
    kds_layer *layer = add_layer(builder, KDS_LAYER_DENSE, input);
    layer->height = layer->width = 1;
    layer->channels = n_out;
    layer->relu = follows & RELU;
    layer->n_weights = (int64_t)layer->in_height * layer->in_width * layer->in_channels * n_out;
    return builder->model->n_layers - 1;
}

int kds_add_convolution(model_builder *builder, int input, int32_t channels, int32_t kernel, int32_t stride,
                        int32_t padding, int follows)
{
    kds_layer *layer = add_layer(builder, KDS_LAYER_CONVOLUTION, input);
    layer->kernel = kernel;
    layer->stride = stride;
    layer->padding = padding;
    layer->height = (layer->in_height + 2 * padding - kernel) / stride + 1;
    layer->width = (layer->in_width + 2 * padding - kernel) / stride + 1;
    layer->channels = channels;
    layer->relu = follows & RELU;
    layer->norm = follows & NORM;
    layer->n_weights = (int64_t)kernel * kernel * layer->in_channels * channels;
    return builder->model->n_layers - 1;
}

int kds_add_pool(model_builder *builder, int input, kds_layer_kind kind, int32_t size)
{
    kds_layer *layer = add_layer(builder, kind, input);
    layer->kernel = layer->stride = size;
    layer->height = layer->in_height / size;
    layer->width = layer->in_width / size;
    layer->channels = layer->in_channels;
    return builder->model->n_layers - 1;
}

void kds_add_skip(model_builder *builder, int layer, int skip)
{
    builder->model->layers[layer].skip = skip;
}

static kds_status check_images(const char *name, const kds_data_shape *data, kds_error *err)
{
    if (data->height <= 0) {
        return kds_error_set(err, KDS_GRID, "use an mlp for data that are no images",
                             "model \"%s\" needs images, these data have %d features without height and width", name,
                             (int)data->n_features);
    }
    if (data->height != data->width || data->height < 8 || data->height > 64 ||
        (data->channels != 1 && data->channels != 3)) {
        return kds_error_set(err, KDS_GRID, "allowed: square images of 8 to 64 pixels with 1 or 3 channels",
                             "model \"%s\" does not fit images of %d x %d pixels with %d channel%s", name,
                             (int)data->height, (int)data->width, (int)data->channels, data->channels == 1 ? "" : "s");
    }
    return KDS_OK;
}

/* Where each layer's values lie among the stored values. */
static void place_values(kds_model *model)
{
    int64_t at = 0;
    for (int l = 0; l < model->n_layers; l++) {
        kds_layer *layer = &model->layers[l];
        layer->weights = at;
        if (layer->n_weights > 0) {
            at += layer->n_weights + (layer->norm ? 2 : 1) * layer->channels;
        }
    }
    model->n_parameters = at;
    for (int l = 0; l < model->n_layers; l++) {
        kds_layer *layer = &model->layers[l];
        layer->statistics = at;
        at += layer->norm ? 2 * layer->channels : 0;
    }
    model->n_values = at;
}

kds_status kds_model_make(const kds_recipe *recipe, const kds_data_shape *data, kds_model *out, kds_error *err)
{
    kds_status status;
    kds_model_name name;
    KDS_TRY(kds_model_parse(recipe->model, &name, err));
    if (name.family != KDS_FAMILY_MLP) {
        KDS_TRY(check_images(recipe->model, data, err));
    }
    *out = (kds_model){
        .n_features = data->n_features,
        .n_classes = data->n_classes,
        .norm_momentum = (float)recipe->norm_momentum,
        .norm_epsilon = (float)recipe->norm_epsilon,
    };
    model_builder builder = {.model = out, .data = data};
    static void (*const make[])(model_builder *, const kds_model_name *, const kds_recipe *) = {
        [KDS_FAMILY_MLP] = kds_make_mlp, [KDS_FAMILY_LENET5] = kds_make_lenet5, [KDS_FAMILY_RESNET] = kds_make_resnet};
    make[name.family](&builder, &name, recipe);
    place_values(out);
out:
    return status;
}

/* Pairs (output, tap) along one side of which the tap lies on the image. */
static int64_t taps_inside(int32_t in, int32_t out, int32_t kernel, int32_t stride, int32_t padding)
{
    int64_t n = 0;
    for (int32_t o = 0; o < out; o++) {
        for (int32_t k = 0; k < kernel; k++) {
            const int32_t i = o * stride + k - padding;
            n += i >= 0 && i < in;
        }
    }
    return n;
}

static double layer_macs(const kds_layer *layer)
{
    if (layer->kind != KDS_LAYER_CONVOLUTION) {
        return (double)layer->n_weights;
    }
    return (double)taps_inside(layer->in_height, layer->height, layer->kernel, layer->stride, layer->padding) *
           (double)taps_inside(layer->in_width, layer->width, layer->kernel, layer->stride, layer->padding) *
           layer->in_channels * layer->channels;
}

double kds_model_forward_macs(const kds_model *model)
{
    double macs = 0;
    for (int l = 0; l < model->n_layers; l++) {
        macs += layer_macs(&model->layers[l]);
    }
    return macs;
}

double kds_model_training_macs(const kds_model *model)
{
    double macs = 0;
    for (int l = 0; l < model->n_layers; l++) {
        macs += layer_macs(&model->layers[l]) * (model->layers[l].input == KDS_INPUT ? 2 : 3);
    }
    return macs;
}
