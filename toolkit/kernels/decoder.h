// A recurrent decoder with attention and input feeding on a CPU: what a caller gives and gets. No TensorFlow in here.
#pragma once

#include <cstddef>

#include "recurrent.h"

namespace seqloom {

// One layer over all steps of the target. Arrays are dense, row-major float32.
//   z[t] = inputs[t] + [a[t-1] * mask; h[t-1]] R     a[-1] = 0; an lstm's i, f, c, o, a gru's z, r, h of W x, h of U h
//   h[t] = cell(z[t], h[t-1])                        see recurrent.h
//   q[t] = h[t] Q + bias                             Bahdanau's attention; Luong's has q[t] = h[t]
//   e[t,s] = energy . tanh(q[t] + keys[s])           Luong's q[t] . keys[s]
//   w[t] = softmax(e[t]) over the real s; a[t] = tanh([h[t]; sum over s of w[t,s] memory[s]] C + bias)
struct Decoder {
  Cell cell;
  bool additive;  // whether it is Bahdanau's attention
  int features, batch, time, source, units, width;  // features: 0, but for a step of a search
  const int* lengths;                        // (batch,), each from 0 to source; all weights of an empty row are 0
  const float* inputs;                       // (batch, time, columns)
  const float* recurrent;                    // (2 units, columns)
  const float* mask;                         // (batch, units)
  const float* initial;                      // (states, batch, units), h and the c of an lstm
  const float *memory, *keys;                // (batch, source, width), (batch, source, units)
  const float *query, *query_bias, *energy;  // (units, units), (units,), (units,); read if additive
  const float *combine, *combine_bias;       // (units + width, units), (units,)
  float *outputs, *weights;                  // a: (batch, time, units), w: (batch, time, source)
  // What the gradients need, all null where nobody asks: what R multiplies, what C multiplies, gates as they come from
  // the activations, then c of an lstm, and q. (batch, time, 2 units), (.., units + width), (.., kept), (.., units)
  float *before, *after, *gates, *queries;
};

static inline int columns_of(const Decoder& d) { return (d.cell == Cell::kRnn ? 1 : 4) * d.units; }
static inline int kept_of(const Decoder& d) { return columns_of(d) + (d.cell == Cell::kLstm ? d.units : 0); }

// The caller adds up the gradients of what all steps share: of R, before' inputs; of Q, h' queries; of C, after'
// combined; of the memory, w' contexts.
struct DecoderGradients {
  const float *outputs, *weights;  // given; null for zeros
  float *inputs, *initial, *keys;  // as those of the decoder
  float* energy;                   // (batch, units), of each row; null unless additive, as are queries
  float *queries, *combined;       // (batch, time, units) each: of q, and of what C gives
  float* contexts;                 // (batch, time, width), of what is read of the memory
};

// A step of a search, with rows that share what they look at: so many beams of each sentence, a row of `decoder`. Those
// with the same state share its product too.
//   z = [words[token]; a; h] R + bias     R (features + 2 units, columns)
// Of `decoder` it reads the sizes but time, the lengths, memory, keys, and the biases and the energy of its layers.
struct SearchStep {
  Decoder decoder;
  int beams;
  const float *words, *bias;  // (vocab, features), (columns,)
  float* given;               // (vocab, columns), of all tokens that steps read words[token] by their rows of R, + bias
  const int* tokens;          // (rows,)
  const float* state;         // (rows, n units): h, c of an lstm, a
  float *next, *weights;      // the state after the step; (rows, source)
};

// The same functions, compiled for one instruction set each.
struct DecoderKernel {
  // Floats of memory that the caller lends: weights as each pass reads them, and what a thread works in.
  size_t (*packed_size)(const Decoder&);
  size_t (*scratch_size)(const Decoder&);
  void (*pack_forward)(const Decoder&, float* packed);
  void (*pack_backward)(const Decoder&, float* packed);
  // The rows from `first` on, up to kGroup of them. Rows do not depend on each other.
  void (*forward)(const Decoder&, const float* packed, int first, int count, float* scratch);
  void (*backward)(const Decoder&, const DecoderGradients&, const float* packed, int first, int count, float* scratch);
  void (*step)(const SearchStep&, const float* packed, int first, int count, float* scratch);
  // What up to kGroup tokens give every step that reads them; it does not depend on other tokens.
  void (*give)(const SearchStep&, const float* packed, const int* tokens, int count, float* scratch);
};

extern const DecoderKernel kDecoderPortable;
#if defined(__x86_64__)
extern const DecoderKernel kDecoderAvx2, kDecoderAvx512, kDecoderAmx;
#endif

}  // namespace seqloom
