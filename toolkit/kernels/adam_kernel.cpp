// The functions of adam.h for one instruction set. Compiled once for each, with SEQLOOM_SET; the compiler makes vectors
// of the loops.
#include "adam.h"

#include "vectors.h"

namespace seqloom {
namespace {

void sum(const RowSums& s, size_t first, size_t end) {
  for (size_t row = first; row < end; ++row) {
    float* __restrict to = s.sums + row * s.width;
    int place = s.firsts[row];
    std::memcpy(to, s.values + static_cast<size_t>(place) * s.width, sizeof(float) * s.width);
    while ((place = s.next[place]) >= 0) {
      const float* __restrict from = s.values + static_cast<size_t>(place) * s.width;
      for (int i = 0; i < s.width; ++i) to[i] += from[i];
    }
  }
}

template <bool kGiven>
INLINE void update_row(const AdamStep& a, const float* __restrict g, float* __restrict w, float* __restrict m,
                       float* __restrict v) {
  const float rate = a.rate, beta_1 = a.beta_1, beta_2 = a.beta_2, epsilon = a.epsilon;
  for (int i = 0; i < a.width; ++i) {
    m[i] = beta_1 * m[i] + (kGiven ? (1.0f - beta_1) * g[i] : 0.0f);
    v[i] = beta_2 * v[i] + (kGiven ? (1.0f - beta_2) * (g[i] * g[i]) : 0.0f);
    w[i] -= rate * m[i] / (__builtin_sqrtf(v[i]) + epsilon);
  }
}

void update(const AdamStep& a, size_t first, size_t end) {
  for (size_t i = first; i < end; ++i) {
    const size_t row = a.rows ? a.rows[i] : i, at = row * a.width;
    const int place = a.rows ? i : a.places[i];
    if (place < 0) {
      update_row<false>(a, nullptr, a.w + at, a.m + at, a.v + at);
    } else {
      update_row<true>(a, a.values + static_cast<size_t>(place) * a.width, a.w + at, a.m + at, a.v + at);
    }
  }
}

}  // namespace

SEQLOOM_TABLE(AdamKernel, kAdam) = {sum, update};

}  // namespace seqloom
