/* The table for AVX-512 F, DQ, BW and VL: compiled with exactly the flags that select.c checks. */
#include "kernels_internal.h"
#include "vector_avx512.h"

#include "vector_elementwise.h"
#include "vector_product.h"
#include "vector_winograd.h"

void kds_kernels_fill_avx512(kds_kernels *out)
{
    *out = (kds_kernels){
        .isa = KDS_ISA_AVX512,
        .gather_u8 = gather_u8,
        .gather_f32 = gather_f32,
        .softmax_gradient = softmax_gradient,
        .softmax = softmax,
        .sgd_step = sgd_step,
        .product = product,
        .product_weights = product_weights,
        .product_step = product_step,
        .transpose = transpose,
        .winograd_in = winograd_in,
        .winograd_gradient = winograd_gradient,
        .winograd_out = winograd_out,
        .affine = affine,
        .moments = moments,
        .gate = gate,
        .max_pool = max_pool,
        .max_pool_backward = max_pool_backward,
        .average_pool = average_pool,
        .average_pool_backward = average_pool_backward,
    };
}
