/*
 * Networks: names and sizes, layout of the stored values, forward and backward against double-precision networks written here,
 * initialisation, step, state, and what must not depend on other rows or on the size of the batch. PyTorch's numbers: tests/golden.
 */
#include "kdsweep/nn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kds_test.h"
#include "kdsweep/rng.h"

enum { MAX_ROWS = 11, N_ROWS = 8, N_FEATURES = 6, N_CLASSES = 4, MAX_WIDTH = 32 };

typedef struct fixture {
    kds_recipe recipe;
    kds_kernels kernels;
    kds_model model;
    kds_arena arena;
    kds_net *net;
} fixture;

static kds_recipe recipe_of(const char *name, kds_shortcut shortcut)
{
    kds_recipe recipe = {.shortcut = (int32_t)shortcut, .norm_momentum = 0.1, .norm_epsilon = 1e-5};
    snprintf(recipe.model, sizeof recipe.model, "%s", name);
    return recipe;
}

static kds_data_shape features(int32_t n_features, int32_t n_classes)
{
    return (kds_data_shape){.n_features = n_features, .n_classes = n_classes};
}

static kds_data_shape images(int32_t height, int32_t width, int32_t channels, int32_t n_classes)
{
    return (kds_data_shape){.n_features = height * width * channels,
                            .height = height,
                            .width = width,
                            .channels = channels,
                            .n_classes = n_classes};
}

/* A net in memory that was full of this byte before. */
static void take_filled(fixture *f, int32_t max_rows, kds_net_use use, int byte)
{
    kds_error err = KDS_ERROR_INIT;
    f->arena = kds_arena_measure();
    assert_null(kds_net_take(&f->model, &f->kernels, max_rows, use, &f->arena));
    KDS_TEST_OK(kds_arena_init(&f->arena, f->arena.used, &err), &err);
    memset(f->arena.base, byte, f->arena.size);
    f->net = kds_net_take(&f->model, &f->kernels, max_rows, use, &f->arena);
    assert_non_null(f->net);
    assert_int_equal(f->arena.used, f->arena.size);
    assert_ptr_equal(kds_net_model(f->net), &f->model);
    assert_ptr_equal(kds_net_kernels(f->net), &f->kernels);
}

/* Full of NaN: nothing may count on zeros. */
static void take(fixture *f, int32_t max_rows, kds_net_use use)
{
    take_filled(f, max_rows, use, 0xFF);
}

static void make(fixture *f, const char *name, kds_shortcut shortcut, kds_data_shape shape)
{
    kds_error err = KDS_ERROR_INIT;
    f->recipe = recipe_of(name, shortcut);
    KDS_TEST_OK(kds_kernels_select(&f->kernels, &err), &err);
    KDS_TEST_OK(kds_model_make(&f->recipe, &shape, &f->model, &err), &err);
}

static void set_up(fixture *f, const char *name)
{
    make(f, name, KDS_SHORTCUT_ZERO_PAD, features(N_FEATURES, N_CLASSES));
    take(f, MAX_ROWS, KDS_NET_DIFFERENTIATES);
    kds_net_init(f->net, 5, 0);
}

static void tear_down(fixture *f)
{
    kds_arena_clear(&f->arena);
}

/* Rows of numbers, one stream each: a row is the same wherever it stands. */
static void fill_row(fixture *f, int32_t row, uint32_t which)
{
    kds_rng rng = kds_rng_make(77, KDS_RNG_GENERATE, which);
    float *x = kds_net_input(f->net) + row * kds_net_input_pitch(f->net);
    for (int32_t j = 0; j < f->model.n_features; j++) {
        x[j] = (float)kds_rng_normal(&rng);
    }
}

static void fill_rows(fixture *f, int32_t n_rows, uint32_t first)
{
    for (int32_t i = 0; i < n_rows; i++) {
        fill_row(f, i, first + (uint32_t)i);
    }
}

/* Values that no initialisation makes: biases, scales and offsets too. */
static void make_values(const kds_model *model, float *values)
{
    kds_rng rng = kds_rng_make(9, KDS_RNG_GENERATE, 1000);
    for (int l = 0; l < model->n_layers; l++) {
        const kds_layer *layer = &model->layers[l];
        const int32_t n = layer->channels;
        if (layer->n_weights == 0) {
            continue;
        }
        const double deviation = sqrt(2.0 * n / (double)layer->n_weights);
        float *at = values + layer->weights;
        for (int64_t i = 0; i < layer->n_weights; i++) {
            *at++ = (float)(deviation * kds_rng_normal(&rng));
        }
        for (int32_t j = 0; layer->norm && j < n; j++) {
            *at++ = (float)(0.75 + 0.5 * kds_rng_uniform(&rng));
        }
        for (int32_t j = 0; j < n; j++) {
            *at++ = (float)(0.2 * kds_rng_normal(&rng));
        }
        for (int32_t j = 0; layer->norm && j < n; j++) {
            values[layer->statistics + j] = (float)(0.2 * kds_rng_normal(&rng));
            values[layer->statistics + n + j] = (float)(0.5 + kds_rng_uniform(&rng));
        }
    }
}

static int64_t biases_of(const kds_layer *layer)
{
    return layer->weights + layer->n_weights;
}

/* A gradient with respect to the logits; different for each row and class. */
static void fill_d_logits(int32_t n, float *d_logits)
{
    for (int32_t i = 0; i < n; i++) {
        d_logits[i] = (float)cos(1.7 * i) / 8;
    }
}

/* ---- the same network in double, one example at a time --------------------------------------------------------------- */

typedef struct reference {
    int widths[8]; /* features, hidden layers, classes */
    int n_widths;
} reference;

/* Parameters: for each layer W [n_in][n_out], then b [n_out]. A rectifier behind every layer but the last. */
static void forward_of(const reference *r, const double *parameters, const double *x, double *logits)
{
    double in[MAX_WIDTH], out[MAX_WIDTH];
    const double *at = parameters;
    memcpy(in, x, (size_t)r->widths[0] * sizeof *x);
    for (int l = 1; l < r->n_widths; l++) {
        int n_in = r->widths[l - 1], n_out = r->widths[l];
        for (int j = 0; j < n_out; j++) {
            out[j] = at[n_in * n_out + j];
            for (int i = 0; i < n_in; i++) {
                out[j] += in[i] * at[i * n_out + j];
            }
            if (l < r->n_widths - 1 && out[j] < 0) {
                out[j] = 0;
            }
        }
        at += n_in * n_out + n_out;
        memcpy(in, out, (size_t)n_out * sizeof *in);
    }
    memcpy(logits, in, N_CLASSES * sizeof *logits);
}

