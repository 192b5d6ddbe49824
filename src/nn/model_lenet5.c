/*
 * LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998) as it is used today: rectifiers instead of tanh, maximum instead of trained averages, every
 * map of the first stage seen by every map of the second, a softmax at the end. The original reads 32 x 32 images; padding 2 gives a
 * 28 x 28 image the same maps. Images below 12 x 12 would have nothing left for the second convolution: there it is padded, too.
 */
#include "models.h"

void kds_make_lenet5(model_builder *builder, const kds_model_name *name, const kds_recipe *recipe)
{
    (void)name;
    (void)recipe;
    const int32_t padding1 = builder->data->height < 32 ? 2 : 0, padding2 = builder->data->height < 12 ? 2 : 0;
    int x = kds_add_convolution(builder, KDS_INPUT, 6, 5, 1, padding1, RELU);
    x = kds_add_pool(builder, x, KDS_LAYER_MAX_POOL, 2);
    x = kds_add_convolution(builder, x, 16, 5, 1, padding2, RELU);
    x = kds_add_pool(builder, x, KDS_LAYER_MAX_POOL, 2);
    x = kds_add_dense(builder, x, 120, RELU);
    x = kds_add_dense(builder, x, 84, RELU);
    kds_add_dense(builder, x, builder->data->n_classes, PLAIN);
}
