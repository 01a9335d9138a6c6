// The output layer of output.h as functions of C, for Python's ctypes: it needs no TensorFlow.
#include "output.h"

#include <memory>
#include <new>

#include "processor.h"

namespace seqloom {
namespace {

const OutputKernel& Choose() {
#if defined(__x86_64__)
  const Instructions instructions = choose_instructions();
  if (instructions == Instructions::kAvx512) return kOutputAvx512;
  if (instructions == Instructions::kAvx2) return kOutputAvx2;
#endif
  return kOutputPortable;
}

const OutputKernel& Chosen() {
  static const OutputKernel& kernel = Choose();
  return kernel;
}

}  // namespace

extern "C" {

const char* seqloom_output_name() { return Chosen().name; }

int64_t seqloom_output_packed_size(int features, int vocab) { return Chosen().packed_size(features, vocab); }

void seqloom_output_pack(int features, int vocab, const float* kernel, const float* bias, float* packed) {
  Chosen().pack(features, vocab, kernel, bias, packed);
}

// Returns whether there was memory.
int seqloom_output_best(int features, int vocab, const float* packed, int64_t rows, const float* states, int k,
                        float* scores, int64_t* tokens) {
  const std::unique_ptr<float[]> scratch(new (std::nothrow) float[Chosen().scratch_size(rows, features, k)]);
  if (scratch) Chosen().best({features, vocab, packed}, rows, states, k, scores, tokens, scratch.get());
  return scratch != nullptr;
}

}  // extern "C"

}  // namespace seqloom