/* Some smooth function of the logits that has different derivatives everywhere: sum_ij sin(c_ij + logit_ij). */
static double phase(int i_row, int j)
{
    return 0.7 * i_row + 1.3 * j;
}

static double function_of(const reference *r, const double *parameters, double x[N_ROWS][N_FEATURES])
{
    double sum = 0, logits[N_CLASSES];
    for (int i = 0; i < N_ROWS; i++) {
        forward_of(r, parameters, x[i], logits);
        for (int j = 0; j < N_CLASSES; j++) {
            sum += sin(phase(i, j) + logits[j]);
        }
    }
    return sum;
}

static void gradient_of(const char *name, const reference *r)
{
    fixture f;
    set_up(&f, name);
    kds_rng rng = kds_rng_make(9, KDS_RNG_GENERATE, 0);
    double parameters[4096], x[N_ROWS][N_FEATURES];
    float values[4096], gradient[4096], d_logits[N_ROWS * N_CLASSES];
    int64_t n = f.model.n_parameters;
    int64_t n_wanted = 0;
    for (int l = 1; l < r->n_widths; l++) {
        n_wanted += r->widths[l - 1] * r->widths[l] + r->widths[l];
    }
    assert_int_equal(n, n_wanted);
    assert_int_equal(f.model.n_values, n_wanted);
    for (int64_t p = 0; p < n; p++) { /* biases too, not their zeros */
        values[p] = 0.5f * (float)kds_rng_normal(&rng);
        parameters[p] = (double)values[p];
    }
    kds_net_set_values(f.net, values);
    float *input = kds_net_input(f.net);
    for (int i = 0; i < N_ROWS; i++) {
        for (int j = 0; j < N_FEATURES; j++) {
            input[i * kds_net_input_pitch(f.net) + j] = (float)kds_rng_normal(&rng);
            x[i][j] = (double)input[i * kds_net_input_pitch(f.net) + j];
        }
    }
    const float *logits = kds_net_forward(f.net, N_ROWS, KDS_NET_TRAINS);
    for (int i = 0; i < N_ROWS; i++) {
        double wanted[N_CLASSES];
        forward_of(r, parameters, x[i], wanted);
        for (int j = 0; j < N_CLASSES; j++) {
            KDS_TEST_NEAR((double)logits[i * N_CLASSES + j], wanted[j], 2e-6 * (1 + fabs(wanted[j])));
            d_logits[i * N_CLASSES + j] = (float)cos(phase(i, j) + wanted[j]);
        }
    }
    kds_net_backward(f.net, N_ROWS, d_logits);
    kds_net_get_gradient(f.net, gradient);

    /* Central differences with step h: truncation h^2 f''' / 6 and rounding 1e-16 |f| / h, together below 1e-8 here; the float gradient has
     * relative error 1e-6 of the largest component. A rectifier's kink within h of an example would spoil the difference: with these
     * fixed numbers there is none. */
    const double h = 1e-5;
    double largest = 0, difference[4096];
    for (int64_t p = 0; p < n; p++) {
        double here = parameters[p];
        parameters[p] = here + h;
        double up = function_of(r, parameters, x);
        parameters[p] = here - h;
        double down = function_of(r, parameters, x);
        parameters[p] = here;
        difference[p] = (up - down) / (2 * h);
        largest = fmax(largest, fabs(difference[p]));
    }
    assert_true(largest > 0.1);
    for (int64_t p = 0; p < n; p++) {
        KDS_TEST_NEAR((double)gradient[p], difference[p], 2e-6 * largest);
    }
    tear_down(&f);
}

static void mlp_gradients(void **state)
{
    (void)state;
    gradient_of("mlp", &(reference){{6, 4}, 2});
    gradient_of("mlp:7", &(reference){{6, 7, 4}, 3});
    gradient_of("mlp:16-12", &(reference){{6, 16, 12, 4}, 4});
    gradient_of("mlp:9-5-32-8", &(reference){{6, 9, 5, 32, 8, 4}, 6});
}

/* ---- any table of layers in double, loop by loop as nn.h describes it -------------------------------------------------- */

/* Output of layer `l` at (image, row, column, channel); 0 off the map and for channels that it does not have. */
static double at(const kds_model *model, double *const *out, const double *x, int l, int i, int r, int c, int channel)
{
    const kds_layer *first = &model->layers[0], *layer = l == KDS_INPUT ? NULL : &model->layers[l];
    const int height = layer ? layer->height : first->in_height, width = layer ? layer->width : first->in_width,
              channels = layer ? layer->channels : first->in_channels;
    if (r < 0 || r >= height || c < 0 || c >= width || channel >= channels) {
        return 0;
    }
    const double *image = (layer ? out[l] : x) + (int64_t)i * height * width * channels;
    return image[((int64_t)r * width + c) * channels + channel];
}

/* What the weights, or the window, make of the input. */
static double core_of(const kds_model *model, double *const *out, const double *x, const double *values, int l, int i,
                      int r, int c, int j)
{
    const kds_layer *layer = &model->layers[l];
    const double *w = values + layer->weights + j;
    double sum = 0, largest = -INFINITY;
    switch ((kds_layer_kind)layer->kind) {
    case KDS_LAYER_DENSE:
        for (int row = 0; row < layer->in_height; row++) {
            for (int column = 0; column < layer->in_width; column++) {
                for (int k = 0; k < layer->in_channels; k++, w += layer->channels) {
                    sum += *w * at(model, out, x, layer->input, i, row, column, k);
                }
            }
        }
        return sum;
    case KDS_LAYER_CONVOLUTION:
        for (int row = 0; row < layer->kernel; row++) {
            for (int tap = 0; tap < layer->kernel; tap++) {
                for (int k = 0; k < layer->in_channels; k++, w += layer->channels) {
                    sum += *w * at(model, out, x, layer->input, i, r * layer->stride + row - layer->padding,
                                   c * layer->stride + tap - layer->padding, k);
                }
            }
        }
        return sum;
    case KDS_LAYER_MAX_POOL:
    case KDS_LAYER_AVERAGE_POOL:
        for (int row = 0; row < layer->kernel; row++) {
            for (int column = 0; column < layer->kernel; column++) {
                const double value = at(model, out, x, layer->input, i, r * layer->kernel + row,
                                        c * layer->kernel + column, j);
                sum += value;
                largest = fmax(largest, value);
            }
        }
        return layer->kind == KDS_LAYER_MAX_POOL ? largest : sum / (layer->kernel * layer->kernel);
    }
    return NAN;
}

