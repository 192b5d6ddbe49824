/* Vectors of NEON on AArch64. The words are explained in vector_avx512.h. */
#ifndef KDSWEEP_VECTOR_NEON_H
#define KDSWEEP_VECTOR_NEON_H

#include <arm_neon.h>
#include <stdint.h>

typedef float32x4_t vf;
typedef uint32x4_t vm; /* lanes of ones or zeros */
typedef struct vd {
    float64x2_t low, high;
} vd;
#define KDS_VECTOR_FLOATS 4
enum { VL = KDS_VECTOR_FLOATS };

static inline vf v_zero(void)
{
    return vdupq_n_f32(0.0f);
}

static inline vf v_set(float x)
{
    return vdupq_n_f32(x);
}

static inline vf v_load(const float *p)
{
    return vld1q_f32(p);
}

static inline void v_store(float *p, vf a)
{
    vst1q_f32(p, a);
}

static inline vm m_first(int32_t n)
{
    static const int32_t lanes[4] = {0, 1, 2, 3};
    return vcltq_s32(vld1q_s32(lanes), vdupq_n_s32(n));
}

static inline vf v_load_n(const float *p, int32_t n)
{
    float lanes[4] = {0};
    for (int32_t i = 0; i < n; i++) {
        lanes[i] = p[i];
    }
    return v_load(lanes);
}

static inline void v_store_n(float *p, vf a, int32_t n)
{
    float lanes[4];
    v_store(lanes, a);
    for (int32_t i = 0; i < n; i++) {
        p[i] = lanes[i];
    }
}

static inline vf v_load_u8_n(const uint8_t *p, int32_t n)
{
    float lanes[4] = {0};
    for (int32_t i = 0; i < n; i++) {
        lanes[i] = (float)p[i];
    }
    return v_load(lanes);
}

static inline vf v_load_u8(const uint8_t *p)
{
    return v_load_u8_n(p, 4);
}

static inline vf v_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}

static inline vf v_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}

static inline vf v_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}

static inline vf v_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

static inline vf v_fnma(vf a, vf b, vf c)
{
    return vfmsq_f32(c, a, b);
}

static inline vf v_max(vf a, vf b)
{
    return vmaxq_f32(a, b);
}

static inline vf v_relu(vf a)
{
    return v_max(v_zero(), a);
}

static inline vm v_gt(vf a, vf b)
{
    return vcgtq_f32(a, b);
}

static inline vm v_eq(vf a, vf b)
{
    return vceqq_f32(a, b);
}

static inline vm v_is_nan(vf a)
{
    return vmvnq_u32(vceqq_f32(a, a));
}

static inline vm m_none(void)
{
    return vdupq_n_u32(0);
}

static inline vm m_or(vm a, vm b)
{
    return vorrq_u32(a, b);
}

static inline vm m_and_not(vm a, vm b)
{
    return vbicq_u32(a, b);
}

static inline vf v_select(vm m, vf a, vf b)
{
    return vbslq_f32(m, a, b);
}

static inline vf v_scale(vf a, vf k)
{
    int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(k), vdupq_n_s32(127));
    return vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23)));
}

static inline float v_reduce_max(vf a)
{
    return vmaxvq_f32(a);
}

static inline vd vd_zero(void)
{
    return (vd){vdupq_n_f64(0.0), vdupq_n_f64(0.0)};
}

static inline vd vd_load(const double *p)
{
    return (vd){vld1q_f64(p), vld1q_f64(p + 2)};
}

static inline void vd_store(double *p, vd a)
{
    vst1q_f64(p, a.low);
    vst1q_f64(p + 2, a.high);
}

static inline vd vd_from(vf a)
{
    return (vd){vcvt_f64_f32(vget_low_f32(a)), vcvt_high_f64_f32(a)};
}

static inline vd vd_add(vd a, vd b)
{
    return (vd){vaddq_f64(a.low, b.low), vaddq_f64(a.high, b.high)};
}

static inline vd vd_fma(vd a, vd b, vd c)
{
    return (vd){vfmaq_f64(c.low, a.low, b.low), vfmaq_f64(c.high, a.high, b.high)};
}

static inline double vd_reduce_add(vd a)
{
    return vaddvq_f64(vaddq_f64(a.low, a.high));
}

#endif
