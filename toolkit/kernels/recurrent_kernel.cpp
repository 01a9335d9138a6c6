// The recurrent layers of recurrent.h for one instruction set. Compiled once for each, with SEQLOOM_SET.
#include "recurrent_gates.h"
#if defined(__AMX_BF16__)
#include "recurrent_tiles.h"
#endif

namespace seqloom {
namespace {

// Steps of rows whose part of the weights' gradients is added up at once, a panel of them from the nearest cache, and how
// many panels of gates go through one product with the weights before its sums leave the registers.
#if defined(__AVX512F__)
constexpr int kChunk = 256, kTogether = 1;
#else
constexpr int kChunk = 128, kTogether = 4;
#endif

// ---- forward ----

#if !defined(__AMX_BF16__)

// Weights by panels: (panel, row, column, W).
void pack(const Gates& gates, int first, const float* weights, int rows, float* packed) {
  std::memset(packed, 0, sizeof(float) * rows * gates.row());
  const int wide = gates.columns * W;
  for (int row = 0; row < rows; ++row) {
    gates.each(first, [&](int to, int from, int count) {
      std::memcpy(packed + (static_cast<size_t>(to / wide) * rows + row) * wide + to % wide,
                  weights + row * gates.width() + from, sizeof(float) * count);
    });
  }
}

void pack_forward(const Layer& layer, float* packed) {
  const Gates gates(layer);
  std::memset(packed, 0, sizeof(float) * gates.size);
  const auto add_bias = [&](int first, const float* bias) {
    gates.each(first, [&](int to, int from, int count) {
      const int wide = gates.columns * W;
      float* sums = packed + to / wide * kPanel + first * W + to % wide;
      for (int i = 0; i < count; ++i) sums[i] += bias[from + i];
    });
  };
  add_bias(0, layer.bias);
  if (layer.cell == Cell::kGru) add_bias(gates.recurrent_first(), layer.bias + gates.width());
  float* kernel = packed + gates.size;
  pack(gates, 0, layer.kernel, layer.features, kernel);
  pack(gates, gates.recurrent_first(), layer.recurrent, layer.units, kernel + layer.features * gates.row());
}

// What the gates of a step are taken of: [x, h] by the weights. A tile of rows by one panel stays in registers from the
// bias to the activations.
struct StepProducts {
  const Layer& layer;
  const Gates gates;
  const float* packed;
  const float* const* x = nullptr;
  const float* h = nullptr;
  int size;

  static size_t packed_size(const Layer& layer) {
    const Gates gates(layer);
    return gates.size + (layer.features + layer.units) * gates.row();
  }

  static size_t work_size(const Layer&) { return 0; }

  StepProducts(const Layer& layer, const float* packed, float*)
      : layer(layer), gates(layer), packed(packed), size(padded(layer.cell, layer.units)) {}

  void read(const float* const* inputs, const float* states, int) { x = inputs, h = states; }

