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
#define INLINED __attribute__((always_inline))
#define INLINE inline INLINED

// Begins the definition of a table of functions that has the name of its instruction set: SEQLOOM_SET.
#define SEQLOOM_JOIN(a, b) a##b
#define SEQLOOM_NAMED(prefix, set) SEQLOOM_JOIN(prefix, set)
#define SEQLOOM_TABLE(type, prefix)                     \
  extern const type SEQLOOM_NAMED(prefix, SEQLOOM_SET); \
  const type SEQLOOM_NAMED(prefix, SEQLOOM_SET)

INLINE unsigned first_lanes(int count) { return count < 32 ? (1u << count) - 1 : ~0u; }

INLINE V load(const float* from, int count = W) {
  V v{};
  if (count >= W) {
    std::memcpy(&v, from, sizeof v);
  } else {
#if defined(__AVX512F__)
    v = _mm512_maskz_loadu_ps(first_lanes(count), from);
#else
    for (int i = 0; i < count; ++i) v[i] = from[i];
#endif
  }
  return v;
}

INLINE void store(float* to, V v, int count = W) {
  if (count >= W) {
    std::memcpy(to, &v, sizeof v);
  } else {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, first_lanes(count), v);
#else
    for (int i = 0; i < count; ++i) to[i] = v[i];
#endif
  }
}

// Stores what is not read again soon past the caches, which need not fetch what was there. `to` is aligned.
INLINE void stream(float* to, V v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, v);
#elif defined(__AVX__)
  _mm256_stream_ps(to, v);
#else
  store(to, v);
#endif
}

INLINE V clamp(V x, V most) {  // to [-most, most]; what is not a number stays so
#if defined(__AVX512F__)
  return _mm512_max_ps(-most, _mm512_min_ps(most, x));
#elif defined(__AVX__)
  return _mm256_max_ps(-most, _mm256_min_ps(most, x));
#else
  x = x < -most ? -most : x;
  return x > most ? most : x;
#endif
}

// f(i) for each of N vectors, written out: they go through an operation together, so that none waits for itself.
template <int N, class F>
INLINE void together(const F& f) {
#pragma GCC unroll 6
  for (int i = 0; i < N; ++i) f(i);
}

// exp(scale x) = power (1 + s t), vector i with scale(i): scale x = n log(2) + scale s with |scale s| up to log(2) / 2,
// power = 2^n, 1 + s t a polynomial (minimax, relative error 4e-9). Apart they keep the precision of exp(x) - 1 near 0.
template <int N>
struct Exponentials {
  V power[N], s[N], t[N];

  template <class F>
  INLINE Exponentials(const V (&x)[N], const F& scale) {
    // Adding 1.5 * 2^23 rounds to whole numbers, which then stand in the lowest bits, here with the exponent's bias.
    constexpr float kRound = 12582912.0f + 127.0f;
    const auto most = [&](int i) INLINED { return V{} + 87.0f / (scale(i) < 0 ? -scale(i) : scale(i)); };
    const auto coefficient = [&](float c, int degree, int i) INLINED {
      for (; degree; --degree) c *= scale(i);
      return c;
    };
    together<N>([&](int i) INLINED { s[i] = clamp(x[i], most(i)); });
    together<N>([&](int i) INLINED { power[i] = s[i] * (1.44269504f * scale(i)) + kRound; });
    together<N>([&](int i) INLINED { s[i] -= (power[i] - kRound) * (0.69314718f / scale(i)); });
    together<N>([&](int i) INLINED { power[i] = (V)((VI)power[i] << 23); });
    together<N>([&](int i) INLINED { t[i] = V{} + coefficient(0.00138143206f, 6, i); });
    together<N>([&](int i) INLINED { t[i] = t[i] * s[i] + coefficient(0.00836885069f, 5, i); });
    together<N>([&](int i) INLINED { t[i] = t[i] * s[i] + coefficient(0.0416684002f, 4, i); });
    together<N>([&](int i) INLINED { t[i] = t[i] * s[i] + coefficient(0.166665196f, 3, i); });
    together<N>([&](int i) INLINED { t[i] = t[i] * s[i] + coefficient(0.49999994f, 2, i); });
    together<N>([&](int i) INLINED { t[i] = t[i] * s[i] + scale(i); });
  }
};

INLINE V exp(V x) {
  const V all[] = {x};
  const Exponentials<1> e(all, [](int) INLINED { return 1.0f; });
  return e.power[0] * (e.s[0] * e.t[0] + 1.0f);
}

template <int N>
INLINE void invert(V (&x)[N]) {
#if defined(__AVX512F__)
  V near[N];  // and then Newton's step: much faster than a division
  together<N>([&](int i) INLINED { near[i] = _mm512_rcp14_ps(x[i]); });
  together<N>([&](int i) INLINED { x[i] = 2.0f - x[i] * near[i]; });
  together<N>([&](int i) INLINED { x[i] *= near[i]; });
#else
  together<N>([&](int i) INLINED { x[i] = 1.0f / x[i]; });
#endif
}

// In place: tanh of the vectors whose bit of kTanh is set, the sigmoid of the others.
template <int kTanh, int N>
INLINE void squash(V (&x)[N]) {
  const auto is_tanh = [](int i) INLINED { return kTanh >> i & 1; };
  const Exponentials<N> e(x, [&](int i) INLINED { return is_tanh(i) ? 2.0f : -1.0f; });
  V less[N];  // exp(2 x) - 1
  together<N>([&](int i) INLINED {
    if (is_tanh(i)) less[i] = e.power[i] * (e.s[i] * e.t[i]) + (e.power[i] - 1.0f);
  });
  together<N>([&](int i) INLINED {
    x[i] = is_tanh(i) ? less[i] + 2.0f : e.power[i] * (e.s[i] * e.t[i] + 1.0f) + 1.0f;
  });
  invert(x);
  together<N>([&](int i) INLINED {
    if (is_tanh(i)) x[i] *= less[i];
  });
}

INLINE V tanh(V x) {
  V all[] = {x};
  squash<1>(all);
  return all[0];
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
