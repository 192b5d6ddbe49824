/*
 * Networks: layout of the parameters, forward and backward against a double-precision network written here, initialisation, step.
 */
#include "kdsweep/nn.h"

#include <math.h>
#include <string.h>

#include "kds_test.h"
#include "kdsweep/rng.h"

enum { MAX_ROWS = 11, N_ROWS = 8, N_FEATURES = 6, N_CLASSES = 4, MAX_WIDTH = 32 };

typedef struct fixture {
    kds_kernels kernels;
    kds_model model;
    kds_arena arena;
    kds_net net;
} fixture;

static void set_up(fixture *f, const char *name)
{
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(kds_kernels_select(&f->kernels, &err), &err);
    KDS_TEST_OK(kds_model_make(name, N_FEATURES, N_CLASSES, &f->model, &err), &err);
    f->arena = kds_arena_measure();
    kds_net_take(&f->net, &f->model, &f->kernels, MAX_ROWS, &f->arena);
    KDS_TEST_OK(kds_arena_init(&f->arena, f->arena.used, &err), &err);
    kds_net_take(&f->net, &f->model, &f->kernels, MAX_ROWS, &f->arena);
    assert_int_equal(f->arena.used, f->arena.size);
    memset(f->arena.base, 0xFF, f->arena.size); /* NaN: nothing may count on zeros */
    kds_net_init(&f->net, 5, 0);
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
    float x_f[N_ROWS * N_FEATURES], d_logits[N_ROWS * N_CLASSES];
    int64_t n = f.model.n_parameters;
    int64_t n_wanted = 0;
    for (int l = 1; l < r->n_widths; l++) {
        n_wanted += r->widths[l - 1] * r->widths[l] + r->widths[l];
    }
    assert_int_equal(n, n_wanted);
    for (int64_t p = 0; p < n; p++) { /* biases too, not their zeros */
        f.net.parameters[p] = 0.5f * (float)kds_rng_normal(&rng);
        parameters[p] = (double)f.net.parameters[p];
    }
    for (int i = 0; i < N_ROWS; i++) {
        for (int j = 0; j < N_FEATURES; j++) {
            x_f[i * N_FEATURES + j] = (float)kds_rng_normal(&rng);
            x[i][j] = (double)x_f[i * N_FEATURES + j];
        }
    }
    const float *logits = kds_net_forward(&f.net, x_f, N_ROWS);
    for (int i = 0; i < N_ROWS; i++) {
        double wanted[N_CLASSES];
        forward_of(r, parameters, x[i], wanted);
        for (int j = 0; j < N_CLASSES; j++) {
            KDS_TEST_NEAR((double)logits[i * N_CLASSES + j], wanted[j], 2e-6 * (1 + fabs(wanted[j])));
            d_logits[i * N_CLASSES + j] = (float)cos(phase(i, j) + wanted[j]);
        }
    }
    kds_net_backward(&f.net, x_f, N_ROWS, d_logits);

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
        KDS_TEST_NEAR((double)f.net.gradient[p], difference[p], 2e-6 * largest);
    }
    kds_arena_clear(&f.arena);
}

static void gradients(void **state)
{
    (void)state;
    gradient_of("mlp", &(reference){{6, 4}, 2});
    gradient_of("mlp:7", &(reference){{6, 7, 4}, 3});
    gradient_of("mlp:16-12", &(reference){{6, 16, 12, 4}, 4});
    gradient_of("mlp:9-5-32-8", &(reference){{6, 9, 5, 32, 8, 4}, 6});
}