/* Normalisation of one channel, by the batch or by the running statistics. */
static void normalise(const kds_model *model, const double *values, int l, int j, int64_t n_pixels, bool trains,
                      double *out)
{
    const kds_layer *layer = &model->layers[l];
    const int32_t n = layer->channels;
    double mean = values[layer->statistics + j], variance = values[layer->statistics + n + j];
    if (trains) {
        mean = variance = 0;
        for (int64_t p = 0; p < n_pixels; p++) {
            mean += out[p * n + j] / (double)n_pixels;
        }
        for (int64_t p = 0; p < n_pixels; p++) {
            variance += (out[p * n + j] - mean) * (out[p * n + j] - mean) / (double)n_pixels;
        }
    }
    const double scale = values[biases_of(layer) + j] / sqrt(variance + (double)model->norm_epsilon);
    for (int64_t p = 0; p < n_pixels; p++) {
        out[p * n + j] = (out[p * n + j] - mean) * scale + values[biases_of(layer) + n + j];
    }
}

/* All layers on n_rows images; out[l] is layer l's output. */
static void forward_double(const kds_model *model, const double *values, const double *x, int n_rows, bool trains,
                           double *const *out)
{
    for (int l = 0; l < model->n_layers; l++) {
        const kds_layer *layer = &model->layers[l];
        const int n = layer->channels;
        const int64_t n_pixels = (int64_t)n_rows * layer->height * layer->width;
        for (int64_t p = 0; p < n_pixels; p++) {
            const int i = (int)(p / (layer->height * layer->width)), r = (int)(p / layer->width % layer->height),
                      c = (int)(p % layer->width);
            for (int j = 0; j < n; j++) {
                const double bias = layer->n_weights > 0 && !layer->norm ? values[biases_of(layer) + j] : 0;
                out[l][p * n + j] = core_of(model, out, x, values, l, i, r, c, j) + bias;
            }
        }
        for (int j = 0; layer->norm && j < n; j++) {
            normalise(model, values, l, j, n_pixels, trains, out[l]);
        }
        for (int64_t p = 0; p < n_pixels; p++) {
            const int i = (int)(p / (layer->height * layer->width)), r = (int)(p / layer->width % layer->height),
                      c = (int)(p % layer->width);
            for (int j = 0; j < n; j++) {
                double *value = &out[l][p * n + j];
                if (layer->skip != KDS_NO_SKIP) {
                    const int step = layer->skip >= 0 && model->layers[layer->skip].height > layer->height ? 2 : 1;
                    *value += at(model, out, x, layer->skip, i, step * r, step * c, j);
                }
                *value = layer->relu ? fmax(*value, 0) : *value;
            }
        }
    }
}

enum { N_IMAGES = 5 };

static double function_double(const kds_model *model, const double *values, const double *x, double *const *out)
{
    forward_double(model, values, x, N_IMAGES, true, out);
    const double *logits = out[model->n_layers - 1];
    double sum = 0;
    for (int i = 0; i < N_IMAGES; i++) {
        for (int j = 0; j < model->n_classes; j++) {
            sum += sin(phase(i, j) + logits[i * model->n_classes + j]);
        }
    }
    return sum;
}

/*
 * The derivative along `direction` (a unit vector of the parameters `first` .. `first + n`) against the differences of the function in double.
 *
 * Step h = 1e-7: the central difference is off by h^2 f''' / 6, nothing, and by the rounding of f (a few units, sums of thousands of
 * terms: 1e-15 relative) 1e-15 * 10 / h = 1e-7. Where a rectifier or a maximum changes its mind within h, the slopes of both sides differ by
 * more than the h f'' of a smooth function, and the central difference may be off by half of that: such a direction is not used (false).
 */
static bool derivative_agrees(const kds_model *model, double *values, const double *x, double *const *out,
                              int64_t first, int64_t n, const double *direction, const float *gradient, double allowed)
{
    const double h = 1e-7;
    double *kept = test_calloc((size_t)n, sizeof *kept), wanted = 0, f[3];
    memcpy(kept, values + first, (size_t)n * sizeof *kept);
    for (int k = 0; k < 3; k++) {
        for (int64_t i = 0; i < n; i++) {
            values[first + i] = kept[i] + (k - 1) * h * direction[i];
        }
        f[k] = function_double(model, values, x, out);
    }
    memcpy(values + first, kept, (size_t)n * sizeof *kept);
    test_free(kept);
    for (int64_t i = 0; i < n; i++) {
        wanted += direction[i] * (double)gradient[first + i];
    }
    if (fabs(f[2] - 2 * f[1] + f[0]) / h > 1e-3) {
        return false;
    }
    KDS_TEST_NEAR(wanted, (f[2] - f[0]) / (2 * h), allowed);
    return true;
}

/* Forward in both uses; the gradient of each block of parameters along itself, which shows its length, and along random signs, which
 * shows every entry. */
