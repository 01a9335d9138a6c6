// What the gates of recurrent layers are taken of, in the tile registers of AMX: see product_tiles.h.
//
// A panel of gates is two panels there, its halves. All of its vectors have weights, a gru's zeros where they are not fed.
#pragma once

#include "product_tiles.h"
#include "recurrent_gates.h"

namespace seqloom {
namespace {

// Adds to half of a panel what it has of a row in Keras' array, which feeds `first` and the columns after it.
INLINE void add_half(const Gates& gates, int first, int half, const float* row, float* to) {
  for (int i = 0; i < 2; ++i) {
    const int column = half % 2 * 2 + i, unit = gates.unit(half / 2, column), left = gates.units - unit;
    if (column < first || column >= first + gates.columns || left <= 0) continue;
    store(to + i * W, load(to + i * W) + load(row + gates.gate(column) * gates.units + unit, left));
  }
}

// Steps of products by x and by h.
INLINE int x_steps(const Layer& layer) { return product::steps_of(layer.features); }
INLINE int all_steps(const Layer& layer) { return x_steps(layer) + product::steps_of(layer.units); }

void pack_forward(const Layer& layer, float* packed) {
  const Gates gates(layer);
  for (int half = 0; half < 2 * gates.panels; ++half) {
    const auto pack = [&](int first, const float* weights, int rows) {
      for (int from = 0; from < rows; from += product::kDeep, packed += product::kPackedStep) {
        float step[product::kDeep * product::kPanel] = {};
        for (int i = 0; i < product::kDeep && from + i < rows; ++i) {
          const float* row = weights + (from + i) * gates.width();
          add_half(gates, first, half, row, step + i * product::kPanel);
        }
        product::pack_step(step, product::kPanel, packed);
      }
    };
    std::memset(packed, 0, sizeof(float) * product::kPanel);
    add_half(gates, 0, half, layer.bias, packed);
    if (layer.cell == Cell::kGru) add_half(gates, gates.recurrent_first(), half, layer.bias + gates.width(), packed);
    packed += product::kPanel;
    pack(0, layer.kernel, layer.features);
    pack(gates.recurrent_first(), layer.recurrent, layer.units);
  }
}

// What the gates of a step are taken of: [x, h] by the weights.
struct StepProducts {
  const product::Ready ready;
  const Layer& layer;
  const float* packed;
  float* tiles;
  int size, steps;

  static size_t packed_size(const Layer& layer) {
    return Gates(layer).panels * 2 * product::panel_size(all_steps(layer) * product::kDeep);
  }

  static size_t work_size(const Layer& layer) {
    return product::read_size(kGroup, all_steps(layer) * product::kDeep);
  }

  StepProducts(const Layer& layer, const float* packed, float* work)
      : layer(layer), packed(packed), tiles(work), size(padded(layer.cell, layer.units)), steps(all_steps(layer)) {
    std::memset(tiles, 0, sizeof(float) * work_size(layer));
  }

  void read(const float* const* x, const float* h, int rows) const {
    for (int r = 0; r < rows; ++r) {
      float* to = product::place_in_tiles(tiles, r, steps);
      product::read_row(x[r], layer.features, to);
      product::read_row(h + r * size, layer.units, to + x_steps(layer) * product::kReadStep);
    }
  }

  // use(how many, at, sums) for tiles of the rows that were read. Shapes: sums (how many, 4) vectors
  template <Cell, class F>
  INLINE void each(int panel, int rows, const F& use) const {
    const float* halves = packed + panel * 2 * product::panel_size(steps * product::kDeep);
    product::each_product_of<2>(tiles, rows, steps, halves, [&](const float* sum, int first, int count) INLINED {
      in_tiles<4>(count, [&](auto n, int at) INLINED {
        constexpr int R = decltype(n)::value;
        V sums[R][4];
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
          for (int c = 0; c < 4; ++c) sums[r][c] = load(sum + (at + r) * kPanel + c * W);
        }
        use(n, first + at, sums);
      });
    });
  }
};

}  // namespace
}  // namespace seqloom