static void model_table(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    kds_model model;
    KDS_TEST_OK(kds_model_make("mlp:16-12", 20, 5, &model, &err), &err);
    assert_int_equal(model.n_layers, 3);
    assert_int_equal(model.n_features, 20);
    assert_int_equal(model.n_classes, 5);
    assert_int_equal(model.n_parameters, 20 * 16 + 16 + 16 * 12 + 12 + 12 * 5 + 5);
    assert_int_equal(model.layers[0].weights, 0);
    assert_int_equal(model.layers[0].biases, 320);
    assert_int_equal(model.layers[1].weights, 336);
    assert_int_equal(model.layers[2].biases, 336 + 192 + 12 + 60);
    assert_true(model.layers[0].relu && model.layers[1].relu && !model.layers[2].relu);
    KDS_TEST_NEAR(kds_model_forward_macs(&model), 320 + 192 + 60, 0);
    /* forward, weight gradients of all layers, activation gradients of all but the first */
    KDS_TEST_NEAR(kds_model_training_macs(&model), 2 * (320 + 192 + 60) + 192 + 60, 0);
    assert_int_equal(kds_model_make("cnn:3", 20, 5, &model, &err), KDS_GRID);
}

/* W ~ N(0, 2 / n_in), biases 0; a pure function of (seed, stream, layer, position). */
static void initialisation(void **state)
{
    (void)state;
    fixture f, g;
    set_up(&f, "mlp:2000-30");
    for (int l = 0; l < f.model.n_layers; l++) {
        const kds_layer *layer = &f.model.layers[l];
        double sum = 0, squares = 0, n = (double)(layer->biases - layer->weights), variance = 2.0 / layer->n_in;
        for (int64_t i = layer->weights; i < layer->biases; i++) {
            sum += (double)f.net.parameters[i];
            squares += (double)f.net.parameters[i] * (double)f.net.parameters[i];
        }
        /* five standard deviations of mean and variance */
        KDS_TEST_NEAR(sum / n, 0, 5 * sqrt(variance / n));
        KDS_TEST_NEAR(squares / n, variance, 5 * variance * sqrt(2 / n));
        for (int32_t j = 0; j < layer->n_out; j++) {
            assert_true(f.net.parameters[layer->biases + j] == 0.0f);
        }
    }
    size_t size = (size_t)f.model.n_parameters * sizeof(float);
    for (int64_t i = 0; i < f.model.n_parameters; i++) {
        assert_true(f.net.velocity[i] == 0.0f);
    }
    set_up(&g, "mlp:2000-30");
    assert_memory_equal(f.net.parameters, g.net.parameters, size);
    const struct {
        uint64_t seed;
        uint32_t stream;
    } other[] = {{6, 0}, {5, 1}};
    for (int i = 0; i < 2; i++) {
        kds_net_init(&g.net, other[i].seed, other[i].stream);
        for (int l = 0; l < f.model.n_layers; l++) { /* no layer has another's numbers, of either stream */
            for (int k = 0; k < f.model.n_layers; k++) {
                const kds_layer *mine = &f.model.layers[l], *its = &g.model.layers[k];
                double a = (double)f.net.parameters[mine->weights] * sqrt(mine->n_in / 2.0);
                double b = (double)g.net.parameters[its->weights] * sqrt(its->n_in / 2.0);
                assert_true(fabs(a - b) > 1e-5);
            }
        }
    }
    kds_arena_clear(&f.arena);
    kds_arena_clear(&g.arena);
}

/* Which parameters decay. */
static void decay(void **state)
{
    (void)state;
    for (int decay_biases = 0; decay_biases < 2; decay_biases++) {
        fixture f;
        set_up(&f, "mlp:7-3");
        const kds_recipe recipe = {.weight_decay = 0.25, .decay_biases = decay_biases};
        for (int64_t i = 0; i < f.model.n_parameters; i++) {
            f.net.parameters[i] = 1.0f;
            f.net.gradient[i] = 0.0f;
        }
        kds_net_step(&f.net, &recipe, 0.5);
        for (int l = 0; l < f.model.n_layers; l++) {
            const kds_layer *layer = &f.model.layers[l];
            for (int64_t i = layer->weights; i < layer->biases + layer->n_out; i++) {
                int decays = i < layer->biases || decay_biases;
                assert_true(f.net.parameters[i] == (decays ? 0.875f : 1.0f));
            }
        }
        kds_arena_clear(&f.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients), cmocka_unit_test(model_table),
                                       cmocka_unit_test(initialisation), cmocka_unit_test(decay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