  // use(how many, at, sums) for tiles of the rows that were read. Shapes: sums (how many, 4) vectors
  template <Cell kCell, class F>
  INLINE void each(int panel, int rows, const F& use) const {
    constexpr int C = kCell == Cell::kGru ? 3 : 4;
    const float *bias = packed + panel * kPanel, *weights = packed + gates.size;
    const float* kernel = weights + static_cast<size_t>(panel) * C * W * layer.features;
    const float* recurrent = weights + layer.features * gates.row() + static_cast<size_t>(panel) * C * W * layer.units;
    in_tiles<C>(rows, [&](auto n, int at) INLINED {
      constexpr int R = decltype(n)::value;
      V sums[R][4];
      const float* states[R];
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        states[r] = h + (at + r) * size;
#pragma GCC unroll 4
        for (int c = 0; c < 4; ++c) sums[r][c] = load(bias + c * W);
      }
      multiply<R, C>(sums, 0, x + at, 0, kernel, layer.features);
      multiply<R, C>(sums, 4 - C, states, 0, recurrent, layer.units);
      use(n, at, sums);
    });
  }
};

#endif

// Where a row is at a time, and where after so many steps.
INLINE size_t place_at(Apart apart, int row, int time) {
  return static_cast<size_t>(row) * apart.row + static_cast<size_t>(time) * apart.step;
}

INLINE size_t place(const Layer& layer, Apart apart, int row, int step) {
  return place_at(apart, row, layer.reverse ? layer.lengths[row] - 1 - step : step);
}

// Where what is saved of the row that has this place in the order: what goes through a step together stands together.
INLINE float* saved_place(const Layer& layer, int place, int step) {
  return layer.saved + (static_cast<size_t>(step) * layer.batch + place) * saved_size(layer.cell, layer.units);
}

// The rows' state before their first step, in rows of `size`.
void load_initial(const Layer& layer, int state, const int* rows, int count, int size, float* to) {
  std::memset(to, 0, sizeof(float) * count * size);
  if (!layer.initial) return;
  for (int r = 0; r < count; ++r) {
    const size_t row = static_cast<size_t>(state) * layer.batch + rows[r];
    std::memcpy(to + static_cast<size_t>(r) * size, layer.initial + row * layer.units, sizeof(float) * layer.units);
  }
}

template <int R>
struct Rows {
  const float* h;  // rows of `size`
  float* const* y;
  float* next;  // rows of `size`, what goes to y too
  float* c;     // rows of `size`
  float* const* saved;
};

// One step of R rows through one panel, whose gates are taken of `sums`.
template <Cell kCell, int R>
INLINE void step_tile(const Layer& layer, int size, int panel, V (&sums)[R][4], const Rows<R>& rows) {
  const int unit = panel * W, left = layer.units - unit;
  V last[R];  // what the last tanh is taken of, then that
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    V(&gates)[4] = sums[r];
    if constexpr (kCell == Cell::kRnn) {
      squash<0xf>(gates);
#pragma GCC unroll 4
      for (int c = 0; c < 4; ++c) {
        const int at = panel * kPanel + c * W;
        if (at >= layer.units) continue;
        store(rows.next + r * size + at, gates[c]);
        store(rows.y[r] + at, gates[c], layer.units - at);
      }
    } else if constexpr (kCell == Cell::kLstm) {
      squash<0x4>(gates);
      float* cell = rows.c + static_cast<size_t>(r) * size + unit;
      const V before = load(cell);
      last[r] = gates[1] * before + gates[0] * gates[2];
      store(cell, last[r]);
      if (rows.saved[r]) {
#pragma GCC unroll 4
        for (int c = 0; c < 4; ++c) stream(rows.saved[r] + panel * kPanel + c * W, gates[c]);
        stream(rows.saved[r] + 4 * size + unit, before);
      }
    } else {
      V update_and_reset[] = {gates[1], gates[2]};
      squash<0>(update_and_reset);
      gates[1] = update_and_reset[0], gates[2] = update_and_reset[1];
      last[r] = gates[0] + gates[2] * gates[3];
    }
  }
  if constexpr (kCell == Cell::kRnn) return;
  squash<(1 << R) - 1>(last);
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    V(&gates)[4] = sums[r];
    V h;
    if constexpr (kCell == Cell::kLstm) {
      h = gates[3] * last[r];
    } else {
      gates[0] = last[r];
      h = gates[0] + gates[1] * (load(rows.h + r * size + unit) - gates[0]);
      if (rows.saved[r]) {
#pragma GCC unroll 4
        for (int c = 0; c < 4; ++c) stream(rows.saved[r] + panel * kPanel + c * W, gates[c]);
      }
    }
    store(rows.next + r * size + unit, h);
    store(rows.y[r] + unit, h, left);
  }
}

