// The decoder of decoder.h for one instruction set. Compiled once for each, with SEQLOOM_SET.
//
// What rows read and write within a step stands close together in rows of the same size, never a multiple of 4,096
// bytes apart; what the caller gets is copied from there.
#include "decoder.h"

#include <cmath>

#include "tiles.h"
#if defined(__AMX_BF16__)
#include "product_tiles.h"
#endif

namespace seqloom {
namespace {

// ---- products ----

struct Matrix {
  int rows, columns;
  const float* packed;
};

// Rows that stand `stride` floats apart.
struct Rows {
  float* first;
  size_t stride;

  float* operator[](int r) const { return first + r * stride; }
  Rows from(int column) const { return {first + column, stride}; }
};

int stride_of(int size) {
  const int stride = round_up(size, W) + W;
  return stride % 1024 ? stride : stride + W;
}

#if defined(__AMX_BF16__)

constexpr int kPair = product::kPanel;

size_t matrix_size(int rows, int columns) { return (columns + kPair - 1) / kPair * product::panel_size(rows); }

// From weights (rows, columns), or if `transposed` (columns, rows); returns where the next may stand.
float* pack(const float* weights, int rows, int columns, bool transposed, float* packed) {
  const size_t row = transposed ? 1 : columns, column = transposed ? rows : 1;
  for (int first = 0; first < columns; first += kPair, packed += product::panel_size(rows)) {
    const int real = columns - first < kPair ? columns - first : kPair;
    std::memset(packed, 0, sizeof(float) * kPair);
    product::pack_weights(weights + first * column, row, column, rows, real, packed + kPair);
  }
  return packed;
}

// Floats that a product works in, of rows of this size.
size_t work_size(int size) { return product::read_size(kGroup, size); }

// to[r] += a[r] b
void add_product(const Rows& a, const Matrix& b, int count, const Rows& to, float* work) {
  const product::Ready ready;
  product::read_rows(a.first, a.stride, count, b.rows, work);
  const float* panel = b.packed;
  for (int column = 0; column < b.columns; column += kPair, panel += product::panel_size(b.rows)) {
    const int left = b.columns - column;
    product::each_product(work, count, b.rows, panel, [&](const float* found, int at, int n) INLINED {
      for (int r = 0; r < n; ++r, found += kPair) {
        float* sums = to[at + r] + column;
        store(sums, load(sums, left) + load(found), left);
        if (left > W) store(sums + W, load(sums + W, left - W) + load(found + W), left - W);
      }
    });
  }
}

#else

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kTile = 14;  // rows, which with two vectors fill the registers
#else
constexpr int kTile = 6;
#endif
constexpr int kPair = 2 * W;

// Weights by panels of columns: (panel, row, its vectors, W), the last panel with as many vectors as it needs.
size_t matrix_size(int rows, int columns) { return static_cast<size_t>(rows) * round_up(columns, W); }

// From weights (rows, columns), or if `transposed` (columns, rows); returns where the next may stand.
float* pack(const float* weights, int rows, int columns, bool transposed, float* packed) {
  for (int first = 0; first < columns; first += kPair) {
    const int left = columns - first, wide = round_up(left < kPair ? left : kPair, W);
    for (int row = 0; row < rows; ++row) {
      for (int i = 0; i < wide; ++i, ++packed) {
        const size_t column = first + i;
        const size_t place = transposed ? column * rows + row : static_cast<size_t>(row) * columns + column;
        *packed = i < left ? weights[place] : 0;
      }
    }
  }
  return packed;
}

size_t work_size(int) { return 0; }

// to[r] += a[r] b
void add_product(const Rows& a, const Matrix& b, int count, const Rows& to, float*) {
  const float* panel = b.packed;
  const int tiles = (count + kTile - 1) / kTile;
  for (int column = 0; column < b.columns; column += kPair) {
    const int left = b.columns - column, vectors = left <= W ? 1 : 2;
    call<2>(vectors, column, [&](auto c, int at) INLINED {
      constexpr int C = decltype(c)::value;
      Soon soon{panel + static_cast<size_t>(b.rows) * C * W, C * W / tiles + 1};  // the next panel
      in_tiles_of<kTile>(count, [&](auto n, int r0) INLINED {
        constexpr int R = decltype(n)::value;
        V sums[R][C];
        const float* rows[R];
#pragma GCC unroll 14
        for (int r = 0; r < R; ++r) {
          rows[r] = a[r0 + r];
#pragma GCC unroll 4
          for (int i = 0; i < C; ++i) sums[r][i] = load(to[r0 + r] + at + i * W);
        }
        multiply<R, C>(sums, 0, rows, 0, panel, b.rows, soon);
        soon.from += static_cast<size_t>(soon.some) * b.rows;
#pragma GCC unroll 14
        for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
          for (int i = 0; i < C; ++i) store(to[r0 + r] + at + i * W, sums[r][i], left - i * W);
        }
      });
    });
    panel += static_cast<size_t>(b.rows) * vectors * W;
  }
}

#endif

// ---- vectors of any size ----

template <class F>
INLINE void each(int size, const F& f) {  // f(at, how many) for whole vectors and the rest
  int at = 0;
  for (; at + W <= size; at += W) f(at, W);
  if (at < size) f(at, size - at);
}

// f(at, how many, tanh of a + b there)
template <class F>
INLINE void each_tanh(const float* a, const float* b, int size, const F& f) {
  int at = 0;
  for (; at + kPanel <= size; at += kPanel) {
    V x[4];
    together<4>([&](int k) INLINED { x[k] = load(a + at + k * W) + load(b + at + k * W); });
    squash<0xf>(x);
    together<4>([&](int k) INLINED { f(at + k * W, W, x[k]); });
  }
  for (; at < size; at += W) {
    const int n = size - at < W ? size - at : W;
    f(at, n, tanh(load(a + at, n) + load(b + at, n)));
  }
}

INLINE float total(V x) {
  float sum = 0;
  for (int i = 0; i < W; ++i) sum += x[i];
  return sum;
}

INLINE float dot(const float* a, const float* b, int size) {
  V sum{};
  each(size, [&](int at, int n) INLINED { sum += load(a + at, n) * load(b + at, n); });
  return total(sum);
}

// to = sum over s of factors[s] rows[s]
INLINE void add_rows(const float* factors, const float* rows, int count, int size, float* to) {
  int at = 0;
  for (; at + kPanel <= size; at += kPanel) {
    V sums[4]{};
    for (int s = 0; s < count; ++s) {
      const float* row = rows + static_cast<size_t>(s) * size + at;
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) sums[i] += factors[s] * load(row + i * W);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) store(to + at + i * W, sums[i]);
  }
  for (; at < size; at += W) {
    V sum{};
    for (int s = 0; s < count; ++s) sum += factors[s] * load(rows + static_cast<size_t>(s) * size + at, size - at);
    store(to + at, sum, size - at);
  }
}