static void check_model(const char *name, kds_shortcut shortcut, kds_data_shape shape)
{
    static fixture f;
    print_message("%s, %d x %d x %d, %s\n", name, shape.height, shape.width, shape.channels,
                  shortcut == KDS_SHORTCUT_PROJECTION ? "projection" : "zero_pad");
    make(&f, name, shortcut, shape);
    take(&f, MAX_ROWS, KDS_NET_DIFFERENTIATES);
    kds_net_init(f.net, 5, 0);
    const kds_model *model = &f.model;
    const int64_t n_values = model->n_values, n_x = (int64_t)N_IMAGES * model->n_features;
    float *values = test_calloc((size_t)n_values, sizeof *values),
          *gradient = test_calloc((size_t)n_values, sizeof *gradient);
    double *reference_values = test_calloc((size_t)n_values, sizeof *reference_values),
           *direction = test_calloc((size_t)n_values, sizeof *direction), *x = test_calloc((size_t)n_x, sizeof *x);
    double *out[KDS_MAX_MODEL_LAYERS];
    for (int l = 0; l < model->n_layers; l++) {
        const kds_layer *layer = &model->layers[l];
        out[l] = test_calloc((size_t)N_IMAGES * (size_t)(layer->height * layer->width * layer->channels), sizeof **out);
    }
    make_values(model, values);
    kds_net_set_values(f.net, values);
    for (int64_t i = 0; i < n_values; i++) {
        reference_values[i] = (double)values[i];
    }
    fill_rows(&f, N_IMAGES, 0);
    for (int64_t i = 0; i < n_x; i++) {
        x[i] = (double)kds_net_input(f.net)[i / model->n_features * kds_net_input_pitch(f.net) + i % model->n_features];
    }

    float d_logits[N_IMAGES * N_CLASSES];
    for (int use = 1; use >= 0; use--) {
        const bool trains = use == KDS_NET_TRAINS;
        const float *logits = kds_net_forward(f.net, N_IMAGES, trains ? KDS_NET_TRAINS : KDS_NET_EVALUATES);
        forward_double(model, reference_values, x, N_IMAGES, trains, out);
        const double *wanted = out[model->n_layers - 1];
        for (int i = 0; i < N_IMAGES * N_CLASSES; i++) {
            KDS_TEST_NEAR((double)logits[i], wanted[i], 1e-5 * (1 + fabs(wanted[i])));
            d_logits[i] = (float)cos(phase(i / N_CLASSES, i % N_CLASSES) + wanted[i]);
        }
    }
    kds_net_backward(f.net, N_IMAGES, d_logits);
    kds_net_get_gradient(f.net, gradient);

    kds_rng rng = kds_rng_make(3, KDS_RNG_GENERATE, 0);
    for (int l = 0; l < model->n_layers; l++) {
        const kds_layer *layer = &model->layers[l];
        const int64_t first[] = {layer->weights, biases_of(layer), biases_of(layer) + layer->channels};
        for (int part = 0; layer->n_weights > 0 && part < (layer->norm ? 3 : 2); part++) {
            const int64_t n = part == 0 ? layer->n_weights : layer->channels;
            double norm = 0;
            for (int64_t i = 0; i < n; i++) {
                norm += (double)gradient[first[part] + i] * (double)gradient[first[part] + i];
            }
            norm = sqrt(norm);
            assert_true(norm > 1e-3);
            /* The float gradient has relative errors of 1e-6 to 1e-5 (tests/golden measures them); along random signs, both it and its
             * error look smaller by the square root of n. */
            for (int64_t i = 0; i < n; i++) {
                direction[i] = (double)gradient[first[part] + i] / norm;
            }
            bool along_itself = derivative_agrees(model, reference_values, x, out, first[part], n, direction, gradient,
                                                  2e-5 * norm + 3e-7);
            bool along_signs = false;
            for (int attempt = 0; attempt < 4 && !along_signs; attempt++) {
                for (int64_t i = 0; i < n; i++) {
                    direction[i] = (kds_rng_below(&rng, 2) ? 1 : -1) / sqrt((double)n);
                }
                along_signs = derivative_agrees(model, reference_values, x, out, first[part], n, direction, gradient,
                                                2e-5 * norm / sqrt((double)n) + 3e-7);
            }
            (void)along_itself; /* there is but one such direction; a kink there is no fault */
            assert_true(along_signs);
        }
    }
    for (int l = 0; l < model->n_layers; l++) {
        test_free(out[l]);
    }
    test_free(values);
    test_free(gradient);
    test_free(reference_values);
    test_free(direction);
    test_free(x);
    tear_down(&f);
}

static void convolutional_gradients(void **state)
{
    (void)state;
    check_model("lenet5", KDS_SHORTCUT_ZERO_PAD, images(12, 12, 1, N_CLASSES));
    check_model("lenet5", KDS_SHORTCUT_ZERO_PAD, images(17, 17, 3, N_CLASSES));
    check_model("lenet5", KDS_SHORTCUT_ZERO_PAD, images(8, 8, 3, N_CLASSES));
    check_model("resnet8", KDS_SHORTCUT_PROJECTION, images(8, 8, 3, N_CLASSES));
    check_model("resnet8x5", KDS_SHORTCUT_PROJECTION, images(9, 9, 1, N_CLASSES));
    check_model("resnet8", KDS_SHORTCUT_ZERO_PAD, images(8, 8, 3, N_CLASSES));
    check_model("resnet14x20", KDS_SHORTCUT_ZERO_PAD, images(8, 8, 1, N_CLASSES));
    check_model("resnet8x5", KDS_SHORTCUT_ZERO_PAD,
                images(9, 9, 1, N_CLASSES)); /* shortcuts from 9 to 5, from 5 to 3 pixels */
    check_model("resnet8x5", KDS_SHORTCUT_ZERO_PAD, images(10, 10, 3, N_CLASSES));
}

/* ---- names and sizes -------------------------------------------------------------------------------------------------- */

static void mlp_table(void **state)
{
    (void)state;
    static kds_model model;
    kds_error err = KDS_ERROR_INIT;
    kds_recipe recipe = recipe_of("mlp:16-12", KDS_SHORTCUT_ZERO_PAD);
    kds_data_shape shape = features(20, 5);
    KDS_TEST_OK(kds_model_make(&recipe, &shape, &model, &err), &err);
    assert_int_equal(model.n_layers, 3);
    assert_int_equal(model.n_features, 20);
    assert_int_equal(model.n_classes, 5);
    assert_int_equal(model.n_parameters, 20 * 16 + 16 + 16 * 12 + 12 + 12 * 5 + 5);
    assert_int_equal(model.n_values, model.n_parameters);
    assert_int_equal(model.layers[0].weights, 0);
    assert_int_equal(biases_of(&model.layers[0]), 320);
    assert_int_equal(model.layers[1].weights, 336);
    assert_int_equal(biases_of(&model.layers[2]), 336 + 192 + 12 + 60);
    assert_true(model.layers[0].relu && model.layers[1].relu && !model.layers[2].relu);
    KDS_TEST_NEAR(kds_model_forward_macs(&model), 320 + 192 + 60, 0);
    /* forward, weight gradients of all layers, activation gradients of all but the first */
    KDS_TEST_NEAR(kds_model_training_macs(&model), 2 * (320 + 192 + 60) + 192 + 60, 0);
    recipe = recipe_of("cnn:3", KDS_SHORTCUT_ZERO_PAD);
    assert_int_equal(kds_model_make(&recipe, &shape, &model, &err), KDS_GRID);
}

