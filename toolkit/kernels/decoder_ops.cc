// The decoder of decoder.h as TensorFlow operations, on its own threads.
#include "decoder.h"

#include "operation.h"

namespace seqloom {
namespace {

const DecoderKernel& Chosen() {
  static const DecoderKernel& kernel = CHOOSE(kDecoder);
  return kernel;
}

#define REGISTER_DECODER(name)       \
  REGISTER_OP(name)                  \
      .Attr("cell: {'rnn', 'lstm', 'gru'}") \
      .Attr("additive: bool")        \
      .Input("inputs: float")        \
      .Input("lengths: int32")       \
      .Input("recurrent: float")     \
      .Input("mask: float")          \
      .Input("initial: float")       \
      .Input("memory: float")        \
      .Input("keys: float")          \
      .Input("query: float")         \
      .Input("query_bias: float")    \
      .Input("energy: float")        \
      .Input("combine: float")       \
      .Input("combine_bias: float")

REGISTER_DECODER("SeqloomDecoder")
    .Output("outputs: float")
    .Output("weights: float")
    .Output("before: float")
    .Output("after: float")
    .Output("gates: float")
    .Output("queries: float")
    .SetShapeFn([](InferenceContext* c) {
      ShapeHandle inputs, recurrent, memory;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &inputs));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(5), 3, &memory));
      const auto batch = c->Dim(inputs, 0), time = c->Dim(inputs, 1), units = c->Dim(c->input(11), 0);
      c->set_output(0, c->MakeShape({batch, time, units}));
      c->set_output(1, c->MakeShape({batch, time, c->Dim(memory, 1)}));
      for (int i = 2; i < 6; ++i) c->set_output(i, c->UnknownShapeOfRank(3));
      return tf::OkStatus();
    })
    .Doc("A recurrent decoder with attention and input feeding; see decoder.h.");

REGISTER_DECODER("SeqloomDecoderGrad")
    .Input("outputs: float")
    .Input("weights: float")
    .Input("before: float")
    .Input("after: float")
    .Input("gates: float")
    .Input("queries: float")
    .Input("d_outputs: float")
    .Input("d_weights: float")
    .Output("d_inputs: float")
    .Output("d_initial: float")
    .Output("d_keys: float")
    .Output("d_energy: float")
    .Output("d_queries: float")
    .Output("d_combined: float")
    .Output("d_contexts: float")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(0));
      c->set_output(1, c->input(4));
      c->set_output(2, c->input(6));
      c->set_output(3, c->UnknownShapeOfRank(2));
      c->set_output(4, c->input(17));
      c->set_output(5, c->input(12));
      c->set_output(6, c->UnknownShapeOfRank(3));
      return tf::OkStatus();
    })
    .Doc("The gradients of SeqloomDecoder.");

class DecoderOperation : public tf::OpKernel {
 public:
  explicit DecoderOperation(tf::OpKernelConstruction* context) : OpKernel(context) {
    std::string name;
    OP_REQUIRES_OK(context, context->GetAttr("cell", &name));
    OP_REQUIRES_OK(context, context->GetAttr("additive", &additive_));
    cell_ = CellOf(name);
  }

 protected:
  // The sizes and the inputs that both operations begin with. A context with an error status if they do not fit.
  void Read(OpKernelContext* context, Decoder* decoder) const {
    const auto &inputs = context->input(0), &lengths = context->input(1);
    const auto &memory = context->input(5), &combine = context->input(10);
    REQUIRE(inputs.dims() == 3 && memory.dims() == 3 && combine.dims() == 2,
            "inputs, memory and the last layer are ", inputs.shape().DebugString(), ", ", memory.shape().DebugString(),
            " and ", combine.shape().DebugString());
    const int64_t batch = inputs.dim_size(0), time = inputs.dim_size(1), units = combine.dim_size(1);
    const int64_t source = memory.dim_size(1), width = memory.dim_size(2);
    for (const int64_t size : {batch, time, source}) REQUIRE(size < (1 << 30), "too large: ", size);
    REQUIRE(units > 0 && width > 0 && units < (1 << 14) && width < (1 << 16), "there are ", units, " units, ", width,
            " of the memory");
    const int64_t asked = additive_ ? units : 0, columns = (cell_ == Cell::kRnn ? 1 : 4) * units;
    const TensorShape expected[] = {{batch, time, columns}, {batch}, {2 * units, columns},
                                    {batch, units},               {states(cell_), batch, units},
                                    {batch, source, width},       {batch, source, units},
                                    {asked, asked},               {asked},           {asked},
                                    {units + width, units},       {units}};
    for (int i = 0; i < 12; ++i) {
      const auto& shape = context->input(i).shape();
      REQUIRE(shape == expected[i], "input ", i, " is ", shape.DebugString(),
              ", expected ", expected[i].DebugString());
    }
    const auto length = lengths.vec<tf::int32>();
    for (int row = 0; row < batch; ++row) {
      REQUIRE(length(row) >= 0 && length(row) <= source, "the length of row ", row, " is ", length(row),
              ", expected from 0 to ", source);
    }
    *decoder = {cell_,
                additive_,
                0,
                static_cast<int>(batch),
                static_cast<int>(time),
                static_cast<int>(source),
                static_cast<int>(units),
                static_cast<int>(width),
                length.data(),
                Data(inputs),
                Data(context->input(2)),
                Data(context->input(3)),
                Data(context->input(4)),
                Data(memory),
                Data(context->input(6)),
                Data(context->input(7)),
                Data(context->input(8)),
                Data(context->input(9)),
                Data(combine),
                Data(context->input(11))};
  }