INLINE void copy(float* to, const float* from, size_t size) { std::memcpy(to, from, sizeof(float) * size); }
INLINE void clear(float* to, size_t size) { std::memset(to, 0, sizeof(float) * size); }

// Where a row of a (batch, time, size) array is, or null.
INLINE float* at(float* array, size_t place, int size) { return array ? array + place * size : nullptr; }

// ---- forward ----

struct Weights {
  Matrix recurrent, query, combine, words;

  // Each as it is, or transposed, in the memory that `pack_forward` or `pack_backward` filled.
  Weights(const Decoder& d, const float* packed, bool transposed) {
    const int n = d.units;
    recurrent = transposed ? Matrix{columns_of(d), 2 * n, packed} : Matrix{2 * n, columns_of(d), packed};
    packed += matrix_size(recurrent.rows, recurrent.columns);
    combine = transposed ? Matrix{n, n + d.width, packed} : Matrix{n + d.width, n, packed};
    packed += matrix_size(combine.rows, combine.columns);
    query = {n, n, packed};
    packed += matrix_size(n, n);
    words = {d.features, columns_of(d), packed};
  }

  size_t size() const { return words.packed - recurrent.packed + matrix_size(words.rows, words.columns); }
};

void pack_all(const Decoder& d, bool transposed, float* packed) {
  const Weights weights(d, packed, transposed);
  const float* recurrent = d.recurrent + static_cast<size_t>(d.features) * columns_of(d);
  packed = pack(recurrent, weights.recurrent.rows, weights.recurrent.columns, transposed, packed);
  packed = pack(d.combine, weights.combine.rows, weights.combine.columns, transposed, packed);
  if (d.additive) pack(d.query, d.units, d.units, transposed, packed);
  pack(d.recurrent, d.features, columns_of(d), false, packed + matrix_size(d.units, d.units));
}

