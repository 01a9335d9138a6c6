// The recurrent layers of recurrent.h as TensorFlow operations, on its own threads.
#include "operation.h"

namespace seqloom {
namespace {

const Kernel& Chosen() {
  static const Kernel& kernel = CHOOSE(k);
  return kernel;
}

#define REGISTER_RECURRENCE(name)           \
  REGISTER_OP(name)                         \
      .Attr("cell: {'rnn', 'lstm', 'gru'}") \
      .Attr("reverse: bool")                \
      .Input("inputs: float")               \
      .Input("lengths: int32")              \
      .Input("kernel: float")               \
      .Input("recurrent: float")            \
      .Input("bias: float")                 \
      .Input("initial: float")

REGISTER_RECURRENCE("SeqloomRecurrence")
    .Output("outputs: float")
    .Output("final: float")
    .Output("saved: float")
    .SetShapeFn([](InferenceContext* c) {
      ShapeHandle inputs, recurrent;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &inputs));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(3), 2, &recurrent));
      std::string name;
      TF_RETURN_IF_ERROR(c->GetAttr("cell", &name));
      const Cell cell = CellOf(name);
      const auto batch = c->Dim(inputs, 0), time = c->Dim(inputs, 1), units = c->Dim(recurrent, 0);
      const auto saved =
          c->ValueKnown(units) ? c->MakeDim(saved_size(cell, static_cast<int>(c->Value(units)))) : c->UnknownDim();
      c->set_output(0, c->MakeShape({batch, time, units}));
      c->set_output(1, c->MakeShape({c->MakeDim(states(cell)), batch, units}));
      c->set_output(2, c->MakeShape({time, batch, saved}));
      return tf::OkStatus();
    })
    .Doc("A recurrent layer over rows of known length; see recurrent.h.");

REGISTER_RECURRENCE("SeqloomRecurrenceGrad")
    .Input("outputs: float")
    .Input("saved: float")
    .Input("d_outputs: float")
    .Input("d_final: float")
    .Output("d_inputs: float")
    .Output("d_kernel: float")
    .Output("d_recurrent: float")
    .Output("d_bias: float")
    .Output("d_initial: float")
    .SetShapeFn([](InferenceContext* c) {
      const int like[] = {0, 2, 3, 4, 5};
      for (int i = 0; i < 5; ++i) c->set_output(i, c->input(like[i]));
      return tf::OkStatus();
    })
    .Doc("The gradients of SeqloomRecurrence.");

class Operation : public tf::OpKernel {
 public:
  explicit Operation(tf::OpKernelConstruction* context) : OpKernel(context) {
    std::string name;
    OP_REQUIRES_OK(context, context->GetAttr("cell", &name));
    OP_REQUIRES_OK(context, context->GetAttr("reverse", &reverse_));
    cell_ = CellOf(name);
  }

 protected:
  // The sizes and the six inputs that both operations begin with. A context with an error status if they do not fit.
  void Read(OpKernelContext* context, Layer* layer) const {
    const auto &inputs = context->input(0), &lengths = context->input(1), &kernel = context->input(2);
    const auto &recurrent = context->input(3), &bias = context->input(4), &initial = context->input(5);
    REQUIRE(inputs.dims() == 3, "inputs are ", inputs.shape().DebugString(), ", expected (batch, time, features)");
    REQUIRE(recurrent.dims() == 2, "the recurrent kernel has ", recurrent.dims(), " axes, expected 2");
    for (int axis = 0; axis < 3; ++axis) {
      REQUIRE(inputs.dim_size(axis) < (1 << 30), "inputs are too large: ", inputs.shape().DebugString());
    }
    const int64_t batch = inputs.dim_size(0), time = inputs.dim_size(1), features = inputs.dim_size(2);
    const int64_t units = recurrent.dim_size(0), width = gates(cell_) * units;
    REQUIRE(units > 0 && units < (1 << 20), "there are ", units, " units");
    REQUIRE((features + units) * width < (1 << 30), "there are too many weights");
    REQUIRE(kernel.shape() == TensorShape({features, width}) && recurrent.dim_size(1) == width,
            "kernels are ", kernel.shape().DebugString(), " and ", recurrent.shape().DebugString(), ", expected (",
            features, ", ", width, ") and (", units, ", ", width, ")");
    REQUIRE(bias.NumElements() == width * (cell_ == Cell::kGru ? 2 : 1), "the bias is ", bias.shape().DebugString());
    REQUIRE(initial.NumElements() == 0 || initial.shape() == TensorShape({states(cell_), batch, units}),
            "the initial state is ", initial.shape().DebugString());
    REQUIRE(lengths.shape() == TensorShape({batch}), "lengths are ", lengths.shape().DebugString(), ", expected (",
            batch, ",)");
    const auto length = lengths.vec<tf::int32>();
    for (int row = 0; row < batch; ++row) {
      REQUIRE(length(row) >= 0 && length(row) <= time, "the length of row ", row, " is ", length(row),
              ", expected from 0 to ", time);
    }
    *layer = {cell_,
              reverse_,
              static_cast<int>(batch),
              static_cast<int>(time),
              static_cast<int>(features),
              static_cast<int>(units),
              length.data(),
              Data(inputs),
              Data(kernel),
              Data(recurrent),
              Data(bias),
              initial.NumElements() ? Data(initial) : nullptr};
    layer->in = layer->out = {layer->time, 1};
  }

