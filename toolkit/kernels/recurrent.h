// Recurrent layers over right-padded sequences on a CPU: what a caller gives and gets. No TensorFlow in here.
#pragma once

#include <cstddef>

namespace seqloom {

enum class Cell { kRnn, kLstm, kGru };

// How many rows of an array away a row of the batch is from the next one, and a step from the next one.
struct Apart {
  int row, step;
};

// One layer and one direction. Arrays are dense, row-major float32, in Keras' layouts and order of gates:
//   rnn   h[t] = tanh(W x[t] + U h[t-1] + b)
//   lstm  i, f, o = sigmoid(W x[t] + U h[t-1] + b); c[t] = f c[t-1] + i tanh(...); h[t] = o tanh(c[t])      i, f, c, o
//   gru   z, r = sigmoid(W x[t] + b + U h[t-1] + d); g = tanh(W x[t] + b + r (U h[t-1] + d));               z, r, h
//         h[t] = z h[t-1] + (1 - z) g
// Each row is read inside its own length, from its end where `reverse` is set; padding is never read.
struct Layer {
  Cell cell;
  bool reverse;
  int batch, time, features, units;
  const int* lengths;      // (batch,), each from 0 to time
  const float* inputs;     // (batch, time, features), or as `in` says
  const float* kernel;     // (features, gates * units)
  const float* recurrent;  // (units, gates * units)
  const float* bias;       // (gates * units,); (2, gates * units) for a gru. Not read by `backward`.
  const float* initial;    // (states, batch, units), h and the c of an lstm; null for zeros
  float* outputs;          // (batch, time, units), or as `out` says, zeros past the length; null where nobody asks
  float* final;            // (states, batch, units), after a row's last step. Not used by `backward`.
  float* saved;            // (time, place in the order, saved_size), by 64 bytes; null where no `backward` follows
  Apart in, out;           // {time, 1} both if a `backward` follows
};

struct Gradients {
  const float* outputs;  // given, null for zeros; what stands past the length is not read
  const float* final;    // given
  float* inputs;         // null where nobody asks
  float *kernel, *recurrent, *bias, *initial;  // initial is null if the layer's is
};

static inline int states(Cell cell) { return cell == Cell::kLstm ? 2 : 1; }
static inline int gates(Cell cell) { return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1; }
static inline int columns(Cell cell) { return cell == Cell::kGru ? 3 : 4; }

// Units are padded to whole vectors of the widest kind; four vectors of gates, or of an rnn's units, go together.
static inline int padded(Cell cell, int units) { return cell == Cell::kRnn ? (units + 63) / 64 * 64 : (units + 15) / 16 * 16; }
static inline int gates_size(Cell cell, int units) { return padded(cell, units) * (cell == Cell::kRnn ? 1 : 4); }

// An rnn needs no more than its outputs, a gru g, z, r and U h + d, an lstm i, f, g, o and the c before.
static inline int saved_size(Cell cell, int units) {
  return cell == Cell::kRnn ? 0 : padded(cell, units) * (cell == Cell::kLstm ? 5 : 4);
}

// Rows go through all their steps without waiting for others, so threads need not meet before the end.
constexpr int kGroup = 96;  // the most rows that go together

// The same functions, compiled for one instruction set each.
struct Kernel {
  const char* name;
  // Floats of memory that the caller lends: weights as each pass reads them, what a thread works in, what it adds up.
  size_t (*packed_size)(const Layer&);
  size_t (*scratch_size)(const Layer&);
  size_t (*sums_size)(const Layer&);
  void (*pack_forward)(const Layer&, float* packed);
  void (*pack_backward)(const Layer&, float* packed);
  // Rows order[first] and so on, up to kGroup of them, the longest first. Both passes have the same order.
  void (*forward)(const Layer&, const float* packed, const int* order, int first, int count, float* scratch);
  void (*backward)(const Layer&, const Gradients&, const float* packed, const int* order, int first, int count,
                   float* scratch, float* sums);
  // Gradients of the weights from what `threads` threads added up, always in the same order.
  void (*reduce)(const Layer&, const Gradients&, const float* sums, int threads);
};

extern const Kernel kPortable;
#if defined(__x86_64__)
extern const Kernel kAvx2, kAvx512, kAmx;
#endif

}  // namespace seqloom