void pack_forward(const Decoder& d, float* packed) { pack_all(d, false, packed); }
void pack_backward(const Decoder& d, float* packed) { pack_all(d, true, packed); }

size_t packed_size(const Decoder& d) {
  const size_t forward = Weights(d, nullptr, false).size(), backward = Weights(d, nullptr, true).size();
  return forward > backward ? forward : backward;
}

// From z to the gates, in its place, and the new h, and c of an lstm. Shapes: z (columns,)
template <Cell kCell>
INLINE void step(int units, float* z, float* h, float* c) {
  each(units, [&](int i, int n) INLINED {
    float* gates = z + i;
    if constexpr (kCell == Cell::kRnn) {
      const V y = tanh(load(gates, n));
      store(gates, y, n), store(h + i, y, n);
      return;
    }
    V all[4];
    together<4>([&](int k) INLINED { all[k] = load(gates + k * units, n); });
    if constexpr (kCell == Cell::kLstm) {
      squash<0x4>(all);
      const V cell = all[1] * load(c + i, n) + all[0] * all[2];
      store(c + i, cell, n);
      store(h + i, all[3] * tanh(cell), n);
    } else {
      V update_and_reset[] = {all[0], all[1]};
      squash<0>(update_and_reset);
      all[0] = update_and_reset[0], all[1] = update_and_reset[1];
      all[2] = tanh(all[2] + all[1] * all[3]);
      store(h + i, all[2] + all[0] * (load(h + i, n) - all[2]), n);
    }
    together<4>([&](int k) INLINED { store(gates + k * units, all[k], n); });
  });
}

// Shapes: query (units,); weights (source,), scores before, zeros past the length; context (width,)
void attend(const Decoder& d, int row, const float* query, float* weights, float* context) {
  const int length = d.lengths[row];
  const float* keys = d.keys + static_cast<size_t>(row) * d.source * d.units;
  float most = -__builtin_inff(), sum = 0;
  for (int s = 0; s < length; ++s, keys += d.units) {
    if (d.additive) {
      V score{};
      each_tanh(query, keys, d.units, [&](int i, int n, V x) INLINED { score += load(d.energy + i, n) * x; });
      weights[s] = total(score);
    } else {
      weights[s] = dot(query, keys, d.units);
    }
    most = weights[s] > most ? weights[s] : most;
  }
  for (int s = 0; s < length; ++s) sum += weights[s] = std::exp(weights[s] - most);
  for (int s = 0; s < length; ++s) weights[s] /= sum;
  clear(weights + length, d.source - length);
  add_rows(weights, d.memory + static_cast<size_t>(row) * d.source * d.width, length, d.width, context);
}

// The arrays of a group's rows, one after the other in what the caller lends.
struct Scratch {
  float* next;

  Rows rows(int count, int size) {
    const Rows rows{next, static_cast<size_t>(stride_of(size))};
    next += count * rows.stride;
    return rows;
  }
};

