// Products of a few rows by panels of four vectors, which together fill the registers.
#pragma once

#include "vectors.h"

namespace seqloom {
namespace {

// The most rows of a tile of so many vectors, whose sums leave registers for what is multiplied.
constexpr int tile_rows(int columns) {
#if defined(__AVX512F__) || defined(__aarch64__)
  return 6;
#elif defined(__AVX__)
  return columns == 4 ? 3 : columns == 3 ? 4 : 6;
#else
  return 2;  // without fused operations a product needs a register of its own
#endif
}
constexpr int kPanel = 4 * W;

template <int C, class F>
INLINE void in_tiles(int count, const F& f) {
  in_tiles_of<tile_rows(C)>(count, f);
}

INLINE int round_up(int n, int to) { return (n + to - 1) / to * to; }

// What to fetch into the nearer cache meanwhile: so many floats at each step of a product.
struct Soon {
  const float* from = nullptr;
  int some = 0;
};

// sums[r][first + c] += x(r) b[c], of C vectors b[c]
template <int R, int C, int All, class X>
INLINE void add_outer(V (&sums)[R][All], int first, const X& x, const float* b) {
  if constexpr (R < C) {  // the fewer stay in registers, where beside the sums there is no room for the others
    V rows[R];
#pragma GCC unroll 14
    for (int r = 0; r < R; ++r) rows[r] = x(r) - V{};  // to add zeros instead would be an operation: of -0
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      const V column = load(b + c * W);
#pragma GCC unroll 14
      for (int r = 0; r < R; ++r) sums[r][first + c] += rows[r] * column;
    }
  } else {
    V columns[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) columns[c] = load(b + c * W);
#pragma GCC unroll 14
    for (int r = 0; r < R; ++r) {
      const float row = x(r);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) sums[r][first + c] += row * columns[c];
    }
  }
}

// sums[r][first + c] += sum over k of a[r][k] b[k][c]
template <int R, int C, int All>
INLINE void multiply(V (&sums)[R][All], int first, const float* const* a, int from, const float* b, int depth,
                     Soon soon = {}) {
#pragma GCC unroll 4
  for (int k = 0; k < depth; ++k, b += C * W, soon.from += soon.some) {
    if (soon.some) __builtin_prefetch(soon.from, 0, 2);
    add_outer<R, C>(sums, first, [&](int r) INLINED { return a[r][from + k]; }, b);
  }
}

}  // namespace
}  // namespace seqloom