  // f(thread, first, how many) for the groups of rows of each thread.
  static void Run(OpKernelContext* context, const Shares& shares, const std::function<void(int, int, int)>& f) {
    OnThreads(context, shares.ends.size(), [&](int thread) {
      shares.each_group(thread, [&](int first, int count) { f(thread, first, count); });
    });
  }

  Cell cell_;
  bool reverse_;
};

class Forward : public Operation {
 public:
  using Operation::Operation;

  void Compute(OpKernelContext* context) override {
    Layer layer{};
    Read(context, &layer);
    if (!context->status().ok()) return;
    const int64_t saved = saved_size(cell_, layer.units);
    const bool save = saved && context->output_required(2);
    tf::Tensor packed, scratch;
    layer.outputs = Output(context, 0, {layer.batch, layer.time, layer.units});
    layer.final = Output(context, 1, {states(cell_), layer.batch, layer.units});
    float* to_save = Output(context, 2, {layer.time, layer.batch, save ? saved : 0});
    layer.saved = save ? to_save : nullptr;
    const Shares shares(layer, Threads(context, layer.batch));
    const Kernel& kernel = Chosen();
    const size_t size = kernel.scratch_size(layer);
    float* weights = Scratch(context, kernel.packed_size(layer), &packed);
    float* work = Scratch(context, size * shares.ends.size(), &scratch);
    if (!context->status().ok()) return;
    kernel.pack_forward(layer, weights);
    Run(context, shares, [&](int thread, int first, int count) {
      kernel.forward(layer, weights, shares.order.data(), first, count, work + size * thread);
    });
  }
};

class Backward : public Operation {
 public:
  using Operation::Operation;

  void Compute(OpKernelContext* context) override {
    Layer layer{};
    Read(context, &layer);
    if (!context->status().ok()) return;
    const TensorShape outputs({layer.batch, layer.time, layer.units});
    const bool known = context->input(8).NumElements() > 0;
    REQUIRE(context->input(6).shape() == outputs && (!known || context->input(8).shape() == outputs) &&
                context->input(7).shape() == TensorShape({layer.time, layer.batch, saved_size(cell_, layer.units)}) &&
                context->input(9).shape() == TensorShape({states(cell_), layer.batch, layer.units}),
            "what was saved and the gradients do not fit the layer");
    layer.outputs = Data(context->input(6));
    layer.saved = Data(context->input(7));
    Gradients gradients{known ? Data(context->input(8)) : nullptr, Data(context->input(9))};
    const bool wanted = context->output_required(0);
    float* d_inputs = Output(context, 0, wanted ? context->input(0).shape() : TensorShape({0}));
    gradients.inputs = wanted ? d_inputs : nullptr;
    gradients.kernel = Output(context, 1, context->input(2).shape());
    gradients.recurrent = Output(context, 2, context->input(3).shape());
    gradients.bias = Output(context, 3, context->input(4).shape());
    float* d_initial = Output(context, 4, context->input(5).shape());
    gradients.initial = layer.initial ? d_initial : nullptr;
    const Shares shares(layer, Threads(context, layer.batch));
    const Kernel& kernel = Chosen();
    const size_t size = kernel.scratch_size(layer), added = kernel.sums_size(layer);
    tf::Tensor packed, scratch, sums;
    float* weights = Scratch(context, kernel.packed_size(layer), &packed);
    float* work = Scratch(context, size * shares.ends.size(), &scratch);
    float* all = Scratch(context, added * shares.ends.size(), &sums);
    if (!context->status().ok()) return;
    std::fill_n(all, added * shares.ends.size(), 0.0f);
    kernel.pack_backward(layer, weights);
    Run(context, shares, [&](int thread, int first, int count) {
      kernel.backward(layer, gradients, weights, shares.order.data(), first, count, work + size * thread,
                      all + added * thread);
    });
    kernel.reduce(layer, gradients, all, shares.ends.size());
  }
};

REGISTER_KERNEL_BUILDER(Name("SeqloomRecurrence").Device(tf::DEVICE_CPU), Forward);
REGISTER_KERNEL_BUILDER(Name("SeqloomRecurrenceGrad").Device(tf::DEVICE_CPU), Backward);

}  // namespace

extern "C" const char* seqloom_kernel_name() { return Chosen().name; }

}  // namespace seqloom
