// Stands in for CUDA's header of this name, and for the language: what `kernels.cu` needs to be compiled for the CPU.
//
// One block runs at a time, so what its threads share is static. All names are CUDA's, and mean what CUDA's
// programming guide and the manual of PTX say; only what the kernels use is here.

#pragma once

#include "fibers.h"
#include <cmath>
#include <cstdint>

#define __global__
#define __device__ static
#define __shared__ static
#define __launch_bounds__(threads)

struct Index {
  unsigned x, y;
};
inline Index blockIdx;
#define threadIdx (Index{(unsigned)Block::current->thread(), 0})

using std::isnan;
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }

// Numbers and their bits.

template <class To, class From> To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

inline unsigned __float_as_uint(float value) { return same_bits<unsigned>(value); }
inline float __uint_as_float(unsigned bits) { return same_bits<float>(bits); }
inline double __longlong_as_double(long long bits) { return same_bits<double>(bits); }

// Arithmetic that is rounded each by itself: the compiler is told to contract nothing.

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }

// Vectors.

struct float2 {
  float x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }

// Of 16 bytes, which a device reads at once, and from multiples of 16 alone.
template <class Number> struct Vector4 {
  Number x, y, z, w;

  Vector4 &operator=(const Vector4 &from) {
    if ((uintptr_t)&from % 16 != 0) fail("16 bytes are read from an address that is no multiple of 16");
    memcpy(this, &from, sizeof from);
    return *this;
  }
};
using float4 = Vector4<float>;
using uint4 = Vector4<unsigned>;

// f16: a sign, five bits of exponent and ten of fraction.

struct __half {
  uint16_t bits;
};
struct __half2 {
  __half x, y;
};

inline float __half2float(__half value) {
  const unsigned sign = (value.bits & 0x8000u) << 16, exponent = value.bits >> 10 & 31, fraction = value.bits & 1023;
  if (exponent == 31) return __uint_as_float(sign | 0x7F800000u | fraction << 13);
  const float size = exponent == 0 ? ldexpf((float)fraction, -24) : ldexpf((float)(1024 + fraction), (int)exponent - 25);
  return sign ? -size : size;
}

inline float2 __half22float2(__half2 both) { return {__half2float(both.x), __half2float(both.y)}; }

// To the nearest, of two equally near ones to the even one.
inline __half __float2half_rn(float value) {
  const uint16_t sign = __float_as_uint(value) >> 16 & 0x8000;
  const float size = fabsf(value);
  if (isnan(value)) return {0x7FFF};
  if (size >= 65520.0f) return {uint16_t(sign | 0x7C00)};
  int exponent;
  frexpf(size, &exponent);
  // The place of the last bit: that of the smallest normal number below it.
  const int last = max(exponent - 11, -24);
  const int units = (int)nearbyintf(ldexpf(size, -last));
  // A fraction that is rounded up to 2048 carries into the exponent.
  return {uint16_t(sign | (units < 1024 ? units : ((last + 24) << 10) + units))};
}

// Threads that wait for each other, and exchange values.

inline void __syncwarp() { Block::current->meet_warp(0); }
inline void __syncthreads() { Block::current->meet_block(0); }

inline int __syncthreads_or(int predicate) {
  const int *predicates = Block::current->meet_block(predicate);
  int any = 0;
  for (int thread = 0; thread < Block::current->threads(); thread++) any |= predicates[thread] != 0;
  return any;
}

// Of a whole warp: no kernel names fewer lanes.
template <class T> const T *exchange(unsigned mask, T value) {
  if (mask != 0xFFFFFFFFu) fail("only some lanes of a warp exchange values");
  return Block::current->meet_warp(value);
}

inline int __any_sync(unsigned mask, int predicate) {
  const int *predicates = exchange(mask, predicate);
  int any = 0;
  for (int lane = 0; lane < Block::WARP; lane++) any |= predicates[lane] != 0;
  return any;
}

template <class T> T __shfl_sync(unsigned mask, T value, int lane) { return exchange(mask, value)[lane % Block::WARP]; }

template <class T> T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  return exchange(mask, value)[Block::current->lane() ^ lanes];
}

// Within parts of `width` lanes; a lane with none so far after it in its part keeps its value.
template <class T> T __shfl_down_sync(unsigned mask, T value, int lanes, int width = Block::WARP) {
  const int lane = Block::current->lane();
  return exchange(mask, value)[lane % width + lanes < width ? lane + lanes : lane];
}

// Tensor cores.

// cvt.rna.tf32.f32: to ten bits of fraction, the nearest, of two equally near ones the larger.
inline unsigned to_tf32(float value) {
  const unsigned bits = __float_as_uint(value);
  return std::isfinite(value) ? (bits + 0x1000u) & ~0x1FFFu : bits;
}

struct Fragments {
  unsigned a[4], b[2];
};

// mma.m16n8k8: element (row, k) of a is with lane `row % 8 * 4 + k % 4`, (k, column) of b with lane
// `column * 4 + k % 4`, and a lane has of c the row `lane / 4` and the one 8 after, columns `lane % 4 * 2` and the next.
// Only the bits of a tf32 count. A product is exact; the order of the sums is not documented.
inline void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  const Fragments *lanes = Block::current->meet_warp(Fragments{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}});
  const auto tf32 = [](unsigned bits) { return (double)__uint_as_float(bits & ~0x1FFFu); };
  const int lane = Block::current->lane();
  for (int i = 0; i < 4; i++) {
    const int row = lane / 4, lower = i / 2, column = lane % 4 * 2 + i % 2;
    double sum = c[i];
    for (int k = 0; k < 8; k++) sum += tf32(lanes[row * 4 + k % 4].a[lower + k / 4 * 2]) * tf32(lanes[column * 4 + k % 4].b[k / 4]);
    c[i] = (float)sum;
  }
}
