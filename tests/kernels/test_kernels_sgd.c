/*
 * sgd_step: g = gradient + weight_decay * w; v = momentum * v + g; w -= lr * (nesterov ? g + momentum * v : v).
 *
 * Tolerance: the roundings of each line, carried through the lines that follow (u = 2^-24; fused operations only have fewer):
 *   e_g = u (|decay w| + |g|)                    e_v = e_g + u (|momentum v_0| + |v|)
 *   e_s = e_g + |momentum| e_v + u (|momentum v| + |s|) with Nesterov, e_v without
 *   e_w = |lr| e_s + u (|lr s| + |w|)
 */
#include "kernel_case.h"

static void check_one(kds_sgd c, double gradient, double v_0, double w_0, float v_got, float w_got)
{
    const double u = UNIT_ROUNDOFF, lr = (double)c.lr, momentum = (double)c.momentum, decay = (double)c.weight_decay;
    double g = gradient + decay * w_0, v = momentum * v_0 + g, s = c.nesterov ? g + momentum * v : v, w = w_0 - lr * s;
    double largest = fmax(fmax(fmax(fabs(g), fabs(v)), fmax(fabs(s), fabs(w))),
                          fmax(fabs(decay * w_0), fabs(momentum * v_0)));
    largest = fmax(largest, fmax(fabs(lr * s), fabs(momentum * v)));
    if (!isfinite(gradient) || !isfinite(v_0) || !isfinite(w_0)) {
        /* Whatever is not finite stays so: in v unless it was only in w and there is no decay, in w always. */
        assert_true(isfinite(v) || !isfinite(v_got));
        assert_true(isfinite(w) || !isfinite(w_got));
        return;
    }
    if (largest >= 0.5 * (double)FLT_MAX) {
        return; /* an intermediate overflows or nearly so: any answer */
    }
    double e_g = u * (fabs(decay * w_0) + fabs(g)), e_v = e_g + u * (fabs(momentum * v_0) + fabs(v));
    double e_s = c.nesterov ? e_g + momentum * e_v + u * (fabs(momentum * v) + fabs(s)) : e_v;
    double e_w = lr * e_s + u * (fabs(lr * s) + fabs(w));
    KDS_TEST_NEAR((double)v_got, v, 1.01 * e_v + 4 * TINY);
    KDS_TEST_NEAR((double)w_got, w, 1.01 * e_w + 4 * TINY * (1 + lr));
}

static void sgd_level(const kds_kernels *k)
{
    static const kds_sgd sets[] = {{0.1f, 0.9f, 1e-4f, 1}, {0.1f, 0.9f, 1e-4f, 0}, {0.5f, 0.0f, 0.0f, 0},
                                   {1.0f, 0.0f, 0.1f, 1},  {0.0f, 0.9f, 0.1f, 1},  {3.0f, 0.99f, 0.0f, 0}};
    enum { N_SETS = sizeof sets / sizeof sets[0] };
    area g_area = area_make(8192), v_area = area_make(8192), w_area = area_make(8192);
    static float v_before[MAX_LENGTH], w_before[MAX_LENGTH];
    kds_rng rng = kds_rng_make(4, KDS_RNG_GENERATE, 0);
    for (int i_case = 0; i_case < N_LENGTHS * N_SETS * 6; i_case++) {
        int32_t n = lengths[i_case / (N_SETS * 6)];
        kds_sgd c = sets[i_case / 6 % N_SETS];
        int how = i_case % 3;
        place where = (place)(i_case / 3 % 2);
        size_t size = (size_t)n * sizeof(float);
        float *g = area_place(&g_area, size, where), *v = area_place(&v_area, size, where),
              *w = area_place(&w_area, size, where);
        for (int32_t i = 0; i < n; i++) {
            g[i] = random_number(&rng, (filling)how);
            v_before[i] = v[i] = random_number(&rng, (filling)how);
            w_before[i] = w[i] = random_number(&rng, (filling)how);
        }
        k->sgd_step(n, &c, g, v, w);
        area_check(&v_area);
        area_check(&w_area);
        for (int32_t i = 0; i < n; i++) {
            check_one(c, (double)g[i], (double)v_before[i], (double)w_before[i], v[i], w[i]);
        }
    }
    area_free(&g_area);
    area_free(&v_area);
    area_free(&w_area);
}

static void sgd(void **state)
{
    (void)state;
    for_each_level(sgd_level);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sgd)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