size_t scratch_size(const Decoder& d) {
  const int most = stride_of(2 * d.units + d.width) + stride_of(columns_of(d)) + stride_of(2 * d.units) +
                   3 * stride_of(d.units) + stride_of(d.source) + stride_of(d.features);
  const int sizes[] = {d.features, 2 * d.units, d.units + d.width, columns_of(d)};  // of the rows that products read
  int read = 0;
  for (const int size : sizes) read = size > read ? size : read;
  return static_cast<size_t>(kGroup) * most + stride_of(columns_of(d)) + work_size(read);
}

template <Cell kCell>
void forward_rows(const Decoder& d, const float* packed, int first, int count, float* memory) {
  const Weights weights(d, packed, false);
  const int units = d.units, wide = units + d.width, columns = columns_of(d), kept = kept_of(d);
  Scratch scratch{memory};
  const Rows state = scratch.rows(count, units + wide), z = scratch.rows(count, columns);  // state: [a; h; context]
  const Rows c = scratch.rows(count, units), q = scratch.rows(count, units), out = scratch.rows(count, units);
  const Rows h = state.from(units);
  for (int r = 0; r < count; ++r) {
    const size_t row = first + r;
    clear(state[r], units);
    copy(h[r], d.initial + row * units, units);
    if (kCell == Cell::kLstm) copy(c[r], d.initial + (d.batch + row) * units, units);
  }
  for (int t = 0; t < d.time; ++t) {
    const auto place = [&](int r) { return static_cast<size_t>(first + r) * d.time + t; };
    for (int r = 0; r < count; ++r) {
      copy(z[r], d.inputs + place(r) * columns, columns);
      if (d.before) copy(at(d.before, place(r), 2 * units), state[r], 2 * units);
    }
    add_product(state, weights.recurrent, count, z, scratch.next);
    for (int r = 0; r < count; ++r) {
      step<kCell>(units, z[r], h[r], c[r]);
      if (d.gates) {
        float* gates = at(d.gates, place(r), kept);
        copy(gates, z[r], columns);
        if (kCell == Cell::kLstm) copy(gates + columns, c[r], units);
      }
      if (d.additive) copy(q[r], d.query_bias, units);
    }
    if (d.additive) add_product(h, weights.query, count, q, scratch.next);
    for (int r = 0; r < count; ++r) {
      const float* query = d.additive ? q[r] : h[r];
      attend(d, first + r, query, at(d.weights, place(r), d.source), h[r] + units);
      if (d.queries && d.additive) copy(at(d.queries, place(r), units), query, units);
      if (d.after) copy(at(d.after, place(r), wide), h[r], wide);
      copy(out[r], d.combine_bias, units);
    }
    add_product(h, weights.combine, count, out, scratch.next);
    for (int r = 0; r < count; ++r) {
      float* outputs = at(d.outputs, place(r), units);
      const float* mask = d.mask + static_cast<size_t>(first + r) * units;
      each(units, [&](int i, int n) INLINED {
        const V a = tanh(load(out[r] + i, n));
        store(outputs + i, a, n);
        store(state[r] + i, a * load(mask + i, n), n);
      });
    }
  }
}

void forward(const Decoder& d, const float* packed, int first, int count, float* scratch) {
  const auto run = d.cell == Cell::kRnn    ? forward_rows<Cell::kRnn>
                   : d.cell == Cell::kLstm ? forward_rows<Cell::kLstm>
                                           : forward_rows<Cell::kGru>;
  run(d, packed, first, count, scratch);
}

// ---- a step of a search ----

