// What a search needs, as functions of C for Python's ctypes, without TensorFlow: the step of decoder.h and the output
// layer of output.h.
#include "decoder.h"

#include <algorithm>
#include <memory>
#include <new>

#include "output.h"
#include "processor.h"

namespace seqloom {
namespace {

const OutputKernel& Chosen() {
  static const OutputKernel& kernel = CHOOSE(kOutput);
  return kernel;
}

const DecoderKernel& ChosenStep() {
  static const DecoderKernel& kernel = CHOOSE(kDecoder);
  return kernel;
}

}  // namespace

extern "C" {

const char* seqloom_search_name() { return Chosen().name; }

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

int64_t seqloom_decoder_packed_size(const Decoder* decoder) { return ChosenStep().packed_size(*decoder); }

void seqloom_decoder_pack(const Decoder* decoder, float* packed) { ChosenStep().pack_forward(*decoder, packed); }

// Returns whether there was memory.
int seqloom_decoder_step(const SearchStep* step, const float* packed) {
  const DecoderKernel& kernel = ChosenStep();
  const std::unique_ptr<float[]> scratch(new (std::nothrow) float[kernel.scratch_size(step->decoder)]);
  const int rows = step->decoder.batch * step->beams;
  for (int first = 0; scratch && first < rows; first += kGroup) {
    kernel.step(*step, packed, first, std::min(kGroup, rows - first), scratch.get());
  }
  return scratch != nullptr;
}

}  // extern "C"

}  // namespace seqloom