template <Cell kCell>
void forward_rows(const Layer& layer, const float* packed, const int* order, int first, int count, float* scratch) {
  const int* rows = order + first;
  const Gates gates(layer);
  const int size = padded(layer.cell, layer.units);
  const size_t units = layer.units;
  // States stand close together here too: in the outputs, those of a step are as far apart as a row is long, often so
  // that they take each other's place in the nearest cache.
  float *h = scratch, *next = h + count * size, *c = next + count * size;
  load_initial(layer, 0, rows, count, size, h);
  if (kCell == Cell::kLstm) load_initial(layer, 1, rows, count, size, c);
  StepProducts products(layer, packed, c + count * size);
  const float* x[kGroup];
  float *y[kGroup], *save[kGroup];
  int active = count;
  for (int step = 0; step < layer.time; ++step) {
    while (active && layer.lengths[rows[active - 1]] <= step) --active;
    if (!active) break;
    for (int r = 0; r < active; ++r) {
      x[r] = layer.inputs + place(layer, layer.in, rows[r], step) * layer.features;
      y[r] = layer.outputs ? layer.outputs + place(layer, layer.out, rows[r], step) * units : next + r * size;
      save[r] = layer.saved ? saved_place(layer, first + r, step) : nullptr;
    }
    products.read(x, h, active);
    for (int panel = 0; panel < gates.panels; ++panel) {
      products.each<kCell>(panel, active, [&](auto n, int at, auto& sums) INLINED {
        constexpr int R = decltype(n)::value;
        const Rows<R> tile{h + at * size, y + at, next + at * size, c + at * size, save + at};
        step_tile<kCell, R>(layer, size, panel, sums, tile);
      });
    }
    for (int r = active; r < count; ++r) std::memcpy(next + r * size, h + r * size, sizeof(float) * size);
    float* before = h;
    h = next, next = before;
  }
#if defined(__AVX__)
  _mm_sfence();  // before another thread reads what was streamed
#endif
  for (int r = 0; r < count; ++r) {
    const int row = rows[r], length = layer.lengths[row];
    std::memcpy(layer.final + row * units, h + r * size, sizeof(float) * units);
    if (kCell == Cell::kLstm) {
      std::memcpy(layer.final + (layer.batch + row) * units, c + r * size, sizeof(float) * units);
    }
    for (int time = length; layer.outputs && time < layer.time; ++time) {
      std::memset(layer.outputs + place_at(layer.out, row, time) * units, 0, sizeof(float) * units);
    }
  }
}

void forward(const Layer& layer, const float* packed, const int* order, int first, int count, float* scratch) {
  const auto run = layer.cell == Cell::kRnn    ? forward_rows<Cell::kRnn>
                   : layer.cell == Cell::kLstm ? forward_rows<Cell::kLstm>
                                               : forward_rows<Cell::kGru>;
  run(layer, packed, order, first, count, scratch);
}

// ---- backward ----

// The transpose of weights, for sums over gates: (four vectors of rows, gate, as many of them as there are, W).
void pack_transposed(const Gates& gates, int first, const float* weights, int rows, float* packed) {
  for (int from = 0; from < rows; from += kPanel) {
    const int wide = round_up(rows - from < kPanel ? rows - from : kPanel, W), real = rows - from;
    std::memset(packed, 0, sizeof(float) * wide * gates.row());
    gates.each(first, [&](int to, int gate, int count) {
      for (int lane = 0; lane < wide && lane < real; ++lane) {
        const float* row = weights + (from + lane) * gates.width() + gate;
        for (int i = 0; i < count; ++i) packed[static_cast<size_t>(to + i) * wide + lane] = row[i];
      }
    });
    packed += wide * gates.row();
  }
}

void pack_backward(const Layer& layer, float* packed) {
  const Gates gates(layer);
  pack_transposed(gates, gates.recurrent_first(), layer.recurrent, layer.units, packed);
  pack_transposed(gates, 0, layer.kernel, layer.features, packed + round_up(layer.units, W) * gates.row());
}

// Gradients of the gates stand as (panels, kDeep, kPanel), so many rows at most: a product reads one panel of them.
constexpr int kDeep = kChunk + kGroup;

