/*
 * The three products of one layer on one processor: bench_layers N_IN N_OUT SIZE KERNEL STRIDE PADDING SECONDS [BATCH]
 *
 * SIZE x SIZE images; SIZE 0 is a dense layer. Prints GFLOP/s of the needed multiply-adds of each product, each measured for that long, and
 * the FMA peak of the core; no gradient of the data for fewer than a panel of channels, which only data have. The caller pins.
 */
#include "measure.h"
#include "staged.h"

static double sum_of(const float *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)values[i];
    }
    return sum;
}

/* Of ones, a product adds up to the number of its needed multiply-adds: whether each does the work that is charged. */
static kds_status check(staged *p, kds_error *err)
{
    double needed = needed_macs(&p->layer);
    staged_fill(p, NULL);
    staged_forward(p);
    staged_backward_data(p);
    staged_backward_weights(p);
    const double found[] = {sum_of(p->y.floats, map_size(&p->y)), sum_of(p->dx.floats, map_size(&p->dx)),
                            sum_of(p->d_w, p->n_w)};
    for (int i = 0; i < 3; i++) {
        if (i == 1 && p->n_back == 0) {
            continue;
        }
        if (found[i] < needed || found[i] > needed) {
            return kds_error_set(err, KDS_INTERNAL, "", "product %d of ones adds up to %.0f, not to %.0f", i, found[i],
                                 needed);
        }
    }
    return KDS_OK;
}

static kds_status run(const layer_shape *layer, double seconds, kds_error *err)
{
    kds_status status;
    kds_kernels kernels;
    staged p = {0};
    kds_rng rng = kds_rng_make(1, KDS_RNG_GENERATE, 0);
    KDS_TRY(kds_kernels_select(&kernels, err));
    KDS_TRY(staged_make(&p, &kernels, layer, err));
    KDS_TRY(check(&p, err));
    staged_fill(&p, &rng);
    double gflop = 2e-9 * needed_macs(layer);
    double peak = peak_gflops(0.02);
    printf("forward=%.2f", gflop / seconds_per_call(staged_forward, &p, seconds, 2));
    if (p.n_back > 0) {
        printf(" data=%.2f", gflop / seconds_per_call(staged_backward_data, &p, seconds, 2));
    }
    printf(" weights=%.2f", gflop / seconds_per_call(staged_backward_weights, &p, seconds, 2));
    printf(" peak=%.2f isa=%s\n", peak, kds_isa_name(kernels.isa));
out:
    staged_free(&p);
    return status;
}

int main(int argc, char **argv)
{
    kds_error err = KDS_ERROR_INIT;
    if (argc < 8) {
        fprintf(stderr, "usage: bench_layers N_IN N_OUT SIZE KERNEL STRIDE PADDING SECONDS [BATCH]\n");
        return 1;
    }
    int32_t size = atoi(argv[3]), batch = argc > 8 ? atoi(argv[8]) : 128;
    layer_shape layer = {.images = batch,
                         .height = size,
                         .width = size,
                         .n_in = atoi(argv[1]),
                         .n_out = atoi(argv[2]),
                         .kernel = atoi(argv[4]),
                         .stride = atoi(argv[5]),
                         .padding = atoi(argv[6])};
    if (size == 0) {
        layer.images = layer.height = layer.kernel = layer.stride = 1;
        layer.width = batch;
        layer.padding = 0;
    }
    if (layer.n_in < 1 || layer.n_out < 1 || layer.stride < 1 || layer.stride > STAGED_STRIDE || layer.padding < 0 ||
        layer.kernel <= layer.padding || layer.height % layer.stride != 0) {
        fprintf(stderr, "bench_layers: cannot stage such a layer\n");
        return 1;
    }
    if (run(&layer, atof(argv[7]), &err) != KDS_OK) {
        fprintf(stderr, "bench_layers: %s\n", err.message);
        return 1;
    }
    return 0;
}
