/* Multilayer perceptron: "mlp:512-256" has two hidden layers with rectifiers, "mlp" is linear. */
#include "models.h"

void kds_make_mlp(model_builder *builder, const kds_model_name *name, const kds_recipe *recipe)
{
    (void)recipe;
    int x = KDS_INPUT;
    for (int i = 0; i < name->n_hidden; i++) {
        x = kds_add_dense(builder, x, name->widths[i], RELU);
    }
    kds_add_dense(builder, x, builder->data->n_classes, PLAIN);
}