template <Cell kCell>
void step_rows(const SearchStep& s, const float* packed, int first, int count, float* memory) {
  const Decoder& d = s.decoder;
  const Weights weights(d, packed, false);
  const int units = d.units, columns = columns_of(d), n = states(kCell), size = (n + 1) * units;
  Scratch scratch{memory};
  const Rows before = scratch.rows(count, 2 * units), sums = scratch.rows(count, columns);  // of different states
  const Rows h = scratch.rows(count, units + d.width), c = scratch.rows(count, units);  // h: [h; context]
  const Rows q = scratch.rows(count, units), out = scratch.rows(count, units);
  float* z = scratch.rows(1, columns)[0];
  const float* different[kGroup];  // beams that follow one hypothesis have the same state, which is multiplied once
  int place[kGroup], found = 0, begin = 0;  // of each row's state; how many are found, and before its sentence
  for (int r = 0; r < count; ++r) {
    const size_t row = first + r;
    const float* state = s.state + row * size;
    if (row % s.beams == 0) begin = found;
    place[r] = begin;
    while (place[r] < found && std::memcmp(different[place[r]], state, sizeof(float) * size)) ++place[r];
    if (place[r] < found) continue;
    different[found] = state;
    copy(before[found], state + n * units, units);
    copy(before[found] + units, state, units);
    clear(sums[found++], columns);
  }
  add_product(before, weights.recurrent, found, sums, scratch.next);
  for (int r = 0; r < count; ++r) {
    const float *state = different[place[r]], *sum = sums[place[r]];
    const float* given = s.given + static_cast<size_t>(s.tokens[first + r]) * columns;
    copy(h[r], state, units);
    if (kCell == Cell::kLstm) copy(c[r], state + units, units);
    each(columns, [&](int i, int m) INLINED { store(z + i, load(given + i, m) + load(sum + i, m), m); });
    step<kCell>(units, z, h[r], c[r]);
    if (d.additive) copy(q[r], d.query_bias, units);
  }
  if (d.additive) add_product(h, weights.query, count, q, scratch.next);
  for (int r = 0; r < count; ++r) {
    const size_t row = first + r;
    attend(d, row / s.beams, d.additive ? q[r] : h[r], s.weights + row * d.source, h[r] + units);
    copy(out[r], d.combine_bias, units);
  }
  add_product(h, weights.combine, count, out, scratch.next);
  for (int r = 0; r < count; ++r) {
    float* after = s.next + static_cast<size_t>(first + r) * (n + 1) * units;
    copy(after, h[r], units);
    if (kCell == Cell::kLstm) copy(after + units, c[r], units);
    each(units, [&](int i, int m) INLINED {
      store(after + n * units + i, tanh(load(out[r] + i, m)), m);
    });
  }
}

void search_step(const SearchStep& s, const float* packed, int first, int count, float* scratch) {
  const auto run = s.decoder.cell == Cell::kRnn    ? step_rows<Cell::kRnn>
                   : s.decoder.cell == Cell::kLstm ? step_rows<Cell::kLstm>
                                                   : step_rows<Cell::kGru>;
  run(s, packed, first, count, scratch);
}

void give(const SearchStep& s, const float* packed, const int* tokens, int count, float* memory) {
  const Decoder& d = s.decoder;
  const int columns = columns_of(d);
  Scratch scratch{memory};
  const Rows words = scratch.rows(count, d.features), z = scratch.rows(count, columns);
  for (int r = 0; r < count; ++r) {
    copy(words[r], s.words + static_cast<size_t>(tokens[r]) * d.features, d.features);
    copy(z[r], s.bias, columns);
  }
  add_product(words, Weights(d, packed, false).words, count, z, scratch.next);
  for (int r = 0; r < count; ++r) copy(s.given + static_cast<size_t>(tokens[r]) * columns, z[r], columns);
}

// ---- backward ----

