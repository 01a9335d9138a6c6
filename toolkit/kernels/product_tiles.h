// Products of rows by panels of two vectors of columns, in the tile registers of AMX.
//
// Tiles multiply bfloat16 numbers, whose 8 bits are too few. A float32 is nearly the sum of two of them, high and low,
// to 2^-18 of it, and of the four products of two such sums the one of both lows is as small: three are left.
//   a b = high(a) high(b) + high(a) low(b) + low(a) high(b)
// They are added up in float32. A term has a relative error of about 1e-5 at most, and others cancel it. A third part and
// six products would leave none, and gain little over vectors.
#pragma once

#include "vectors.h"

namespace seqloom {
namespace {
namespace product {

constexpr int kTile = 16;  // rows of a tile, and columns
constexpr int kDeep = 32;  // features of a tile
constexpr int kFloats = kTile * kDeep / 2;  // in whose memory a tile of bfloat16 numbers has its place
constexpr int kRows = 32;  // that go together
constexpr int kPanel = 2 * W;
constexpr int kParts = 2;  // of a number, high and low
constexpr int kReadStep = kParts * kFloats, kPackedStep = 2 * kReadStep;  // floats of kDeep features

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

// The parts of numbers.
INLINE void split(V x, __m256i* parts) {
#pragma GCC unroll 2
  for (int part = 0; part < kParts; ++part) {
    parts[part] = (__m256i)_mm512_cvtneps_pbh(x);
    x -= (V)_mm512_slli_epi32(_mm512_cvtepu16_epi32(parts[part]), 16);
  }
}

// ---- weights ----

// Floats of a panel: a number for each column to begin with, such as its bias, then by step and part the left tile and
// the right one.
INLINE size_t panel_size(int features) { return static_cast<size_t>(steps_of(features)) * kPackedStep + kPanel; }

// One step of a panel: kDeep rows of kPanel weights, so many floats apart.
INLINE void pack_step(const float* weights, size_t apart, float* packed) {
  for (int k = 0; k < kDeep; k += 2, weights += 2 * apart, packed += kTile) {  // two rows' numbers stand together
    for (int side = 0; side < 2; ++side) {
      __m256i first[kParts], second[kParts];
      split(load(weights + side * W), first);
      split(load(weights + apart + side * W), second);
      for (int part = 0; part < kParts; ++part) {
        const __m512i both = _mm512_slli_epi32(_mm512_cvtepu16_epi32(second[part]), 16);
        _mm512_storeu_si512(packed + (2 * part + side) * kFloats, both | _mm512_cvtepu16_epi32(first[part]));
      }
    }
  }
}

// The weights of a panel, of which so many columns are real. A weight stands `row` after the one above, and `column`
// after the one before. Shapes: weights (features, real)
INLINE void pack_weights(const float* weights, size_t row, size_t column, int features, int real, float* packed) {
  for (int k = 0; k < features; k += kDeep, packed += kPackedStep) {
    float step[kDeep * kPanel] = {};
    for (int i = 0; i < kDeep && k + i < features; ++i) {
      for (int c = 0; c < kPanel && c < real; ++c) step[i * kPanel + c] = weights[(k + i) * row + c * column];
    }
    pack_step(step, kPanel, packed);
  }
}

// ---- rows ----

INLINE size_t read_size(int rows, int features) {
  return static_cast<size_t>((rows + kTile - 1) / kTile) * steps_of(features) * kReadStep;
}

// Where a row begins in tiles of so many steps.
INLINE float* place_in_tiles(float* tiles, int row, int steps) {
  return tiles + static_cast<size_t>(row / kTile) * steps * kReadStep + row % kTile * (kDeep / 2);
}

// A row as products read it, by step and part. What fills up the last step stays as it is.
INLINE void read_row(const float* row, int features, float* to) {
  for (int k = 0; k < features; k += W) {
    float* step = to + static_cast<size_t>(k / kDeep) * kReadStep + k % kDeep / 2;
    __m256i parts[kParts];
    split(load(row + k, features - k), parts);
    for (int part = 0; part < kParts; ++part) std::memcpy(step + part * kFloats, &parts[part], sizeof parts[part]);
  }
}

// Rows, so many floats apart, as products read them: by tile and step.
INLINE void read_rows(const float* rows, size_t apart, int count, int features, float* to) {
  std::memset(to, 0, sizeof(float) * read_size(count, features));
  for (int r = 0; r < count; ++r) read_row(rows + r * apart, features, place_in_tiles(to, r, steps_of(features)));
}

// ---- products ----

// What to fetch into the nearer cache meanwhile: so many floats at each step of a product.
struct Fetch {
  const float* from;
  int some;
};

// One tile of rows by a panel, or two. A row of the product is `wide` floats long.
template <bool kTwo>
__attribute__((noinline)) void multiply(const float* rows, const float* panel, int steps, Fetch fetch, float* product,
                                        int wide) {
  asm volatile("" ::: "memory");  // compilers do not know that tiles read memory
  const float *second = rows + static_cast<size_t>(steps) * kReadStep, *weights = panel + kPanel;
  _tile_loadd(0, panel, 0);  // the same for all rows
  _tile_loadd(1, panel + W, 0);
  if (kTwo) {
    _tile_loadd(2, panel, 0);
    _tile_loadd(3, panel + W, 0);
  }
  for (int step = 0; step < steps; ++step, rows += kReadStep, second += kReadStep, weights += kPackedStep) {
    for (int i = 0; i < fetch.some; i += 16) __builtin_prefetch(fetch.from + i, 0, 2);
    fetch.from += fetch.some;
    const auto read = [&](int part) INLINED {
      _tile_loadd(4, rows + part * kFloats, 64);
      if (kTwo) _tile_loadd(5, second + part * kFloats, 64);
    };
    const auto read_weights = [&](int part) INLINED {
      _tile_loadd(6, weights + 2 * part * kFloats, 64);
      _tile_loadd(7, weights + (2 * part + 1) * kFloats, 64);
    };
    const auto add = [&]() INLINED {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      if (kTwo) {
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
    };
    read_weights(0), read(1), add();
    read(0), add();
    read_weights(1), add();
  }
  const int stride = sizeof(float) * wide;
  _tile_stored(0, product, stride);
  _tile_stored(1, product + W, stride);
  if (kTwo) {
    _tile_stored(2, product + kTile * wide, stride);
    _tile_stored(3, product + kTile * wide + W, stride);
  }
}

// use(product, at, how many) for all tiles of the rows that were read, of so many steps, by N panels that stand one
// after the other. Shapes: product (how many, N kPanel)
template <int N, class F>
INLINE void each_product_of(const float* rows, int count, int steps, const float* panels, const F& use) {
  const size_t size = panel_size(steps * kDeep);
  Fetch fetch{panels + N * size, kPackedStep / ((count + kRows - 1) / kRows) + 1};  // the next panels
  for (int at = 0; at < count; at += kRows) {
    alignas(64) float product[kRows * N * kPanel];
    const float* tile = rows + static_cast<size_t>(at / kTile) * steps * kReadStep;
    const auto run = count - at > kTile ? multiply<true> : multiply<false>;
    for (int n = 0; n < N; ++n, fetch.from += static_cast<size_t>(fetch.some) * steps) {
      run(tile, panels + n * size, steps, fetch, product + n * kPanel, N * kPanel);
    }
    use(product, at, count - at < kRows ? count - at : kRows);
  }
}

// The same for one panel and rows that `read_rows` gave. Shapes: product (how many, kPanel)
template <class F>
INLINE void each_product(const float* rows, int count, int features, const float* panel, const F& use) {
  each_product_of<1>(rows, count, steps_of(features), panel, use);
}

}  // namespace product
}  // namespace
}  // namespace seqloom
