/* What a file model_<family>.c has to do: write the layers of one family of models as a table. */
#ifndef KDSWEEP_MODELS_H
#define KDSWEEP_MODELS_H

#include "kdsweep/nn.h"

/* A model that is being written. The functions add a layer that reads layer `input` and return its index; sizes follow from the input's. */
typedef struct model_builder {
    kds_model *model;
    const kds_data_shape *data;
} model_builder;

enum { PLAIN = 0, RELU = 1, NORM = 2 }; /* what follows a layer's product */

int kds_add_dense(model_builder *builder, int input, int32_t n_out, int follows);
int kds_add_convolution(model_builder *builder, int input, int32_t channels, int32_t kernel, int32_t stride,
                        int32_t padding, int follows);
int kds_add_pool(model_builder *builder, int input, kds_layer_kind kind, int32_t size);

/* Layer `layer` gets the output of layer `skip` added before its rectifier. */
void kds_add_skip(model_builder *builder, int layer, int skip);

/* One for each family: its layers, the last without anything behind the product. */
void kds_make_mlp(model_builder *builder, const kds_model_name *name, const kds_recipe *recipe);
void kds_make_lenet5(model_builder *builder, const kds_model_name *name, const kds_recipe *recipe);
void kds_make_resnet(model_builder *builder, const kds_model_name *name, const kds_recipe *recipe);

#endif