// From the gradient of h to those of z and of what the step before left. Shapes: gates, dz (columns,); dh (units,),
// also what of it goes on to the h before; dc (units,)
template <Cell kCell>
INLINE void step_back(int units, const float* gates, const float* h_before, const float* c_before, float* dh, float* dc,
                      float* dz) {
  each(units, [&](int i, int n) INLINED {
    if constexpr (kCell == Cell::kRnn) {
      const V y = load(gates + i, n);
      store(dz + i, load(dh + i, n) * (1.0f - y * y), n), store(dh + i, V{}, n);
      return;
    }
    const V first = load(gates + i, n), second = load(gates + units + i, n);
    const V third = load(gates + 2 * units + i, n), fourth = load(gates + 3 * units + i, n), d = load(dh + i, n);
    V d_first, d_second, d_third, d_fourth, rest{};
    if constexpr (kCell == Cell::kLstm) {
      const V squashed = tanh(load(gates + 4 * units + i, n));
      const V d_cell = load(dc + i, n) + d * fourth * (1.0f - squashed * squashed);
      d_first = d_cell * third * (first * (1.0f - first));
      d_second = d_cell * load(c_before + i, n) * (second * (1.0f - second));
      d_third = d_cell * first * (1.0f - third * third);
      d_fourth = d * squashed * (fourth * (1.0f - fourth));
      store(dc + i, d_cell * second, n);
    } else {
      d_third = d * (1.0f - first) * (1.0f - third * third);
      d_first = d * (load(h_before + i, n) - third) * (first * (1.0f - first));
      d_second = d_third * fourth * (second * (1.0f - second));
      d_fourth = d_third * second;
      rest = d * first;
    }
    store(dz + i, d_first, n), store(dz + units + i, d_second, n);
    store(dz + 2 * units + i, d_third, n), store(dz + 3 * units + i, d_fourth, n);
    store(dh + i, rest, n);
  });
}

// From the gradients of the context and of the weights to that of the query, and on to those of keys and energy.
// Shapes: d_scores (source,), which holds the gradients of the weights before; d_query (units,), to which it is added
void attend_back(const Decoder& d, const DecoderGradients& g, int row, const float* query, const float* weights,
                 const float* d_context, float* d_scores, float* d_query) {
  const int length = d.lengths[row], units = d.units;
  const size_t first = static_cast<size_t>(row) * d.source;
  const float *memory = d.memory + first * d.width, *keys = d.keys + first * units;
  float *d_keys = g.keys + first * units, *d_energy = g.energy ? g.energy + static_cast<size_t>(row) * units : nullptr;
  float mean = 0;
  for (int s = 0; s < length; ++s) {
    d_scores[s] += dot(d_context, memory + static_cast<size_t>(s) * d.width, d.width);
    mean += weights[s] * d_scores[s];
  }
  for (int s = 0; s < length; ++s, keys += units, d_keys += units) {
    const float d_score = weights[s] * (d_scores[s] - mean);
    const auto add = [&](int i, int n, V d_key, V d_asked) INLINED {
      store(d_keys + i, load(d_keys + i, n) + d_key, n);
      store(d_query + i, load(d_query + i, n) + d_asked, n);
    };
    if (d.additive) {
      each_tanh(query, keys, units, [&](int i, int n, V squashed) INLINED {
        const V d_sum = d_score * load(d.energy + i, n) * (1.0f - squashed * squashed);
        store(d_energy + i, load(d_energy + i, n) + d_score * squashed, n);
        add(i, n, d_sum, d_sum);
      });
    } else {
      each(units, [&](int i, int n) INLINED { add(i, n, d_score * load(query + i, n), d_score * load(keys + i, n)); });
    }
  }
}

