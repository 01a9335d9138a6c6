// A step of Adam for a table of which few rows have a gradient, on a CPU. No TensorFlow in here.
#pragma once

#include <cstddef>

namespace seqloom {

// Arrays are dense, row-major float32; -1 is no place.

// sums[i] = the values at firsts[i], at the place that `next` has for that, and so on.
struct RowSums {
  int width;
  const int* firsts;    // (sums,)
  const int* next;      // (values,)
  const float* values;  // (values, width)
  float* sums;          // (sums, width)
};

// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w = w - rate m / (sqrt(v) + epsilon)
// Kingma & Ba 2015, arXiv:1412.6980, algorithm 1 and the end of section 2.
struct AdamStep {
  int width;
  float rate, beta_1, beta_2, epsilon;
  const int* rows;      // (gradients,), whose they are, where only those are updated; else null
  const int* places;    // (rows,), where a row's gradient is, where all are updated
  const float* values;  // (gradients, width)
  float *w, *m, *v;     // (rows, width)
};

// The same functions, compiled for one instruction set each, for the sums, rows or gradients from `first` on.
struct AdamKernel {
  void (*sum)(const RowSums&, size_t first, size_t end);
  void (*update)(const AdamStep&, size_t first, size_t end);
};

extern const AdamKernel kAdamPortable;
#if defined(__x86_64__)
extern const AdamKernel kAdamAvx2, kAdamAvx512;
#endif

}  // namespace seqloom