// to[r] (+)= z[r] . weights' transpose, of C vectors from `at` on, with kColumns vectors of a panel. Shapes: z (panels,
// count of kDeep, kPanel); to (count, wanted)
template <int C, int kColumns, bool kAdd>
INLINE void times_columns(const Gates& gates, const float* z, const float* packed, int count, float* const* to, int at,
                          int wanted, Soon& soon) {
  constexpr size_t kSize = kColumns * W * C * W;  // of a panel of weights
  for (int panel = 0; panel < gates.panels; panel += kTogether) {
    const int panels = gates.panels - panel < kTogether ? gates.panels - panel : kTogether;
    in_tiles<C>(count, [&](auto n, int r0) INLINED {
      constexpr int R = decltype(n)::value;
      V sums[R][C];
      const float* rows[R];
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        rows[r] = z + (r0 + r) * kPanel;
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) {
          sums[r][c] = kAdd || panel ? load(to[r0 + r] + at + c * W, wanted - at - c * W) : V{};
        }
      }
      for (int i = 0; i < panels; ++i) {
        multiply<R, C>(sums, 0, rows, i * kDeep * kPanel, packed + i * kSize, kColumns * W, soon);
        soon.from += soon.some * kColumns * W;
      }
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) store(to[r0 + r] + at + c * W, sums[r][c], wanted - at - c * W);
      }
    });
    z += static_cast<size_t>(panels) * kDeep * kPanel, packed += panels * kSize;
  }
}

template <int kColumns, bool kAdd>
void times_transposed(const Gates& gates, const float* z, const float* packed, int count, float* const* to, int wanted,
                      Soon soon = {}) {
  for (int at = 0; at < wanted; at += kPanel) {
    const int vectors = wanted - at < kPanel ? (wanted - at + W - 1) / W : 4;
    call<4>(vectors, at, [&](auto n, int) {
      times_columns<decltype(n)::value, kColumns, kAdd>(gates, z, packed, count, to, at, wanted, soon);
    });
    soon = {};
    packed += static_cast<size_t>(vectors) * W * gates.row();
  }
}

// sums[i][columns] += sum over k of a[k][i] gates[k][columns]. Shapes: sums (rows, gates.row()); a (depth, size)
template <int C>
void add_products(const Gates& gates, int first, const float* a, int size, const float* z, int depth, int rows,
                  float* sums) {
  for (int panel = 0; panel < gates.panels; ++panel) {
    const float* b = z + static_cast<size_t>(panel) * kDeep * kPanel + first * W;
    in_tiles<C>(rows, [&](auto n, int at) INLINED {
      constexpr int R = decltype(n)::value;
      float* to = sums + at * gates.row() + panel * C * W;
      V tile[R][C];
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) tile[r][c] = load(to + r * gates.row() + c * W);
      }
      const float *row = b, *factors = a + at;
#pragma GCC unroll 4
      for (int k = 0; k < depth; ++k, row += kPanel, factors += size) {
        add_outer<R, C>(tile, 0, [&](int r) INLINED { return factors[r]; }, row);
      }
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) store(to + r * gates.row() + c * W, tile[r][c]);
      }
    });
  }
}

// One row at one step.
struct Step {
  const float *y, *dy, *h, *saved;  // h before the step
  float *dh, *dc, *z;
};