template <Cell kCell>
void backward_rows(const Decoder& d, const DecoderGradients& g, const float* packed, int first, int count,
                   float* memory) {
  const Weights weights(d, packed, true);
  const int units = d.units, wide = units + d.width, columns = columns_of(d), kept = kept_of(d);
  Scratch scratch{memory};
  // Gradients: of [h; context], of z, of [a; h] before, of what C gives, of the query, of c, of the scores.
  const Rows dy = scratch.rows(count, wide), dz = scratch.rows(count, columns), dx = scratch.rows(count, 2 * units);
  const Rows d_combined = scratch.rows(count, units), dq = scratch.rows(count, units), dc = scratch.rows(count, units);
  const Rows d_scores = scratch.rows(count, d.source);
  for (int r = 0; r < count; ++r) {
    clear(dx[r], 2 * units);
    clear(dc[r], units);
    clear(g.keys + static_cast<size_t>(first + r) * d.source * units, static_cast<size_t>(d.source) * units);
    if (d.additive) clear(g.energy + static_cast<size_t>(first + r) * units, units);
  }
  for (int t = d.time - 1; t >= 0; --t) {
    const auto place = [&](int r) { return static_cast<size_t>(first + r) * d.time + t; };
    for (int r = 0; r < count; ++r) {
      const float* outputs = d.outputs + place(r) * units;
      const float* given = g.outputs ? g.outputs + place(r) * units : nullptr;
      const float* mask = d.mask + static_cast<size_t>(first + r) * units;
      each(units, [&](int i, int n) INLINED {
        const V da = load(dx[r] + i, n) * load(mask + i, n) + (given ? load(given + i, n) : V{});
        const V a = load(outputs + i, n);
        store(d_combined[r] + i, da * (1.0f - a * a), n);
      });
      copy(at(g.combined, place(r), units), d_combined[r], units);
      copy(dy[r], dx[r] + units, units);
      clear(dy[r] + units, d.width);
    }
    add_product(d_combined, weights.combine, count, dy, scratch.next);
    for (int r = 0; r < count; ++r) {
      const float* h = d.after + place(r) * wide;
      const float* context = dy[r] + units;
      copy(at(g.contexts, place(r), d.width), context, d.width);
      float* d_query = d.additive ? dq[r] : dy[r];
      if (d.additive) clear(d_query, units);
      const float* query = d.additive ? d.queries + place(r) * units : h;
      if (g.weights) {
        copy(d_scores[r], g.weights + place(r) * d.source, d.source);
      } else {
        clear(d_scores[r], d.source);
      }
      attend_back(d, g, first + r, query, d.weights + place(r) * d.source, context, d_scores[r], d_query);
      if (d.additive) copy(at(g.queries, place(r), units), d_query, units);
    }
    if (d.additive) add_product(dq, weights.query, count, dy, scratch.next);
    for (int r = 0; r < count; ++r) {
      const float* before = d.before + place(r) * 2 * units;
      const float* c = t ? d.gates + (place(r) - 1) * kept + columns
                         : d.initial + (static_cast<size_t>(d.batch) + first + r) * units;
      step_back<kCell>(units, d.gates + place(r) * kept, before + units, c, dy[r], dc[r], dz[r]);
      copy(at(g.inputs, place(r), columns), dz[r], columns);
      clear(dx[r], units);
      copy(dx[r] + units, dy[r], units);
    }
    add_product(dz, weights.recurrent, count, dx, scratch.next);
  }
  for (int r = 0; r < count; ++r) {
    const size_t row = first + r;
    copy(g.initial + row * units, dx[r] + units, units);
    if (kCell == Cell::kLstm) copy(g.initial + (d.batch + row) * units, dc[r], units);
  }
}

void backward(const Decoder& d, const DecoderGradients& g, const float* packed, int first, int count, float* scratch) {
  const auto run = d.cell == Cell::kRnn    ? backward_rows<Cell::kRnn>
                   : d.cell == Cell::kLstm ? backward_rows<Cell::kLstm>
                                           : backward_rows<Cell::kGru>;
  run(d, g, packed, first, count, scratch);
}

}  // namespace

SEQLOOM_TABLE(DecoderKernel, kDecoder) = {packed_size, scratch_size, pack_forward, pack_backward,
                                          forward,     backward,     search_step,  give};

}  // namespace seqloom