  // Shapes of what is saved: before, after, gates and queries.
  std::vector<TensorShape> Saved(const Decoder& d) const {
    return {{d.batch, d.time, 2 * d.units},
            {d.batch, d.time, d.units + d.width},
            {d.batch, d.time, kept_of(d)},
            {d.batch, d.time, additive_ ? d.units : 0}};
  }

  // f(first row, how many, scratch) for groups of rows, each thread's as even as can be.
  template <class F>
  static void Run(OpKernelContext* context, const Decoder& d, const F& f) {
    const int64_t threads = Threads(context, d.batch);
    const size_t size = Chosen().scratch_size(d);
    tf::Tensor scratch;
    float* work = Scratch(context, size * threads, &scratch);
    if (!context->status().ok()) return;
    OnThreads(context, threads, [&](int64_t thread) {
      const int end = d.batch * (thread + 1) / threads;
      for (int first = d.batch * thread / threads; first < end; first += kGroup) {
        f(first, std::min(kGroup, end - first), work + size * thread);
      }
    });
  }

  Cell cell_;
  bool additive_;
};

class DecoderForward : public DecoderOperation {
 public:
  using DecoderOperation::DecoderOperation;

  void Compute(OpKernelContext* context) override {
    Decoder d{};
    Read(context, &d);
    if (!context->status().ok()) return;
    d.outputs = Output(context, 0, {d.batch, d.time, d.units});
    d.weights = Output(context, 1, {d.batch, d.time, d.source});
    const auto shapes = Saved(d);
    float** saved[] = {&d.before, &d.after, &d.gates, &d.queries};
    bool wanted = false;
    for (int i = 0; i < 4; ++i) wanted |= context->output_required(2 + i);
    for (int i = 0; i < 4; ++i) {
      float* array = Output(context, 2 + i, wanted ? shapes[i] : TensorShape({0, 0, 0}));
      *saved[i] = wanted ? array : nullptr;
    }
    tf::Tensor packed;
    float* weights = Scratch(context, Chosen().packed_size(d), &packed);
    if (!context->status().ok()) return;
    Chosen().pack_forward(d, weights);
    Run(context, d, [&](int first, int count, float* scratch) { Chosen().forward(d, weights, first, count, scratch); });
  }
};

class DecoderBackward : public DecoderOperation {
 public:
  using DecoderOperation::DecoderOperation;

  void Compute(OpKernelContext* context) override {
    Decoder d{};
    Read(context, &d);
    if (!context->status().ok()) return;
    const auto shapes = Saved(d);
    const TensorShape outputs({d.batch, d.time, d.units}), weights({d.batch, d.time, d.source});
    bool fits = context->input(12).shape() == outputs && context->input(13).shape() == weights;
    for (int i = 0; i < 4; ++i) fits &= context->input(14 + i).shape() == shapes[i];
    const auto &d_outputs = context->input(18), &d_weights = context->input(19);
    fits &= !d_outputs.NumElements() || d_outputs.shape() == outputs;
    fits &= !d_weights.NumElements() || d_weights.shape() == weights;
    REQUIRE(fits, "what was saved and the gradients do not fit the decoder");
    d.outputs = Data(context->input(12)), d.weights = Data(context->input(13));
    d.before = Data(context->input(14)), d.after = Data(context->input(15));
    d.gates = Data(context->input(16)), d.queries = Data(context->input(17));
    DecoderGradients g{};
    g.outputs = d_outputs.NumElements() ? Data(d_outputs) : nullptr;
    g.weights = d_weights.NumElements() ? Data(d_weights) : nullptr;
    g.inputs = Output(context, 0, context->input(0).shape());
    g.initial = Output(context, 1, context->input(4).shape());
    g.keys = Output(context, 2, context->input(6).shape());
    g.energy = Output(context, 3, {additive_ ? d.batch : 0, d.units});
    g.queries = Output(context, 4, shapes[3]);
    g.combined = Output(context, 5, outputs);
    g.contexts = Output(context, 6, {d.batch, d.time, d.width});
    tf::Tensor packed;
    float* transposed = Scratch(context, Chosen().packed_size(d), &packed);
    if (!context->status().ok()) return;
    Chosen().pack_backward(d, transposed);
    Run(context, d,
        [&](int first, int count, float* scratch) { Chosen().backward(d, g, transposed, first, count, scratch); });
  }
};

REGISTER_KERNEL_BUILDER(Name("SeqloomDecoder").Device(tf::DEVICE_CPU), DecoderForward);
REGISTER_KERNEL_BUILDER(Name("SeqloomDecoderGrad").Device(tf::DEVICE_CPU), DecoderBackward);

}  // namespace
}  // namespace seqloom
