// The output layer of output.h for one instruction set. Compiled once for each, with SEQLOOM_SET.
//
// A panel is two vectors of tokens: their biases, then their weights by feature. A tile of rows by one panel stays in
// registers from the bias to the logits. Those are compared with the worst of the best so far, which few exceed, and
// their exponentials are added up, less a number near the greatest so far, which seldom changes.
#include "output.h"

#include <cmath>

#if defined(__AMX_BF16__)
#include "product_tiles.h"
#else
#include "product_registers.h"
#endif

namespace seqloom {
namespace {

using namespace product;

constexpr int kBlock = 768, kBlockFloats = 1 << 18;  // rows that go together through all panels, and their states
constexpr float kFar = 10.0f;      // how much greater than its reference a logit may be
constexpr float kLowest = -3e38f;  // the reference before there is one
const float kInfinity = __builtin_inff(), kNothing = __builtin_nanf("");

size_t packed_size(int features, int vocab) { return (vocab + kPanel - 1) / kPanel * panel_size(features); }

void pack(int features, int vocab, const float* kernel, const float* bias, float* packed) {
  for (int first = 0; first < vocab; first += kPanel, packed += panel_size(features)) {
    const int real = vocab - first < kPanel ? vocab - first : kPanel;
    for (int i = 0; i < kPanel; ++i) packed[i] = i < real ? bias[first + i] : -kInfinity;
    pack_weights(kernel + first, vocab, 1, features, real, packed + kPanel);
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

// What `best` works in, for a block of rows. Shapes: known (rows,); lists (rows, list_size(k))
struct Scratch {
  float* rows;  // as products read them
  Row* known;
  List lists;
};

void best_of_block(const Output& output, int rows, const float* states, int k, float* scores, int64_t* tokens,
                   const Scratch& scratch) {
  const int features = output.features, size = list_size(k);
  for (int r = 0; r < rows; ++r) scratch.known[r] = {{}, kLowest, kNothing, 0};
  read_rows(states, features, rows, features, scratch.rows);
  const float* panel = output.packed;
  for (int first = 0; first < output.vocab; first += kPanel, panel += panel_size(features)) {
    const int real = output.vocab - first < kPanel ? output.vocab - first : kPanel;
    each_product(scratch.rows, rows, features, panel, [&](const float* logits, int at, int count) INLINED {
      use_tile(count, logits, first, real, k, scratch.known + at,
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
  const int most = block_rows(rows, features);
  return read_size(most, features) + most * (kRowFloats + 2 * list_size(k));
}

void best(const Output& output, int64_t rows, const float* states, int k, float* scores, int64_t* tokens,
          float* memory) {
  const int features = output.features, most = block_rows(rows, features);
  if (!most) return;
  const Ready ready;
  Scratch scratch{memory};
  scratch.known = reinterpret_cast<Row*>(memory + read_size(most, features));
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
