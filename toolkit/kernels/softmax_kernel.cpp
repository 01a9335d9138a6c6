// The softmax of softmax.h for one instruction set. Compiled once for each, with SEQLOOM_SET.
#include "softmax.h"

#include <cmath>

#include "vectors.h"

namespace seqloom {
namespace {

void forward(const Softmax& s, size_t first, size_t end) {
  for (size_t row = first; row < end; ++row) {
    const float* logits = s.logits + row * s.vocab;
    const int whole = s.vocab / W * W;
    V greatest = V{} - __builtin_inff(), sum{};
    for (int i = 0; i < whole; i += W) {
      const V x = load(logits + i);
      greatest = x > greatest ? x : greatest;
      sum += x;
    }
    float most = -__builtin_inff(), total = 0;
    for (int i = 0; i < W; ++i) most = greatest[i] > most ? greatest[i] : most, total += sum[i];
    for (int i = whole; i < s.vocab; ++i) most = logits[i] > most ? logits[i] : most, total += logits[i];
    V exponentials{};
    for (int i = 0; i < whole; i += W) exponentials += exp(load(logits + i) - most);
    double all = 0;
    for (int i = 0; i < W; ++i) all += exponentials[i];
    for (int i = whole; i < s.vocab; ++i) all += std::exp(logits[i] - most);
    s.normalizer[row] = most + static_cast<float>(std::log(all));
    s.mean[row] = total / s.vocab;
    s.picked[row] = logits[s.ids[row]];
  }
}

void backward(const Softmax& s, size_t first, size_t end) {
  for (size_t row = first; row < end; ++row) {
    const float* logits = s.logits + row * s.vocab;
    float* to = s.d_logits + row * s.vocab;
    const float normalizer = s.normalizer[row], d = s.d_normalizer[row], all = s.mean[row] / s.vocab;
    for (int i = 0; i < s.vocab; i += W) {
      store(to + i, all + d * exp(load(logits + i, s.vocab - i) - normalizer), s.vocab - i);
    }
    to[s.ids[row]] += s.picked[row];
  }
}

}  // namespace

SEQLOOM_TABLE(SoftmaxKernel, kSoftmax) = {forward, backward};

}  // namespace seqloom