static void parameter_counts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        kds_shortcut shortcut;
        int32_t size, channels, n_classes;
        int64_t n_parameters, n_normalised; /* channels with normalisation */
    } cases[] = {
        /* He et al. print 0.27 M and 0.85 M for option A; the normalisations of resnet20 have 16 * 7 + 32 * 6 + 64 * 6 channels */
        {"resnet20", KDS_SHORTCUT_ZERO_PAD, 32, 3, 10, 269722, 688},
        {"resnet20", KDS_SHORTCUT_PROJECTION, 32, 3, 10, 272474, 688 + 96},
        {"resnet56", KDS_SHORTCUT_ZERO_PAD, 32, 3, 10, 853018, 16 * 19 + 32 * 18 + 64 * 18},
        {"resnet56", KDS_SHORTCUT_PROJECTION, 32, 3, 10, 855770, 16 * 19 + 32 * 18 + 64 * 18 + 96},
        {"resnet20", KDS_SHORTCUT_ZERO_PAD, 28, 1, 10, 269722 - 2 * 9 * 16, 688},
        {"resnet20", KDS_SHORTCUT_ZERO_PAD, 32, 3, 100, 269722 + 90 * 65, 688},
        {"resnet8x1", KDS_SHORTCUT_ZERO_PAD, 8, 1, 2, 9 * (1 + 1 + 1 + 2 + 4 + 8 + 16) + 2 * (3 + 4 + 8) + 4 * 2 + 2,
         15},
        {"lenet5", KDS_SHORTCUT_ZERO_PAD, 28, 1, 10, 61706, 0},
        {"lenet5", KDS_SHORTCUT_ZERO_PAD, 32, 3, 10, 61706 + 25 * 2 * 6, 0},
    };
    static kds_model model;
    kds_error err = KDS_ERROR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const kds_recipe recipe = recipe_of(cases[i].name, cases[i].shortcut);
        const kds_data_shape shape = images(cases[i].size, cases[i].size, cases[i].channels, cases[i].n_classes);
        KDS_TEST_OK(kds_model_make(&recipe, &shape, &model, &err), &err);
        assert_int_equal(model.n_parameters, cases[i].n_parameters);
        assert_int_equal(model.n_values, cases[i].n_parameters + 2 * cases[i].n_normalised);
        int64_t n = 0, n_statistics = 0;
        for (int l = 0; l < model.n_layers; l++) { /* one layer's values follow another's */
            const kds_layer *layer = &model.layers[l];
            assert_true(layer->input < l && layer->skip < l);
            if (layer->n_weights > 0) {
                assert_int_equal(layer->weights, n);
                n += layer->n_weights + (layer->norm ? 2 : 1) * layer->channels;
            }
            if (layer->norm) {
                assert_int_equal(layer->statistics, model.n_parameters + n_statistics);
                n_statistics += 2 * layer->channels;
            }
        }
        assert_int_equal(n, model.n_parameters);
        assert_int_equal(n + n_statistics, model.n_values);
        const kds_layer *last = &model.layers[model.n_layers - 1];
        assert_int_equal(last->kind, KDS_LAYER_DENSE);
        assert_int_equal(last->channels, cases[i].n_classes);
        assert_false(last->relu || last->norm);
    }
}

/* Along one side of n pixels, a 3x3 convolution with padding 1 has 3 n - 2 taps on the image; with stride 2 and n even, 3 n / 2 - 1. */
static void macs_of_resnet20(void **state)
{
    (void)state;
    static kds_model model;
    kds_error err = KDS_ERROR_INIT;
    const kds_data_shape shape = images(32, 32, 3, 10);
    const double side[] = {94 * 94, 46 * 46, 22 * 22}, halving[] = {0, 47 * 47, 23 * 23};
    const double first = side[0] * 3 * 16;
    double all = first + 640;
    for (int stage = 0; stage < 3; stage++) {
        const double n = 16 << stage;
        all += (stage == 0 ? 6 : 5) * side[stage] * n * n + halving[stage] * n / 2 * n;
    }
    for (int projects = 0; projects < 2; projects++) {
        const kds_recipe recipe = recipe_of("resnet20", projects ? KDS_SHORTCUT_PROJECTION : KDS_SHORTCUT_ZERO_PAD);
        KDS_TEST_OK(kds_model_make(&recipe, &shape, &model, &err), &err);
        all += projects ? 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64 : 0;
        KDS_TEST_NEAR(kds_model_forward_macs(&model), all, 0);
        KDS_TEST_NEAR(kds_model_training_macs(&model), 3 * all - first, 0);
        /* with the taps on padding: the 41 million that others count */
        double padded = 0;
        for (int l = 0; l < model.n_layers; l++) {
            padded += (double)model.layers[l].n_weights * model.layers[l].height * model.layers[l].width;
        }
        KDS_TEST_NEAR(padded, 40551040 + (projects ? 131072 + 131072 : 0), 0);
    }
}

static void data_that_do_not_fit(void **state)
{
    (void)state;
    static kds_model model;
    static const char *const names[] = {"lenet5", "resnet8", "resnet20x32"};
    const kds_data_shape bad[] = {features(784, 10),     images(7, 7, 1, 10),   images(65, 65, 3, 10),
                                  images(16, 16, 2, 10), images(16, 16, 4, 10), images(16, 17, 1, 10),
                                  images(17, 16, 3, 10), images(1, 1, 1, 10),   images(1, 784, 1, 10)};
    const kds_data_shape good[] = {images(8, 8, 1, 10), images(64, 64, 3, 10), images(13, 13, 3, 2)};
    for (size_t m = 0; m < sizeof names / sizeof *names; m++) {
        const kds_recipe recipe = recipe_of(names[m], KDS_SHORTCUT_ZERO_PAD);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            kds_error err = KDS_ERROR_INIT;
            assert_int_equal(kds_model_make(&recipe, &bad[i], &model, &err), KDS_GRID);
            assert_non_null(strstr(err.message, names[m]));
            assert_true(err.hint[0] != '\0');
        }
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
            kds_error err = KDS_ERROR_INIT;
            KDS_TEST_OK(kds_model_make(&recipe, &good[i], &model, &err), &err);
            for (int l = 0; l < model.n_layers; l++) {
                assert_true(model.layers[l].height > 0 && model.layers[l].width > 0);
            }
        }
    }
    const kds_recipe mlp = recipe_of("mlp:3", KDS_SHORTCUT_ZERO_PAD);
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(kds_model_make(&mlp, &bad[5], &model, &err), &err); /* any data do for an mlp */
    assert_int_equal(model.n_parameters, 16 * 17 * 3 + 3 + 3 * 10 + 10);
    const kds_recipe deepest = recipe_of("resnet218", KDS_SHORTCUT_PROJECTION);
    const kds_data_shape shape = images(32, 32, 3, 10);
    KDS_TEST_OK(kds_model_make(&deepest, &shape, &model, &err), &err);
    assert_true(model.n_layers <= KDS_MAX_MODEL_LAYERS);
}

/* ---- what a net does ---------------------------------------------------------------------------------------------------- */

typedef struct kind_of_net {
    const char *name;
    kds_shortcut shortcut;
    kds_data_shape shape;
} kind_of_net;

static kind_of_net kind(int i)
{
    const kind_of_net kinds[] = {{"mlp:33-17", KDS_SHORTCUT_ZERO_PAD, features(21, N_CLASSES)},
                                 {"lenet5", KDS_SHORTCUT_ZERO_PAD, images(14, 14, 1, N_CLASSES)},
                                 {"resnet8x5", KDS_SHORTCUT_ZERO_PAD, images(9, 9, 3, N_CLASSES)},
                                 {"resnet8", KDS_SHORTCUT_ZERO_PAD, images(16, 16, 1, N_CLASSES)},
                                 {"resnet8x17", KDS_SHORTCUT_PROJECTION, images(12, 12, 3, N_CLASSES)}};
    return i < (int)(sizeof kinds / sizeof *kinds) ? kinds[i] : (kind_of_net){0};
}

