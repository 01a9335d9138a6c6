// The output layer of a search on a CPU: what a caller gives and gets.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seqloom {

// log P[y] = logit[y] - log(sum over all tokens of exp(logit)),  logit = states W + b
// All arrays are dense, row-major float32. Logits never go to memory: they are used as they leave the registers.
struct Output {
  int features, vocab;
  const float* packed;  // kernel (features, vocab) and bias (vocab,) as `pack` writes them
};

// The same functions, compiled for one instruction set each.
struct OutputKernel {
  const char* name;
  // Floats of memory that the caller lends: the weights as `best` reads them, and what it works in.
  size_t (*packed_size)(int features, int vocab);
  size_t (*scratch_size)(int64_t rows, int features, int k);
  void (*pack)(int features, int vocab, const float* kernel, const float* bias, float* packed);
  // The k best log-probabilities of each row and their tokens, best first, of equal ones the lower token first.
  // Shapes: states (rows, features) -> scores, tokens (rows, k), k from 1 to vocab. Rows do not depend on each other.
  void (*best)(const Output&, int64_t rows, const float* states, int k, float* scores, int64_t* tokens, float* scratch);
};

extern const OutputKernel kOutputPortable;
#if defined(__x86_64__)
extern const OutputKernel kOutputAvx2, kOutputAvx512, kOutputAmx;
#endif

}  // namespace seqloom
