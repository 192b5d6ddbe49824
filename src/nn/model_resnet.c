/*
 * Residual networks for small images (He, Zhang, Ren, Sun 2016, section 4.2): a 3x3 convolution, three stages of k blocks with w, 2w and 4w
 * channels, the average of each map, a dense layer: 6k + 2 layers with weights. A block is relu(x + norm(conv(relu(norm(conv(x)))))); the
 * first one of the second and third stage halves the map. There the shortcut drops every other pixel and adds channels of zeros (their
 * option A) or is a 1x1 convolution with normalisation (option B).
 */
#include "models.h"

static int add_block(model_builder *builder, int x, int32_t channels, int32_t stride, bool projects)
{
    const int shortcut = projects ? kds_add_convolution(builder, x, channels, 1, stride, 0, NORM) : x;
    const int inner = kds_add_convolution(builder, x, channels, 3, stride, 1, NORM | RELU);
    const int outer = kds_add_convolution(builder, inner, channels, 3, 1, 1, NORM | RELU);
    kds_add_skip(builder, outer, shortcut);
    return outer;
}

void kds_make_resnet(model_builder *builder, const kds_model_name *name, const kds_recipe *recipe)
{
    int x = kds_add_convolution(builder, KDS_INPUT, name->width, 3, 1, 1, NORM | RELU);
    for (int stage = 0; stage < 3; stage++) {
        for (int block = 0; block < name->blocks; block++) {
            const bool halves = stage > 0 && block == 0;
            x = add_block(builder, x, name->width << stage, halves ? 2 : 1,
                          halves && recipe->shortcut == KDS_SHORTCUT_PROJECTION);
        }
    }
    x = kds_add_pool(builder, x, KDS_LAYER_AVERAGE_POOL, (builder->data->height + 3) / 4);
    kds_add_dense(builder, x, builder->data->n_classes, PLAIN);
}
