// Vectors of one instruction set, and the functions of them that the kernels share.
#pragma once

#include <cstring>
#if defined(__AVX__)
#include <immintrin.h>
#endif

// Nothing here may be shared with what is compiled for another instruction set: no templates of the standard library.
namespace seqloom {
namespace {

#if defined(__AVX512F__)
constexpr int W = 16;  // floats in a vector
#elif defined(__AVX__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

typedef float V __attribute__((vector_size(W * 4)));
typedef int VI __attribute__((vector_size(W * 4)));
#define INLINE inline __attribute__((always_inline))

// Begins the definition of a table of functions that has the name of its instruction set: SEQLOOM_SET.
#define SEQLOOM_JOIN(a, b) a##b
#define SEQLOOM_NAMED(prefix, set) SEQLOOM_JOIN(prefix, set)
#define SEQLOOM_TABLE(type, prefix)                     \
  extern const type SEQLOOM_NAMED(prefix, SEQLOOM_SET); \
  const type SEQLOOM_NAMED(prefix, SEQLOOM_SET)

INLINE V load(const float* from, int count = W) {
  V v{};
  if (count >= W) {
    std::memcpy(&v, from, sizeof v);
  } else {
    for (int i = 0; i < count; ++i) v[i] = from[i];
  }
  return v;
}

INLINE void store(float* to, V v, int count = W) {
  if (count >= W) {
    std::memcpy(to, &v, sizeof v);
  } else {
    for (int i = 0; i < count; ++i) to[i] = v[i];
  }
}

// Stores what is not read again soon past the caches, which need not fetch what was there. `to` is aligned.
INLINE void stream(float* to, V v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, v);
#else
  store(to, v);
#endif
}

// exp(x) = power (1 + rest): x = n log(2) + r with |r| <= log(2) / 2, power = 2^n, rest a polynomial that is exact to an
// ulp (Cephes' expf). Apart they keep the precision of exp(x) - 1 near zero.
struct Exp {
  V power, rest;
};

INLINE Exp exp_parts(V x) {
  x = x < -87.0f ? V{} - 87.0f : x;
  x = x > 87.0f ? V{} + 87.0f : x;
  // Adding 1.5 * 2^23 rounds to whole numbers, which then stand in the lowest bits, here with the exponent's bias.
  const V shifted = x * 1.44269504f + (12582912.0f + 127.0f);
  const V n = shifted - (12582912.0f + 127.0f);
  const V r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return {(V)((VI)shifted << 23), p * (r * r) + r};
}

INLINE V inverse(V x) {
#if defined(__AVX512F__)
  const V near = _mm512_rcp14_ps(x);
  return near * (2.0f - x * near);  // Newton's step; much faster than a division
#else
  return 1.0f / x;
#endif
}

INLINE V sigmoid(V x) {
  const Exp e = exp_parts(-x);
  return inverse(1.0f + (e.power * e.rest + e.power));
}

INLINE V tanh(V x) {
  const Exp e = exp_parts(x + x);
  const V less = e.power * e.rest + (e.power - 1.0f);  // exp(2 x) - 1
  return less * inverse(less + 2.0f);
}

template <int N>
struct Constant {
  static constexpr int value = N;
};

template <int N, class F>
INLINE void call(int n, int at, const F& f) {
  if constexpr (N > 0) {
    if (n == N) {
      f(Constant<N>{}, at);
    } else {
      call<N - 1>(n, at, f);
    }
  }
}

// Calls f with how many, from 1 to kMost as a constant, and from where on, for all of `count` in parts of like size.
template <int kMost, class F>
INLINE void in_tiles_of(int count, const F& f) {
  int at = 0;
  for (int left = (count + kMost - 1) / kMost; left > 0; --left) {
    const int n = (count - at + left - 1) / left;
    call<kMost>(n, at, f);
    at += n;
  }
}

}  // namespace
}  // namespace seqloom
