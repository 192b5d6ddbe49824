/*
 * The products of dense layers, ours against OpenBLAS, on one processor: bench_products [SECONDS [BATCH OUT IN]]
 *
 * Ours as nn calls them (staged.h): panels of weights, and turning them round for the gradient of the data is part of it. OpenBLAS gets
 * plain row-major matrices. Both alternate, SECONDS for each product; GFLOP/s are those of the fastest run of each, since whatever else the
 * machine does only slows down. The caller pins.
 */
#include "measure.h"
#include "staged.h"

typedef struct products {
    layer_shape layer;
    staged ours;
    float *x, *w, *y; /* OpenBLAS: x [batch][in], w [in][out], y [batch][out] */
} products;

static void blas_forward(void *context)
{
    products *p = context;
    kds_gemm(0, 0, p->layer.width, p->layer.n_out, p->layer.n_in, p->x, p->layer.n_in, p->w, p->layer.n_out, 0.0f, p->y,
             p->layer.n_out);
}

static void blas_data(void *context)
{
    products *p = context;
    kds_gemm(0, 1, p->layer.width, p->layer.n_in, p->layer.n_out, p->y, p->layer.n_out, p->w, p->layer.n_out, 0.0f,
             p->x, p->layer.n_in);
}

static void blas_weights(void *context)
{
    products *p = context;
    kds_gemm(1, 0, p->layer.n_in, p->layer.n_out, p->layer.width, p->x, p->layer.n_in, p->y, p->layer.n_out, 0.0f, p->w,
             p->layer.n_out);
}

/* Seconds of `n` calls. */
static double time_of(work *call, void *context, int n)
{
    double start = kds_clock_wall();
    for (int i = 0; i < n; i++) {
        call(context);
    }
    return kds_clock_wall() - start;
}

static float *random_matrix(int32_t n_rows, int32_t n_columns, kds_rng *rng, kds_error *err)
{
    size_t n = (size_t)n_rows * (size_t)n_columns;
    float *made = kds_alloc(n, sizeof *made, err);
    for (size_t i = 0; made && i < n; i++) {
        made[i] = (float)kds_rng_uniform(rng) - 0.5f;
    }
    return made;
}

/* One row of the table: of each product ours, OpenBLAS, ratio. */
static kds_status compare(const kds_kernels *kernels, int32_t batch, int32_t n_out, int32_t n_in, double seconds,
                          kds_error *err)
{
    kds_status status;
    kds_rng rng = kds_rng_make(1, KDS_RNG_GENERATE, 0);
    products p = {
        .layer = {.images = 1, .height = 1, .width = batch, .n_in = n_in, .n_out = n_out, .kernel = 1, .stride = 1}};
    work *const ours[] = {staged_forward, staged_backward_data, staged_backward_weights};
    work *const blas[] = {blas_forward, blas_data, blas_weights};
    double gflop = 2e-9 * needed_macs(&p.layer);
    KDS_TRY(staged_make(&p.ours, kernels, &p.layer, err));
    staged_fill(&p.ours, &rng);
    status = KDS_MEMORY;
    if (!(p.w = random_matrix(n_in, n_out, &rng, err)) || !(p.y = random_matrix(batch, n_out, &rng, err)) ||
        !(p.x = random_matrix(batch, n_in, &rng, err))) {
        goto out;
    }
    status = KDS_OK;
    printf("%5d %5d %5d", (int)batch, (int)n_out, (int)n_in);
    for (int i = 0; i < 3; i++) {
        double best[2] = {1e30, 1e30};
        int n_calls = 1 + (int)(0.02 / gflop); /* about a millisecond */
        const double begun = kds_clock_wall();
        for (int round = 0; round < 5 || kds_clock_wall() - begun < seconds; round++) {
            double time[2] = {time_of(ours[i], &p.ours, n_calls), time_of(blas[i], &p, n_calls)};
            for (int side = 0; side < 2; side++) {
                best[side] = time[side] < best[side] ? time[side] : best[side];
            }
        }
        printf("   %7.1f %7.1f %5.2f", n_calls * gflop / best[0], n_calls * gflop / best[1], best[1] / best[0]);
        fflush(stdout);
    }
    puts("");
out:
    staged_free(&p.ours);
    kds_free(p.x);
    kds_free(p.w);
    kds_free(p.y);
    return status;
}

int main(int argc, char **argv)
{
    static const int32_t shapes[][3] = {{128, 64, 784}, {128, 256, 784},    {128, 1024, 784}, {128, 512, 1024},
                                        {128, 10, 512}, {1024, 1024, 1024}, {128, 4096, 4096}};
    kds_status status;
    kds_error err = KDS_ERROR_INIT;
    kds_kernels kernels;
    double seconds = argc > 1 ? atof(argv[1]) : 0.5;
    KDS_TRY(kds_blas_single_thread(&err));
    KDS_TRY(kds_kernels_select(&kernels, &err));
    printf("%s kernels, %s (%s), FMA peak %.1f GFLOP/s\n", kds_isa_name(kernels.isa), kds_blas_version(),
           kds_blas_core(), peak_gflops(0.2));
    puts("                          forward                   data                weights\n"
         "batch   out    in      ours    BLAS ratio      ours    BLAS ratio      ours    BLAS ratio");
    if (argc > 4) {
        KDS_TRY(compare(&kernels, atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), seconds, &err));
        goto out;
    }
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        KDS_TRY(compare(&kernels, shapes[i][0], shapes[i][1], shapes[i][2], seconds, &err));
    }
out:
    if (status != KDS_OK) {
        fprintf(stderr, "bench_products: %s\n", err.message);
    }
    return kds_status_exit_code(status);
}