static void make_kind(fixture *f, int i)
{
    const kind_of_net k = kind(i);
    make(f, k.name, k.shortcut, k.shape);
}

static void fill_values(fixture *f)
{
    float *values = test_calloc((size_t)f->model.n_values, sizeof *values);
    make_values(&f->model, values);
    kds_net_set_values(f->net, values);
    test_free(values);
}

/* The same bits. Where the table multiplies with OpenBLAS only the same numbers: its cores may sum a row otherwise when it is one of few
 * (Prescott's does), and it promises nothing about that. 64 ulp of the largest logit: a few for each product on a row's way. */
static void assert_rows(const kds_kernels *kernels, const float *rows, const float *expected, int n)
{
    if (kds_kernels_blas(kernels)[0] == '\0') {
        assert_memory_equal(rows, expected, (size_t)n * sizeof *rows);
        return;
    }
    double largest = 0;
    for (int i = 0; i < n; i++) {
        const double size = fabs((double)expected[i]);
        largest = size > largest ? size : largest;
    }
    for (int i = 0; i < n; i++) {
        assert_true(fabs((double)rows[i] - (double)expected[i]) <= 64 * 0x1p-24 * largest);
    }
}

/* Evaluation: the logits of a row are the same bits whatever batch it is in, whatever its neighbours hold, whatever net it was made for,
 * at every level. */
static void rows_are_independent(void **state)
{
    (void)state;
    enum { MANY = 37 };
    static fixture f, g;
    for (int isa = 0; isa < KDS_N_ISAS; isa++) {
        for (int i = 0; kind(i).name; i++) {
            make_kind(&f, i);
            if (kds_kernels_level((kds_isa)isa, &f.kernels, NULL) != KDS_OK) {
                continue;
            }
            take(&f, MANY, KDS_NET_TRAINS);
            kds_net_init(f.net, 1, 0);
            fill_values(&f);
            fill_rows(&f, MANY, 0);
            float all[MANY * N_CLASSES];
            memcpy(all, kds_net_forward(f.net, MANY, KDS_NET_EVALUATES), sizeof all);
            for (int32_t n_rows = 1; n_rows < MANY; n_rows = n_rows * 2 + 1) {
                for (int32_t shift = 0; shift + n_rows <= MANY; shift += 5 * KDS_TEST_STRIDE) {
                    fill_rows(&f, n_rows, (uint32_t)shift);
                    assert_rows(&f.kernels, kds_net_forward(f.net, n_rows, KDS_NET_EVALUATES), all + shift * N_CLASSES,
                                n_rows * N_CLASSES);
                }
            }
            /* with a neighbour that is not finite */
            fill_rows(&f, MANY, 0);
            kds_net_input(f.net)[3 * kds_net_input_pitch(f.net) + 4] = NAN;
            const float *logits = kds_net_forward(f.net, MANY, KDS_NET_EVALUATES);
            assert_rows(&f.kernels, logits, all, 3 * N_CLASSES);
            assert_rows(&f.kernels, logits + 4 * N_CLASSES, all + 4 * N_CLASSES, (MANY - 4) * N_CLASSES);
            for (int j = 0; j < N_CLASSES; j++) {
                assert_true(isnan(logits[3 * N_CLASSES + j]));
            }
            /* in a net that only evaluates, smaller */
            g = f;
            take(&g, 10, KDS_NET_EVALUATES);
            fill_values(&g);
            assert_true(g.arena.size < f.arena.size);
            fill_rows(&g, 10, 20);
            assert_rows(&g.kernels, kds_net_forward(g.net, 10, KDS_NET_EVALUATES), all + 20 * N_CLASSES,
                        10 * N_CLASSES);
            tear_down(&g);
            tear_down(&f);
        }
    }
}

/* Training on fewer rows than there is room for: the same bits as in a net made for so many, whatever was in the other rows. */
static void smaller_batches(void **state)
{
    (void)state;
    static fixture f, g;
    float d_logits[MAX_ROWS * N_CLASSES];
    fill_d_logits(MAX_ROWS * N_CLASSES, d_logits);
    for (int i = 0; kind(i).name; i++) {
        make_kind(&f, i);
        g = f;
        take(&f, MAX_ROWS, KDS_NET_DIFFERENTIATES);
        take(&g, 5, KDS_NET_DIFFERENTIATES);
        kds_net_init(f.net, 1, 0);
        kds_net_init(g.net, 1, 0);
        fill_values(&f);
        fill_values(&g);
        fill_rows(&f, MAX_ROWS, 100);
        kds_net_input(f.net)[7 * kds_net_input_pitch(f.net)] = NAN; /* in a row that the next batch does not have */
        kds_net_forward(f.net, MAX_ROWS, KDS_NET_TRAINS);
        kds_net_backward(f.net, MAX_ROWS, d_logits);
        fill_values(&f); /* the running statistics had become NaN */
        fill_rows(&f, 5, 0);
        fill_rows(&g, 5, 0);
        assert_memory_equal(kds_net_forward(f.net, 5, KDS_NET_TRAINS), kds_net_forward(g.net, 5, KDS_NET_TRAINS),
                            5 * N_CLASSES * sizeof(float));
        kds_net_backward(f.net, 5, d_logits);
        kds_net_backward(g.net, 5, d_logits);
        const size_t n = (size_t)f.model.n_values;
        float *a = test_calloc(n, sizeof *a), *b = test_calloc(n, sizeof *b);
        kds_net_get_gradient(f.net, a);
        kds_net_get_gradient(g.net, b);
        assert_memory_equal(a, b, (size_t)f.model.n_parameters * sizeof *a);
        kds_net_get_values(f.net, a);
        kds_net_get_values(g.net, b);
        assert_memory_equal(a, b, n * sizeof *a);
        test_free(a);
        test_free(b);
        tear_down(&f);
        tear_down(&g);
    }
}

static void train(fixture *f, int first_step, int n_steps)
{
    const kds_recipe recipe = {.momentum = 0.9, .nesterov = 1, .weight_decay = 0.01};
    float d_logits[MAX_ROWS * N_CLASSES];
    for (int step = first_step; step < first_step + n_steps; step++) {
        const int32_t n_rows = step % 2 ? N_ROWS : MAX_ROWS;
        fill_rows(f, n_rows, (uint32_t)step * MAX_ROWS);
        const float *logits = kds_net_forward(f->net, n_rows, KDS_NET_TRAINS);
        for (int32_t i = 0; i < n_rows * N_CLASSES; i++) {
            d_logits[i] = logits[i] / 64;
        }
        if (step % 3 == 0) { /* both ways */
            kds_net_backward(f->net, n_rows, d_logits);
            kds_net_step(f->net, &recipe, 0.002);
        } else {
            kds_net_backward_step(f->net, n_rows, d_logits, &recipe, 0.002);
        }
    }
}

