/* The transforms of Winograd's minimal filtering with vectors of one float: the same additions in the same order as every other level. */
#include "kernels_internal.h"

typedef float vf;
enum { VL = 1 };

static inline vf v_zero(void)
{
    return 0.0f;
}
static inline vf v_load(const float *p)
{
    return *p;
}
static inline void v_store(float *p, vf a)
{
    *p = a;
}
static inline vf v_add(vf a, vf b)
{
    return a + b;
}
static inline vf v_sub(vf a, vf b)
{
    return a - b;
}

#include "vector_winograd.h"

void kds_kernels_fill_scalar_winograd(kds_kernels *out)
{
    out->winograd_in = winograd_in;
    out->winograd_gradient = winograd_gradient;
    out->winograd_out = winograd_out;
}
