/*
 * Vectors of AVX-512: the words that vector_elementwise.h and vector_product.h are written in. vector_avx2.h and vector_neon.h define the
 * same words; what they mean is said here.
 */
#ifndef KDSWEEP_VECTOR_AVX512_H
#define KDSWEEP_VECTOR_AVX512_H

#include <immintrin.h>
#include <stdint.h>

typedef __m512 vf;    /* VL floats */
typedef __mmask16 vm; /* VL truth values */
typedef struct vd {   /* VL doubles */
    __m512d low, high;
} vd;
#define KDS_VECTOR_FLOATS 16 /* VL for the preprocessor */
enum { VL = KDS_VECTOR_FLOATS };

static inline vf v_zero(void)
{
    return _mm512_setzero_ps();
}

static inline vf v_set(float x)
{
    return _mm512_set1_ps(x);
}

/* Nothing here asks for an alignment. */
static inline vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline void v_store(float *p, vf a)
{
    _mm512_storeu_ps(p, a);
}

static inline vm m_first(int32_t n)
{
    return (vm)((1u << n) - 1u);
}

/* The first n lanes, 0 <= n <= VL; memory behind them is not touched, the other lanes are 0. */
static inline vf v_load_n(const float *p, int32_t n)
{
    return _mm512_maskz_loadu_ps(m_first(n), p);
}

/* In parts: a load from behind the lanes that a masked store wrote waits for it on some processors, as if they overlapped. */
static inline void v_store_n(float *p, vf a, int32_t n)
{
    if (n == 16) {
        v_store(p, a);
        return;
    }
    __m256 half = _mm512_castps512_ps256(a);
    if (n & 8) {
        _mm256_storeu_ps(p, half);
        half = _mm512_extractf32x8_ps(a, 1);
        p += 8;
    }
    __m128 part = _mm256_castps256_ps128(half);
    if (n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(half, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (n & 1) {
        _mm_store_ss(p, part);
    }
}

/* Bytes as floats. */
static inline vf v_load_u8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

static inline vf v_load_u8_n(const uint8_t *p, int32_t n)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m_first(n), p)));
}

static inline vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

static inline vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

static inline vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

/* a * b + c, and c - a * b, rounded once. */
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline vf v_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

/* A NaN in b stays; one in a may be lost. */
static inline vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

/* max(a, 0); a NaN stays a NaN. */
static inline vf v_relu(vf a)
{
    return v_max(v_zero(), a);
}

/* ---- truth values: a comparison with a NaN is false ---- */

static inline vm v_gt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}

static inline vm v_eq(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

static inline vm v_is_nan(vf a)
{
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}

static inline vm m_none(void)
{
    return 0;
}

static inline vm m_or(vm a, vm b)
{
    return (vm)(a | b);
}

/* a and not b */
static inline vm m_and_not(vm a, vm b)
{
    return (vm)(a & ~b);
}

/* m ? a : b */
static inline vf v_select(vm m, vf a, vf b)
{
    return _mm512_mask_blend_ps(m, b, a);
}

/* ---- exponents ---- */

/* a * 2^k for whole numbers -126 <= k <= 0; a NaN in a stays, whatever k is. */
static inline vf v_scale(vf a, vf k)
{
    return _mm512_scalef_ps(a, k);
}

/* ---- across the lanes ---- */

/* The largest lane; with a NaN among them, any value. */
static inline float v_reduce_max(vf a)
{
    __m256 b = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_max_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}

/* ---- doubles: for sums ---- */

static inline vd vd_zero(void)
{
    return (vd){_mm512_setzero_pd(), _mm512_setzero_pd()};
}

static inline vd vd_load(const double *p)
{
    return (vd){_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)};
}

static inline void vd_store(double *p, vd a)
{
    _mm512_storeu_pd(p, a.low);
    _mm512_storeu_pd(p + 8, a.high);
}

static inline vd vd_from(vf a)
{
    return (vd){_mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1))};
}

static inline vd vd_add(vd a, vd b)
{
    return (vd){_mm512_add_pd(a.low, b.low), _mm512_add_pd(a.high, b.high)};
}

static inline vd vd_fma(vd a, vd b, vd c)
{
    return (vd){_mm512_fmadd_pd(a.low, b.low, c.low), _mm512_fmadd_pd(a.high, b.high, c.high)};
}

static inline double vd_reduce_add(vd a)
{
    __m512d b = _mm512_add_pd(a.low, a.high);
    __m256d c = _mm256_add_pd(_mm512_castpd512_pd256(b), _mm512_extractf64x4_pd(b, 1));
    __m128d d = _mm_add_pd(_mm256_castpd256_pd128(c), _mm256_extractf128_pd(c, 1));
    return _mm_cvtsd_f64(_mm_add_sd(d, _mm_unpackhi_pd(d, d)));
}

#endif