/* Values out and in again; the state carries a training on, velocity and all. */
static void values_and_state(void **state)
{
    (void)state;
    static fixture f, g;
    for (int i = 0; kind(i).name; i++) {
        make_kind(&f, i);
        g = f;
        take(&f, MAX_ROWS, KDS_NET_DIFFERENTIATES);
        take(&g, MAX_ROWS, KDS_NET_DIFFERENTIATES);
        const size_t n = (size_t)f.model.n_values;
        float *a = test_calloc(n, sizeof *a), *b = test_calloc(n, sizeof *b);
        kds_net_init(f.net, 1, 0);
        kds_net_init(g.net, 2, 0);
        make_values(&f.model, a);
        kds_net_set_values(f.net, a);
        kds_net_get_values(f.net, b);
        assert_memory_equal(a, b, n * sizeof *a);

        train(&f, 0, 4);
        kds_net_get_values(f.net, b);
        for (int l = 0; l < f.model.n_layers; l++) { /* every layer has learnt something */
            const kds_layer *layer = &f.model.layers[l];
            assert_true(layer->n_weights == 0 || memcmp(a + layer->weights, b + layer->weights, 4 * sizeof *a) != 0);
        }
        kds_net_set_values(g.net, b);
        fill_rows(&f, 3, 0);
        fill_rows(&g, 3, 0);
        assert_memory_equal(kds_net_forward(f.net, 3, KDS_NET_EVALUATES), kds_net_forward(g.net, 3, KDS_NET_EVALUATES),
                            3 * N_CLASSES * sizeof(float));

        kds_net_init(g.net, 2, 0);
        const kds_net_state from = kds_net_get_state(f.net), to = kds_net_get_state(g.net);
        assert_int_equal(from.size, to.size);
        assert_true(from.size >= (n + (size_t)f.model.n_parameters) * sizeof(float));
        memcpy(to.bytes, from.bytes, from.size);
        train(&f, 4, 3);
        train(&g, 4, 3);
        kds_net_get_values(f.net, a);
        kds_net_get_values(g.net, b);
        assert_memory_equal(a, b, n * sizeof *a);
        for (size_t k = 0; k < n; k++) {
            assert_true(isfinite(a[k]));
        }
        test_free(a);
        test_free(b);
        tear_down(&f);
        tear_down(&g);
    }
}

/* Logits, gradient, values and every byte of the state are the same bits whatever the memory held before, and whether the gradient of
 * dense weights goes through memory or not. */
static void memory_and_use(void **state)
{
    (void)state;
    enum { N_NETS = 3, MOST = 33 };
    static const struct {
        kds_net_use use;
        int byte;
    } nets[N_NETS] = {{KDS_NET_DIFFERENTIATES, 0x00}, {KDS_NET_DIFFERENTIATES, 0xFF}, {KDS_NET_TRAINS, 0xFF}};
    const kind_of_net kinds[] = {{"mlp:256", KDS_SHORTCUT_ZERO_PAD, features(21, N_CLASSES)},
                                 {"mlp:8", KDS_SHORTCUT_ZERO_PAD, features(256, N_CLASSES)},
                                 {"lenet5", KDS_SHORTCUT_ZERO_PAD, images(14, 14, 1, N_CLASSES)},
                                 {"resnet8x10", KDS_SHORTCUT_ZERO_PAD, images(8, 8, 3, N_CLASSES)},
                                 {"resnet8", KDS_SHORTCUT_PROJECTION, images(9, 9, 1, N_CLASSES)}};
    static const int32_t batches[] = {5, 1, MOST, 5};
    const kds_recipe recipe = {.momentum = 0.9, .nesterov = 1, .weight_decay = 0.01, .decay_biases = 1};
    static fixture f[N_NETS];
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        float *gradient[N_NETS], *values[N_NETS];
        for (int i = 0; i < N_NETS; i++) {
            make(&f[i], kinds[k].name, kinds[k].shortcut, kinds[k].shape);
            take_filled(&f[i], MOST, nets[i].use, nets[i].byte);
            kds_net_init(f[i].net, 3, 0);
            gradient[i] = test_calloc((size_t)f[i].model.n_parameters, sizeof(float));
            values[i] = test_calloc((size_t)f[i].model.n_values, sizeof(float));
        }
        const size_t n_values = (size_t)f[0].model.n_values, n_parameters = (size_t)f[0].model.n_parameters;
        assert_true(f[2].arena.size < f[1].arena.size);
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            const float *logits[N_NETS];
            float d_logits[MOST * N_CLASSES];
            for (int i = 0; i < N_NETS; i++) {
                fill_rows(&f[i], batches[b], (uint32_t)b * MOST);
                logits[i] = kds_net_forward(f[i].net, batches[b], KDS_NET_TRAINS);
                assert_memory_equal(logits[i], logits[0], (size_t)batches[b] * N_CLASSES * sizeof(float));
                for (int32_t j = 0; j < batches[b] * N_CLASSES; j++) {
                    d_logits[j] = logits[0][j] / 64;
                }
                if (nets[i].use == KDS_NET_TRAINS || b % 2) {
                    kds_net_backward_step(f[i].net, batches[b], d_logits, &recipe, 0.01);
                    continue;
                }
                kds_net_backward(f[i].net, batches[b], d_logits);
                kds_net_get_gradient(f[i].net, gradient[i]);
                assert_memory_equal(gradient[i], gradient[0], n_parameters * sizeof(float));
                kds_net_step(f[i].net, &recipe, 0.01);
            }
        }
        for (int i = 0; i < N_NETS; i++) {
            kds_net_get_values(f[i].net, values[i]);
            assert_memory_equal(values[i], values[0], n_values * sizeof(float));
            const kds_net_state mine = kds_net_get_state(f[i].net), first = kds_net_get_state(f[0].net);
            assert_int_equal(mine.size, first.size);
            assert_memory_equal(mine.bytes, first.bytes, mine.size);
            assert_memory_equal(kds_net_forward(f[i].net, MOST, KDS_NET_EVALUATES),
                                kds_net_forward(f[0].net, MOST, KDS_NET_EVALUATES), MOST * N_CLASSES * sizeof(float));
        }
        for (size_t j = 0; j < n_values; j++) {
            assert_true(isfinite(values[0][j]));
        }
        for (int i = 0; i < N_NETS; i++) {
            test_free(gradient[i]);
            test_free(values[i]);
            tear_down(&f[i]);
        }
    }
}

