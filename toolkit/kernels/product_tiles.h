// Products of rows by a panel of two vectors of columns, in the tile registers of AMX.
//
// Tiles multiply bfloat16 numbers, whose 8 bits are too few. A float32 is nearly the sum of two of them, high and low,
// to 2^-18 of it, and of the four products of two such sums the one of both lows is as small: three are left.
//   a b = high(a) high(b) + high(a) low(b) + low(a) high(b)
// They are added up in float32. A term has a relative error of about 1e-5 at most, and others cancel it.
#pragma once

#include "vectors.h"

namespace seqloom {
namespace {
namespace product {

constexpr int kTile = 16;  // rows of a tile, and columns
constexpr int kDeep = 32;  // features of a tile
constexpr int kNumbers = kTile * kDeep, kFloats = kNumbers / 2;  // of a tile, bfloat16, and floats in as much memory
constexpr int kRows = 32;  // that go together
constexpr int kPanel = 2 * W;
constexpr int kHigh = 0, kLow = 1;

struct Ready {  // what a thread needs while it multiplies
  Ready() {
    alignas(64) static const unsigned char shapes[64] = {  // of all tiles 64 bytes by 16 rows
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 16, 16, 16, 16, 16, 16, 16};
    _tile_loadconfig(shapes);
  }
  ~Ready() { _tile_release(); }
};

INLINE int steps_of(int features) { return (features + kDeep - 1) / kDeep; }

// Floats of a panel: a number for each column to begin with, such as its bias, then by step the high parts of the left
// and the right tile, and their low parts.
INLINE size_t panel_size(int features) { return static_cast<size_t>(steps_of(features)) * 4 * kFloats + kPanel; }

// Of each number the high part, and of what is left of it.
INLINE void split(V x, __m256i* high, __m256i* low) {
  *high = (__m256i)_mm512_cvtneps_pbh(x);
  const V rest = x - (V)_mm512_slli_epi32(_mm512_cvtepu16_epi32(*high), 16);
  *low = (__m256i)_mm512_cvtneps_pbh(rest);
}

// The weights of a panel, of which so many columns are real. A weight stands `row` after the one above, and `column`
// after the one before. Shapes: weights (features, real)
INLINE void pack_weights(const float* weights, size_t row, size_t column, int features, int real, float* packed) {
  std::memset(packed, 0, sizeof(float) * (panel_size(features) - kPanel));
  const auto line = [&](int k, int side) INLINED {
    const int left = k < features ? real - side * W : 0;
    V x{};
    if (left > 0 && column == 1) return load(weights + k * row + side * W, left);
    for (int i = 0; i < left && i < W; ++i) x[i] = weights[k * row + (side * W + i) * column];
    return x;
  };
  for (int k = 0; k < features; k += 2) {  // a column's numbers of two features stand together
    float* to = packed + static_cast<size_t>(k / kDeep) * 4 * kFloats + k % kDeep / 2 * kTile;
    for (int side = 0; side < 2; ++side) {
      __m256i first[2], second[2];
      split(line(k, side), &first[kHigh], &first[kLow]);
      split(line(k + 1, side), &second[kHigh], &second[kLow]);
      for (int part = 0; part < 2; ++part) {
        const __m512i both = _mm512_slli_epi32(_mm512_cvtepu16_epi32(second[part]), 16);
        _mm512_storeu_si512(to + (2 * part + side) * kFloats, both | _mm512_cvtepu16_epi32(first[part]));
      }
    }
  }
}

INLINE size_t read_size(int rows, int features) {
  return static_cast<size_t>((rows + kTile - 1) / kTile) * steps_of(features) * 2 * kFloats;
}

// Rows, so many floats apart, as products read them: by tile and step the high parts and the low parts.
INLINE void read_rows(const float* rows, size_t apart, int count, int features, float* to) {
  const int steps = steps_of(features);
  std::memset(to, 0, sizeof(float) * read_size(count, features));
  for (int r = 0; r < count; ++r) {
    for (int k = 0; k < features; k += W) {
      unsigned short* step = reinterpret_cast<unsigned short*>(to) +
                             (static_cast<size_t>(r / kTile) * steps + k / kDeep) * 2 * kNumbers + r % kTile * kDeep + k % kDeep;
      __m256i high, low;
      split(load(rows + r * apart + k, features - k), &high, &low);
      std::memcpy(step, &high, sizeof high), std::memcpy(step + kNumbers, &low, sizeof low);
    }
  }
}

// One tile of rows by a panel, or two. Meanwhile `soon` is fetched, so many floats a step.
template <bool kTwo>
__attribute__((noinline)) void multiply(const float* rows, const float* panel, int steps, const float* soon, int some,
                                        float* product) {
  asm volatile("" ::: "memory");  // compilers do not know that tiles read memory
  const float* second = rows + static_cast<size_t>(steps) * 2 * kFloats;
  _tile_loadd(0, panel, 0);  // the same for all rows
  _tile_loadd(1, panel + W, 0);
  if (kTwo) {
    _tile_loadd(2, panel, 0);
    _tile_loadd(3, panel + W, 0);
  }
  panel += kPanel;
  for (int step = 0; step < steps; ++step, rows += 2 * kFloats, second += 2 * kFloats, panel += 4 * kFloats, soon += some) {
    for (int i = 0; i < some; i += 16) __builtin_prefetch(soon + i, 0, 2);
    const auto read = [&](int part) INLINED {
      _tile_loadd(4, rows + part * kFloats, 64);
      if (kTwo) _tile_loadd(5, second + part * kFloats, 64);
    };
    const auto read_weights = [&](int part) INLINED {
      _tile_loadd(6, panel + 2 * part * kFloats, 64);
      _tile_loadd(7, panel + (2 * part + 1) * kFloats, 64);
    };
    const auto add = [&]() INLINED {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      if (kTwo) {
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
    };
    read(kLow), read_weights(kHigh), add();
    read(kHigh), add();
    read_weights(kLow), add();
  }
  constexpr int kStride = sizeof(float) * kPanel;
  _tile_stored(0, product, kStride);
  _tile_stored(1, product + W, kStride);
  if (kTwo) {
    _tile_stored(2, product + kTile * kPanel, kStride);
    _tile_stored(3, product + kTile * kPanel + W, kStride);
  }
}

// use(product, at, how many) for all tiles of the rows that `read_rows` gave. Shapes: product (how many, kPanel)
template <class F>
INLINE void each_product(const float* rows, int count, int features, const float* panel, const F& use) {
  const int steps = steps_of(features), tiles = (count + kRows - 1) / kRows;
  const float* soon = panel + panel_size(features);  // the next panel, a part of it with each tile
  const int some = 4 * kFloats / tiles + 1;
  for (int at = 0; at < count; at += kRows, soon += static_cast<size_t>(some) * steps) {
    alignas(64) float product[kRows * kPanel];
    const float* tile = rows + static_cast<size_t>(at / kTile) * steps * 2 * kFloats;
    const auto run = count - at > kTile ? multiply<true> : multiply<false>;
    run(tile, panel, steps, soon, some, product);
    use(product, at, count - at < kRows ? count - at : kRows);
  }
}

}  // namespace product
}  // namespace
}  // namespace seqloom
