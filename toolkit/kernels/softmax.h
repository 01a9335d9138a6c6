// What a loss needs of a softmax over a vocabulary, on a CPU. No TensorFlow in here.
#pragma once

#include <cstddef>

namespace seqloom {

// Of each row of logits (rows, vocab): normalizer = log(sum of exp(logits)), mean = mean(logits), picked = logits[id].
// All arrays are dense, row-major float32; a row's id is from 0 to vocab - 1.
struct Softmax {
  int vocab;
  const float* logits;
  const int* ids;
  float *normalizer, *mean, *picked;  // (rows,), given to `backward` as their gradients but for the first
  float* d_normalizer;                // (rows,), read by `backward`
  float* d_logits;                    // may be the logits
};

// The same functions, compiled for one instruction set each, for the rows from `first` on.
struct SoftmaxKernel {
  void (*forward)(const Softmax&, size_t first, size_t end);
  void (*backward)(const Softmax&, size_t first, size_t end);
};

extern const SoftmaxKernel kSoftmaxPortable;
#if defined(__x86_64__)
extern const SoftmaxKernel kSoftmaxAvx2, kSoftmaxAvx512;
#endif

}  // namespace seqloom