/* W ~ N(0, 2 / K), biases and offsets 0, scales 1, running means 0 and variances 1; a pure function of (seed, stream, layer, position). */
static void initialisation(void **state)
{
    (void)state;
    const struct {
        const char *name;
        kds_data_shape shape;
    } cases[] = {{"mlp:2000-30", {.n_features = 6, .n_classes = 4}},
                 {"resnet8x20", images(16, 16, 3, 4)},
                 {"lenet5", images(28, 28, 1, 4)}};
    static fixture f, g;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make(&f, cases[i].name, KDS_SHORTCUT_PROJECTION, cases[i].shape);
        g = f;
        take(&f, 2, KDS_NET_TRAINS);
        take(&g, 2, KDS_NET_TRAINS);
        kds_net_init(f.net, 5, 0);
        kds_net_init(g.net, 5, 0);
        const size_t size = (size_t)f.model.n_values * sizeof(float);
        float *a = test_malloc(size), *b = test_malloc(size);
        kds_net_get_values(f.net, a);
        kds_net_get_values(g.net, b);
        assert_memory_equal(a, b, size);
        for (int l = 0; l < f.model.n_layers; l++) {
            const kds_layer *layer = &f.model.layers[l];
            if (layer->n_weights == 0) {
                continue;
            }
            double sum = 0, squares = 0, n = (double)layer->n_weights, variance = 2.0 * layer->channels / n;
            for (int64_t k = layer->weights; k < biases_of(layer); k++) {
                sum += (double)a[k];
                squares += (double)a[k] * (double)a[k];
            }
            /* five standard deviations of mean and variance */
            KDS_TEST_NEAR(sum / n, 0, 5 * sqrt(variance / n));
            KDS_TEST_NEAR(squares / n, variance, 5 * variance * sqrt(2 / n));
            const float *vectors = a + biases_of(layer), *statistics = a + layer->statistics;
            for (int32_t j = 0; j < layer->channels; j++) {
                assert_true(vectors[j] == (layer->norm ? 1.0f : 0.0f));
                assert_true(!layer->norm || (vectors[layer->channels + j] == 0.0f && statistics[j] == 0.0f &&
                                             statistics[layer->channels + j] == 1.0f));
            }
        }
        const struct {
            uint64_t seed;
            uint32_t stream;
        } other[] = {{6, 0}, {5, 1}};
        for (int k = 0; k < 2; k++) {
            kds_net_init(g.net, other[k].seed, other[k].stream);
            kds_net_get_values(g.net, b);
            for (int l = 0; l < f.model.n_layers; l++) { /* no layer has another's numbers, of either stream */
                for (int m = 0; m < f.model.n_layers; m++) {
                    const kds_layer *mine = &f.model.layers[l], *its = &g.model.layers[m];
                    if (mine->n_weights > 0 && its->n_weights > 0) {
                        double x = (double)a[mine->weights] * sqrt((double)mine->n_weights / mine->channels / 2);
                        double y = (double)b[its->weights] * sqrt((double)its->n_weights / its->channels / 2);
                        assert_true(fabs(x - y) > 1e-5);
                    }
                }
            }
        }
        /* A new initialisation forgets the velocity: without gradient, nothing moves. */
        float *c = test_malloc(size), d_logits[2 * 4] = {0};
        const kds_recipe recipe = {.momentum = 0.9};
        fill_rows(&f, 2, 0);
        kds_net_forward(f.net, 2, KDS_NET_TRAINS);
        fill_d_logits(8, d_logits);
        kds_net_backward_step(f.net, 2, d_logits, &recipe, 0.1);
        kds_net_init(f.net, 5, 0);
        memset(d_logits, 0, sizeof d_logits);
        kds_net_forward(f.net, 2, KDS_NET_TRAINS);
        kds_net_backward_step(f.net, 2, d_logits, &recipe, 0.1);
        kds_net_get_values(f.net, c);
        assert_memory_equal(a, c, (size_t)f.model.n_parameters * sizeof(float));
        test_free(a);
        test_free(b);
        test_free(c);
        tear_down(&f);
        tear_down(&g);
    }
}

/* Which parameters decay. */
static void decay(void **state)
{
    (void)state;
    static fixture f;
    for (int i = 0; kind(i).name; i++) {
        for (int way = 0; way < 4; way++) {
            make_kind(&f, i);
            take(&f, MAX_ROWS, KDS_NET_DIFFERENTIATES);
            kds_net_init(f.net, 1, 0);
            const bool decays_biases = way & 1;
            const kds_recipe recipe = {.weight_decay = 0.25, .decay_biases = decays_biases};
            float *values = test_calloc((size_t)f.model.n_values, sizeof *values), d_logits[N_ROWS * N_CLASSES] = {0};
            for (int64_t k = 0; k < f.model.n_values; k++) {
                values[k] = 1.0f;
            }
            kds_net_set_values(f.net, values);
            fill_rows(&f, N_ROWS, 0);
            kds_net_forward(f.net, N_ROWS, KDS_NET_TRAINS);
            if (way & 2) {
                kds_net_backward_step(f.net, N_ROWS, d_logits, &recipe, 0.5);
            } else {
                kds_net_backward(f.net, N_ROWS, d_logits);
                kds_net_step(f.net, &recipe, 0.5);
            }
            kds_net_get_values(f.net, values);
            for (int l = 0; l < f.model.n_layers; l++) {
                const kds_layer *layer = &f.model.layers[l];
                const int64_t n = layer->n_weights > 0 ? (layer->norm ? 2 : 1) * layer->channels : 0;
                for (int64_t k = layer->weights; k < biases_of(layer) + n; k++) {
                    assert_true(values[k] == (k < biases_of(layer) || decays_biases ? 0.875f : 1.0f));
                }
            }
            test_free(values);
            tear_down(&f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mlp_gradients),
                                       cmocka_unit_test(convolutional_gradients),
                                       cmocka_unit_test(mlp_table),
                                       cmocka_unit_test(parameter_counts),
                                       cmocka_unit_test(macs_of_resnet20),
                                       cmocka_unit_test(data_that_do_not_fit),
                                       cmocka_unit_test(rows_are_independent),
                                       cmocka_unit_test(smaller_batches),
                                       cmocka_unit_test(values_and_state),
                                       cmocka_unit_test(memory_and_use),
                                       cmocka_unit_test(initialisation),
                                       cmocka_unit_test(decay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