// Gradients of the gates before their activations, z, from those of a step's outputs. What reaches h[t-1] not through
// the gates stays in dh, what reaches c[t-1] in dc. Shapes: z (panels, kDeep, kPanel), a row of each panel
template <Cell kCell>
INLINE void step_back(int units, int size, const Step& s) {
  for (int unit = 0; unit < size; unit += W) {
    const int left = units - unit;
    const V dy = s.dy && left > 0 ? load(s.dy + unit, left) : V{};
    V dh = load(s.dh + unit) + dy;
    if constexpr (kCell == Cell::kRnn) {
      const V h = left > 0 ? load(s.y + unit, left) : V{};
      store(s.z + static_cast<size_t>(unit / kPanel) * kDeep * kPanel + unit % kPanel, dh * (1.0f - h * h));
      store(s.dh + unit, V{});
      continue;
    }
    const float* saved = s.saved + 4 * unit;
    float* z = s.z + static_cast<size_t>(unit / W) * kDeep * kPanel;
    const V a = load(saved), b = load(saved + W), c = load(saved + 2 * W), d = load(saved + 3 * W);
    if constexpr (kCell == Cell::kLstm) {  // a, b, c, d are i, f, g, o
      const V before = load(s.saved + 4 * size + unit), squashed = tanh(b * before + a * c), out = dh * d;
      const V dc = load(s.dc + unit) + out * (1.0f - squashed * squashed);
      store(z, dc * c * (a * (1.0f - a)));
      store(z + W, dc * before * (b * (1.0f - b)));
      store(z + 2 * W, dc * a * (1.0f - c * c));
      store(z + 3 * W, out * squashed * (1.0f - d));
      store(s.dc + unit, dc * b);
      store(s.dh + unit, V{});
    } else {  // g, z, r, U h + d
      const V dg = dh * (1.0f - b) * (1.0f - a * a);
      store(z, dg);
      store(z + W, dh * (load(s.h + unit, left) - a) * (b * (1.0f - b)));
      store(z + 2 * W, dg * d * (c * (1.0f - c)));
      store(z + 3 * W, dg * c);
      store(s.dh + unit, dh * b);
    }
  }
}

// What the gates read at a step, close together: h before it, a 1 for the biases, x.
int read_size(const Layer& layer) { return round_up(layer.units + 1 + layer.features, W); }

INLINE void copy(float* to, const float* from, int count) {
  for (int i = 0; i < count; i += W) store(to + i, load(from + i, count - i), count - i);
}

INLINE void fetch(const float* from, int count) {  // into the nearer cache, for the step that follows
  for (int i = 0; i < count; i += 16) __builtin_prefetch(from + i, 0, 2);
}

template <Cell kCell>
void backward_rows(const Layer& layer, const Gradients& gradients, const float* packed, const int* order, int first,
                   int count, float* scratch, float* sums) {
  constexpr int C = kCell == Cell::kGru ? 3 : 4;
  const Gates gates(layer);
  const int size = padded(layer.cell, layer.units), wide = read_size(layer), *rows = order + first;
  const size_t units = layer.units, features = layer.features;
  const float* kernel = packed + round_up(layer.units, W) * gates.row();
  float *initial = scratch, *dh = initial + count * size, *dc = dh + count * size, *z = dc + count * size;
  float* read = z + static_cast<size_t>(kDeep) * gates.size;
  load_initial(layer, 0, rows, count, size, initial);
  Layer end = layer;  // whose initial states are the gradients of the final ones
  end.initial = gradients.final;
  load_initial(end, 0, rows, count, size, dh);
  if (kCell == Cell::kLstm) load_initial(end, 1, rows, count, size, dc);

  float *dx[kDeep], *to[kGroup];
  for (int r = 0; r < count; ++r) to[r] = dh + r * size;
  int active = 0, depth = 0;
  for (int step = layer.lengths[rows[0]] - 1; step >= 0; --step) {
    while (active < count && layer.lengths[rows[active]] > step) ++active;
    for (int r = 0; r < active; ++r) {
      const int k = depth + r;
      const size_t at = place(layer, layer.in, rows[r], step);
      const size_t before = step ? place(layer, layer.in, rows[r], step - 1) : 0;
      const float* dy = gradients.outputs ? gradients.outputs + at * units : nullptr;
      float* h = read + static_cast<size_t>(k) * wide;
      copy(h, step ? layer.outputs + before * units : initial + r * size, layer.units);
      h[units] = 1.0f;
      copy(h + units + 1, layer.inputs + at * features, layer.features);
      if (step > 1) fetch(layer.outputs + place(layer, layer.in, rows[r], step - 2) * units, layer.units);
      if (step && dy) fetch(gradients.outputs + before * units, layer.units);
      if (gradients.inputs) dx[k] = gradients.inputs + at * features;
      step_back<kCell>(layer.units, size,
                       {layer.outputs + at * units, dy, h, saved_place(layer, first + r, step), dh + r * size,
                        dc + r * size, z + static_cast<size_t>(k) * kPanel});
    }
    if (step || layer.initial) {
      const int tiles = (active + tile_rows(4) - 1) / tile_rows(4);
      const int products = tiles * gates.panels * C * W;  // in which to fetch what was saved
      const int some = step ? (active * saved_size(kCell, layer.units) + products - 1) / products : 0;
      times_transposed<C, true>(gates, z + static_cast<size_t>(depth) * kPanel + (4 - C) * W, packed, active, to,
                                round_up(layer.units, W), {some ? saved_place(layer, first, step - 1) : nullptr, some});
    }
    depth += active;
    if (depth < kChunk && step) continue;
    if (kCell == Cell::kGru) {
      add_products<C>(gates, 1, read, wide, z, depth, layer.units + 1, sums);
      add_products<C>(gates, 0, read + units, wide, z, depth, layer.features + 1, sums + (units + 1) * gates.row());
    } else {
      add_products<C>(gates, 0, read, wide, z, depth, layer.units + 1 + layer.features, sums);
    }
    if (gradients.inputs) times_transposed<C, false>(gates, z, kernel, depth, dx, layer.features);
    depth = 0;
  }
  for (int r = 0; r < count; ++r) {
    const int row = rows[r], length = layer.lengths[row];
    if (gradients.initial) {
      std::memcpy(gradients.initial + row * units, dh + r * size, sizeof(float) * units);
      if (kCell == Cell::kLstm) {
        std::memcpy(gradients.initial + (layer.batch + row) * units, dc + r * size, sizeof(float) * units);
      }
    }
    if (gradients.inputs) {
      std::memset(gradients.inputs + (static_cast<size_t>(row) * layer.time + length) * features, 0,
                  sizeof(float) * features * (layer.time - length));
    }
  }
}

