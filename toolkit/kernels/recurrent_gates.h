// In which order the kernels of recurrent layers keep gates.
#pragma once

#include "recurrent.h"
#include "tiles.h"

namespace seqloom {
namespace {

// A panel is four vectors of a step's gates: the gates of as many units as a vector is wide, or four times as many units
// of an rnn. A gru's gates stand in the order g, z, r, U h + d, so that the inputs feed the first three and the state
// the last three. Here is where the vectors of panels stand in Keras' arrays: columns [first, first + columns) of each.
struct Gates {
  Cell cell;
  int units, size, panels, columns;

  explicit Gates(const Layer& layer)
      : cell(layer.cell),
        units(layer.units),
        size(gates_size(layer.cell, layer.units)),
        panels(size / kPanel),
        columns(seqloom::columns(layer.cell)) {}

  int unit(int panel, int column) const { return (cell == Cell::kRnn ? 4 * panel + column : panel) * W; }
  int gate(int column) const { return cell == Cell::kLstm ? column : cell == Cell::kRnn ? 0 : (column + 2) % 3; }
  size_t width() const { return static_cast<size_t>(gates(cell)) * units; }
  size_t row() const { return static_cast<size_t>(panels) * columns * W; }  // floats of a row of weights
  int recurrent_first() const { return 4 - columns; }

  // f(place among the vectors of a row, place in Keras' row, how many floats) for all vectors that hold any
  template <class F>
  INLINE void each(int first, const F& f) const {
    for (int panel = 0; panel < panels; ++panel) {
      for (int column = 0; column < columns; ++column) {
        const int at = unit(panel, first + column), left = units - at;
        if (left > 0) f((panel * columns + column) * W, gate(first + column) * units + at, left < W ? left : W);
      }
    }
  }
};

}  // namespace
}  // namespace seqloom
