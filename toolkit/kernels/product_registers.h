// Products of rows by a panel of two vectors of columns, in vector registers.
#pragma once

#include "vectors.h"

namespace seqloom {
namespace {
namespace product {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRows = 14;  // of a tile, which with two vectors fill the registers
#else
constexpr int kRows = 6;
#endif
constexpr int kPanel = 2 * W;

struct Ready {  // what a thread needs while it multiplies
  Ready() {}
};

// Floats of a panel: a number for each column to begin with, such as its bias, then the weights by row.
INLINE size_t panel_size(int features) { return static_cast<size_t>(features + 1) * kPanel; }

// The weights of a panel, of which so many columns are real. A weight stands `row` after the one above, and `column`
// after the one before. Shapes: weights (features, real)
INLINE void pack_weights(const float* weights, size_t row, size_t column, int features, int real, float* packed) {
  for (int k = 0; k < features; ++k) {
    for (int i = 0; i < kPanel; ++i, ++packed) *packed = i < real ? weights[k * row + i * column] : 0;
  }
}

INLINE size_t read_size(int rows, int features) { return static_cast<size_t>(rows) * features; }

// Rows, so many floats apart, as products read them: by tile (features, rows of it).
INLINE void read_rows(const float* rows, size_t apart, int count, int features, float* to) {
  in_tiles_of<kRows>(count, [&](auto n, int at) {
    constexpr int R = decltype(n)::value;
    for (int r = 0; r < R; ++r) {
      for (int k = 0; k < features; ++k) to[static_cast<size_t>(k) * R + r] = rows[(at + r) * apart + k];
    }
    to += static_cast<size_t>(R) * features;
  });
}

// A tile of R rows by a panel. Meanwhile `soon` is fetched, so many floats a feature.
template <int R>
__attribute__((noinline)) void multiply(const float* rows, const float* panel, int features, const float* soon,
                                        int some, float* product) {
  V sums[R][2];
#pragma GCC unroll 14
  for (int r = 0; r < R; ++r) sums[r][0] = load(panel), sums[r][1] = load(panel + W);
#pragma GCC unroll 4
  for (int k = 0; k < features; ++k, rows += R, soon += some) {
    __builtin_prefetch(soon, 0, 2);
    panel += kPanel;
    const V left = load(panel), right = load(panel + W);
#pragma GCC unroll 14
    for (int r = 0; r < R; ++r) {
      const float x = rows[r];
      sums[r][0] += x * left;
      sums[r][1] += x * right;
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < R; ++r) store(product + r * kPanel, sums[r][0]), store(product + r * kPanel + W, sums[r][1]);
}

// use(product, at, how many) for all tiles of the rows that `read_rows` gave. Shapes: product (how many, kPanel)
template <class F>
INLINE void each_product(const float* rows, int count, int features, const float* panel, const F& use) {
  const size_t size = panel_size(features);
  const int tiles = (count + kRows - 1) / kRows, some = size / (static_cast<size_t>(tiles) * features) + 1;
  const float* soon = panel + size;  // the next panel, a part of it with each tile
  in_tiles_of<kRows>(count, [&](auto n, int at) INLINED {
    constexpr int R = decltype(n)::value;
    alignas(64) float product[R * kPanel];
    multiply<R>(rows + static_cast<size_t>(at) * features, panel, features, soon, some, product);
    soon += static_cast<size_t>(some) * features;
    use(product, at, R);
  });
}

}  // namespace product
}  // namespace
}  // namespace seqloom
