// The output layer of output.h for one instruction set. Compiled once for each, with SEQLOOM_SET.
//
// A panel is two vectors of tokens: their biases, then their weights by feature. A tile of rows by one panel stays in
// registers from the bias to the logits. Those are compared with the worst of the best so far, which few exceed, and
// their exponentials are added up, less a number near the greatest so far, which seldom changes.
#include "output.h"

#include <cmath>

#include "vectors.h"

namespace seqloom {
namespace {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRows = 14;  // of a tile, which with two vectors fill the registers
#else
constexpr int kRows = 6;
#endif
constexpr int kPanel = 2 * W;
constexpr int kBlock = 768, kBlockFloats = 1 << 18;  // rows that go together through all panels, and their states
constexpr float kFar = 10.0f;      // how much greater than its reference a logit may be
constexpr float kLowest = -3e38f;  // the reference before there is one
const float kInfinity = __builtin_inff(), kNothing = __builtin_nanf("");

size_t panel_size(int features) { return static_cast<size_t>(features + 1) * kPanel; }

size_t packed_size(int features, int vocab) { return (vocab + kPanel - 1) / kPanel * panel_size(features); }

void pack(int features, int vocab, const float* kernel, const float* bias, float* packed) {
  for (int first = 0; first < vocab; first += kPanel, packed += panel_size(features)) {
    const int real = vocab - first < kPanel ? vocab - first : kPanel;
    for (int i = 0; i < kPanel; ++i) packed[i] = i < real ? bias[first + i] : -kInfinity;
    for (int k = 0; k < features; ++k) {
      float* to = packed + static_cast<size_t>(k + 1) * kPanel;
      std::memset(to, 0, sizeof(float) * kPanel);
      std::memcpy(to, kernel + static_cast<size_t>(k) * vocab + first, sizeof(float) * real);
    }
  }
}

// What is known of a row after some of its logits.
struct Row {
  float sums[W];    // of exp(logit - reference), by lane
  float reference;  // at most kFar less than the greatest logit
  float worst;      // of the best, which a logit must exceed to come among them; NaN while there are fewer than k
  int count;        // of the best
};

// The best of a row so far, in order. Shapes: scores, tokens (list_size(k),), of which the first `count` are used
struct List {
  float* scores;
  int32_t* tokens;
};

int list_size(int k) { return (k + W - 1) / W * W + W; }  // room to move whole vectors

// A bit for each lane that is not at most `bound`, which may be NaN.
INLINE unsigned above(V x, float bound) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(x, _mm512_set1_ps(bound), _CMP_NLE_UQ);
#elif defined(__AVX__)
  return _mm256_movemask_ps(_mm256_cmp_ps(x, _mm256_set1_ps(bound), _CMP_NLE_UQ));
#else
  unsigned bits = 0;
  for (int i = 0; i < W; ++i) bits |= static_cast<unsigned>(!(x[i] <= bound)) << i;
  return bits;
#endif
}

// Puts a token behind all that are as good, and moves what follows.
INLINE void insert(float x, int32_t token, int k, Row* row, List list) {
  int at = 0;
  for (int i = 0; i < row->count; i += W) {
    const int left = row->count - i;
    at += __builtin_popcount(~above(-load(list.scores + i), -x) & first_lanes(left < W ? left : W));
  }
  if (row->count < k) ++row->count;
  for (int i = at + (row->count - 1 - at) / W * W; i >= at; i -= W) {
    store(list.scores + i + 1, load(list.scores + i));
    VI moved;
    std::memcpy(&moved, list.tokens + i, sizeof moved);
    std::memcpy(list.tokens + i + 1, &moved, sizeof moved);
  }
  list.scores[at] = x, list.tokens[at] = token;
  if (row->count == k) row->worst = list.scores[k - 1];
}

// Takes the logits of these bits, in the order of their tokens.
__attribute__((noinline)) void take(const float* logits, unsigned bits, int first, int k, Row* row, List list) {
  for (; bits; bits &= bits - 1) {
    const int i = __builtin_ctz(bits);
    const float x = logits[i];
    if (x > row->reference + kFar || (row->reference == kLowest && x > kLowest)) {
      const float less = std::exp(row->reference - x);
      for (float& sum : row->sums) sum *= less;
      row->reference = x;
    }
    if (row->count < k || x > row->worst) insert(x, first + i, k, row, list);
  }
}

// to[k][r] = states[r][k]
INLINE void transpose(const float* states, int rows, int features, float* to) {
  for (int r = 0; r < rows; ++r) {
    for (int k = 0; k < features; ++k) to[static_cast<size_t>(k) * rows + r] = states[static_cast<size_t>(r) * features + k];
  }
}

// Logits of R rows and one panel. Shapes: states (features, R); panel (1 + features, kPanel) -> (R, kPanel)
// Meanwhile `soon` is fetched, so many floats a feature.
template <int R>
__attribute__((noinline)) void multiply(const float* states, const float* panel, int features, const float* soon,
                                        int some, float* logits) {
  V sums[R][2];
#pragma GCC unroll 14
  for (int r = 0; r < R; ++r) sums[r][0] = load(panel), sums[r][1] = load(panel + W);
  for (int k = 0; k < features; ++k, states += R, soon += some) {
    __builtin_prefetch(soon, 0, 2);
    panel += kPanel;
    const V left = load(panel), right = load(panel + W);
#pragma GCC unroll 14
    for (int r = 0; r < R; ++r) {
      const float x = states[r];
      sums[r][0] += x * left;
      sums[r][1] += x * right;
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < R; ++r) store(logits + r * kPanel, sums[r][0]), store(logits + r * kPanel + W, sums[r][1]);
}

// What rows learn from their logits of one panel, of which so many are real.
__attribute__((noinline)) void use_tile(int rows, const float* logits, int first, int real, int k, Row* known,
                                        List list) {
  const int size = list_size(k);
  for (int r = 0; r < rows; ++r, logits += kPanel, list.scores += size, list.tokens += size) {
    const V left = load(logits), right = load(logits + W);
    Row& row = known[r];
    const unsigned great = (above(left, row.worst) | above(right, row.worst) << W) & first_lanes(real);
    if (great) take(logits, great, first, k, &row, list);
    store(row.sums, load(row.sums) + (exp(left - row.reference) + exp(right - row.reference)));
  }
}

// What `best` works in, for a block of rows. Shapes: tiles (rows, features), by tile (features, rows of it); known
// (rows,); lists (rows, list_size(k))
struct Scratch {
  float* tiles;
  Row* known;
  List lists;
};

void best_of_block(const Output& output, int rows, const float* states, int k, float* scores, int64_t* tokens,
                   const Scratch& scratch) {
  const int features = output.features, size = list_size(k);
  for (int r = 0; r < rows; ++r) scratch.known[r] = {{}, kLowest, kNothing, 0};
  in_tiles_of<kRows>(rows, [&](auto n, int at) {
    const size_t place = static_cast<size_t>(at) * features;
    transpose(states + place, decltype(n)::value, features, scratch.tiles + place);
  });
  const float* panel = output.packed;
  const size_t size_of_panel = panel_size(features);
  const int tiles = (rows + kRows - 1) / kRows, some = size_of_panel / (static_cast<size_t>(tiles) * features) + 1;
  for (int first = 0; first < output.vocab; first += kPanel, panel += size_of_panel) {
    const int real = output.vocab - first < kPanel ? output.vocab - first : kPanel;
    const float* soon = panel + size_of_panel;  // the next one, a part of it with each tile
    in_tiles_of<kRows>(rows, [&](auto n, int at) INLINED {
      constexpr int R = decltype(n)::value;
      alignas(64) float logits[R * kPanel];
      multiply<R>(scratch.tiles + static_cast<size_t>(at) * features, panel, features, soon, some, logits);
      soon += static_cast<size_t>(some) * features;
      use_tile(R, logits, first, real, k, scratch.known + at,
               {scratch.lists.scores + at * size, scratch.lists.tokens + at * size});
    });
  }
  for (int r = 0; r < rows; ++r) {
    const Row& row = scratch.known[r];
    double sum = 0;
    for (const float each : row.sums) sum += each;
    const float rest = std::log(sum);
    for (int i = 0; i < k; ++i) {
      *scores++ = (scratch.lists.scores[r * size + i] - row.reference) - rest;
      *tokens++ = scratch.lists.tokens[r * size + i];
    }
  }
}

// The rows of a block: the weights are fetched once for all of them, so long as a cache holds their states.
int block_rows(int64_t rows, int features) {
  int most = kBlockFloats / features;
  most = most < kRows ? kRows : most > kBlock ? kBlock : most;
  return rows < most ? rows : most;
}

constexpr size_t kRowFloats = sizeof(Row) / sizeof(float);

size_t scratch_size(int64_t rows, int features, int k) {
  return block_rows(rows, features) * (features + kRowFloats + 2 * list_size(k));
}

void best(const Output& output, int64_t rows, const float* states, int k, float* scores, int64_t* tokens,
          float* memory) {
  const int features = output.features, most = block_rows(rows, features);
  if (!most) return;
  Scratch scratch{memory};
  scratch.known = reinterpret_cast<Row*>(memory + static_cast<size_t>(most) * features);
  scratch.lists.scores = reinterpret_cast<float*>(scratch.known + most);
  scratch.lists.tokens = reinterpret_cast<int32_t*>(scratch.lists.scores + most * list_size(k));
  for (int64_t blocks = (rows + most - 1) / most; blocks > 0; --blocks) {
    const int count = (rows + blocks - 1) / blocks;
    best_of_block(output, count, states, k, scores, tokens, scratch);
    states += static_cast<size_t>(count) * features;
    scores += static_cast<size_t>(count) * k, tokens += static_cast<size_t>(count) * k;
    rows -= count;
  }
}

}  // namespace

SEQLOOM_TABLE(OutputKernel, kOutput) = {SEQLOOM_LABEL, packed_size, scratch_size, pack, best};

}  // namespace seqloom
