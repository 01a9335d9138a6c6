// What predicts, as functions of C for Python's ctypes, without TensorFlow: the layers of recurrent.h, and of a search
// the step of decoder.h and the output layer of output.h.
#include <algorithm>
#include <memory>
#include <new>
#include <numeric>

#include "decoder.h"
#include "memory.h"
#include "output.h"
#include "processor.h"
#include "recurrent.h"

namespace seqloom {
namespace {

#if defined(SEQLOOM_AMX)
#define CHOOSE_TILES(prefix) (choose_tiles() ? prefix##Amx : CHOOSE(prefix))
#else
#define CHOOSE_TILES CHOOSE
#endif

const OutputKernel& ChosenOutput() {
  static const OutputKernel& kernel = CHOOSE_TILES(kOutput);
  return kernel;
}

const Kernel& ChosenLayer() {
  static const Kernel& kernel = CHOOSE_TILES(k);
  return kernel;
}

const DecoderKernel& ChosenStep() {
  static const DecoderKernel& kernel = CHOOSE_TILES(kDecoder);
  return kernel;
}

}  // namespace

extern "C" {

const char* seqloom_name() { return ChosenOutput().name; }

int64_t seqloom_output_packed_size(int features, int vocab) { return ChosenOutput().packed_size(features, vocab); }

void seqloom_output_pack(int features, int vocab, const float* kernel, const float* bias, float* packed) {
  ChosenOutput().pack(features, vocab, kernel, bias, packed);
}

// Returns whether there was memory.
int seqloom_output_best(int features, int vocab, const float* packed, int64_t rows, const float* states, int k,
                        float* scores, int64_t* tokens) {
  const auto scratch = Scratch(ChosenOutput().scratch_size(rows, features, k));
  if (scratch) ChosenOutput().best({features, vocab, packed}, rows, states, k, scores, tokens, scratch.get());
  return scratch != nullptr;
}

int64_t seqloom_decoder_packed_size(const Decoder* decoder) { return ChosenStep().packed_size(*decoder); }

void seqloom_decoder_pack(const Decoder* decoder, float* packed) { ChosenStep().pack_forward(*decoder, packed); }

// Returns whether there was memory.
int seqloom_decoder_step(const SearchStep* step, const float* packed) {
  const DecoderKernel& kernel = ChosenStep();
  const auto scratch = Scratch(kernel.scratch_size(step->decoder));
  const int rows = step->decoder.batch * step->beams;
  for (int first = 0; scratch && first < rows; first += kGroup) {
    kernel.step(*step, packed, first, std::min(kGroup, rows - first), scratch.get());
  }
  return scratch != nullptr;
}

// Returns whether there was memory.
int seqloom_decoder_give(const SearchStep* step, const float* packed, const int* tokens, int count) {
  const DecoderKernel& kernel = ChosenStep();
  const auto scratch = Scratch(kernel.scratch_size(step->decoder));
  for (int first = 0; scratch && first < count; first += kGroup) {
    kernel.give(*step, packed, tokens + first, std::min(kGroup, count - first), scratch.get());
  }
  return scratch != nullptr;
}

int64_t seqloom_recurrence_packed_size(const Layer* layer) { return ChosenLayer().packed_size(*layer); }

void seqloom_recurrence_pack(const Layer* layer, float* packed) { ChosenLayer().pack_forward(*layer, packed); }

// Returns whether there was memory.
int seqloom_recurrence_run(const Layer* layer, const float* packed) {
  const Kernel& kernel = ChosenLayer();
  const auto scratch = Scratch(kernel.scratch_size(*layer));
  const std::unique_ptr<int[]> order(new (std::nothrow) int[layer->batch]);
  if (!scratch || !order) return 0;
  int* end = order.get() + layer->batch;
  std::iota(order.get(), end, 0);
  std::sort(order.get(), end, [&](int a, int b) {
    return layer->lengths[a] != layer->lengths[b] ? layer->lengths[a] > layer->lengths[b] : a < b;
  });
  for (int first = 0; first < layer->batch; first += kGroup) {
    kernel.forward(*layer, packed, order.get(), first, std::min(kGroup, layer->batch - first), scratch.get());
  }
  return 1;
}

}  // extern "C"

}  // namespace seqloom