void backward(const Layer& layer, const Gradients& gradients, const float* packed, const int* order, int first,
              int count, float* scratch, float* sums) {
  const auto run = layer.cell == Cell::kRnn    ? backward_rows<Cell::kRnn>
                   : layer.cell == Cell::kLstm ? backward_rows<Cell::kLstm>
                                               : backward_rows<Cell::kGru>;
  run(layer, gradients, packed, order, first, count, scratch, sums);
}

// In the order of what the gates read; a gru's x has a 1 of its own, for its two biases.
size_t sums_size(const Layer& layer) {
  const Gates gates(layer);
  return (layer.units + layer.features + 2) * gates.row();
}

void reduce(const Layer& layer, const Gradients& gradients, const float* sums, int threads) {
  const Gates gates(layer);
  const size_t thread = sums_size(layer);
  const auto unpack = [&](int first, int rows, float* to) {
    for (int row = 0; row < rows; ++row, sums += gates.row(), to += gates.width()) {
      gates.each(first, [&](int at, int keras, int count) {
        V sum{};
        for (int i = 0; i < threads; ++i) sum += load(sums + i * thread + at);
        store(to + keras, sum, count);
      });
    }
  };
  unpack(gates.recurrent_first(), layer.units, gradients.recurrent);
  if (layer.cell == Cell::kGru) unpack(gates.recurrent_first(), 1, gradients.bias + gates.width());
  unpack(0, 1, gradients.bias);
  unpack(0, layer.features, gradients.kernel);
}

size_t packed_size(const Layer& layer) {
  const int rows = round_up(layer.units, W) + round_up(layer.features, W);
  const size_t forward = StepProducts::packed_size(layer), backward = rows * Gates(layer).row();
  return forward > backward ? forward : backward;
}

size_t scratch_size(const Layer& layer) {
  const size_t states = 4 * kGroup * padded(layer.cell, layer.units), forward = StepProducts::work_size(layer);
  const size_t backward = static_cast<size_t>(kDeep) * (gates_size(layer.cell, layer.units) + read_size(layer));
  return states + (forward > backward ? forward : backward);
}

}  // namespace

SEQLOOM_TABLE(Kernel, k) = {SEQLOOM_LABEL, packed_size, scratch_size, sums_size, pack_forward,
                                    pack_backward,        forward,     backward,     reduce};

}  // namespace seqloom
