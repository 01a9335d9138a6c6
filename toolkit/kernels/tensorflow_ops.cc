// The recurrent layers of recurrent.h as TensorFlow operations, on its own threads.
#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

#include "processor.h"
#include "recurrent.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/platform/threadpool.h"

namespace seqloom {
namespace {

namespace tf = tensorflow;
using tf::OpKernelContext;
using tf::TensorShape;
using tf::errors::InvalidArgument;
using tf::shape_inference::InferenceContext;
using tf::shape_inference::ShapeHandle;

const Kernel& Choose() {
#if defined(__x86_64__)
  const Instructions instructions = choose_instructions();
  if (instructions == Instructions::kAvx512) return kAvx512;
  if (instructions == Instructions::kAvx2) return kAvx2;
#endif
  return kPortable;
}

const Kernel& Chosen() {
  static const Kernel& kernel = Choose();
  return kernel;
}

Cell CellOf(const std::string& name) {
  return name == "lstm" ? Cell::kLstm : name == "gru" ? Cell::kGru : Cell::kRnn;
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

#define REQUIRE(condition, ...) OP_REQUIRES(context, condition, InvalidArgument(__VA_ARGS__))

// Keeps the memory of large tensors for the next step of training, since getting it anew costs a fault for each of its
// pages. It never holds more than was in use at once.
class Keeper : public tf::Allocator {
 public:
  static Keeper* Get() {
    static auto* keeper = new Keeper;
    return keeper;
  }

  std::string Name() override { return "seqloom"; }

  void* AllocateRaw(size_t, size_t size) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto block = kept_.lower_bound(size);
    if (block == kept_.end() || block->first > 2 * size) {
      while (!kept_.empty() && in_use_ + kept_size_ + size > most_) Drop();
      void* memory = tsl::port::AlignedMalloc(size, kAlignment);
      if (!memory) return nullptr;
      block = kept_.emplace(size, memory);
      kept_size_ += size;
    }
    const auto [real_size, memory] = *block;
    kept_.erase(block);
    kept_size_ -= real_size;
    sizes_[memory] = real_size;
    in_use_ += real_size;
    most_ = std::max(most_, in_use_);
    return memory;
  }

  void DeallocateRaw(void* memory) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto size = sizes_.find(memory);
    kept_.emplace(size->second, memory);
    kept_size_ += size->second;
    in_use_ -= size->second;
    sizes_.erase(size);
  }

 private:
  static constexpr auto kAlignment = static_cast<std::align_val_t>(64);

  void Drop() {
    const auto largest = std::prev(kept_.end());
    kept_size_ -= largest->first;
    tsl::port::AlignedFree(largest->second);
    kept_.erase(largest);
  }

  std::mutex mutex_;
  std::multimap<size_t, void*> kept_;
  std::unordered_map<void*, size_t> sizes_;
  size_t in_use_ = 0, kept_size_ = 0, most_ = 0;
};

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
  }

  static float* Data(const tf::Tensor& tensor) { return const_cast<float*>(tensor.flat<float>().data()); }

  static float* Output(OpKernelContext* context, int index, const TensorShape& shape) {
    const bool large = shape.num_elements() > (1 << 18);
    tf::Tensor tensor(large ? Keeper::Get() : tf::cpu_allocator(), tf::DT_FLOAT, shape);
    if (!tensor.IsInitialized()) context->SetStatus(tf::errors::ResourceExhausted("no memory for ", shape.DebugString()));
    context->set_output(index, tensor);
    return Data(tensor);
  }

  static float* Scratch(OpKernelContext* context, size_t size, tf::Tensor* tensor) {
    const auto status = context->allocate_temp(tf::DT_FLOAT, {static_cast<int64_t>(size)}, tensor);
    if (!status.ok()) context->SetStatus(status);
    return status.ok() ? Data(*tensor) : nullptr;
  }

  // Which rows each thread takes, the longest first: whichever thread has the fewest steps so far takes the next. It
  // depends on the lengths and the number of threads alone, so sums are added up in the same order in every run.
  static std::vector<std::vector<int>> Share(OpKernelContext* context, const Layer& layer) {
    const int threads = context->device()->tensorflow_cpu_worker_threads()->num_threads;
    std::vector<std::vector<int>> shares(std::max(1, std::min(threads, (layer.batch + 2) / 3)));
    std::vector<int64_t> steps(shares.size());
    std::vector<int> rows(layer.batch);
    std::iota(rows.begin(), rows.end(), 0);
    std::stable_sort(rows.begin(), rows.end(), [&](int a, int b) { return layer.lengths[a] > layer.lengths[b]; });
    for (const int row : rows) {
      const size_t least = std::min_element(steps.begin(), steps.end()) - steps.begin();
      shares[least].push_back(row);
      steps[least] += std::max(1, layer.lengths[row]);
    }
    return shares;
  }

  // f(thread, rows, how many) for the groups of rows of each thread.
  static void Run(OpKernelContext* context, const std::vector<std::vector<int>>& shares,
                  const std::function<void(int, const int*, int)>& f) {
    const auto run = [&](int64_t first, int64_t end) {
      for (int64_t thread = first; thread < end; ++thread) {
        const auto& rows = shares[thread];
        for (size_t at = 0; at < rows.size(); at += kGroup) {
          f(thread, rows.data() + at, std::min<int>(kGroup, rows.size() - at));
        }
      }
    };
    const int64_t threads = shares.size();
    if (threads == 1) return run(0, 1);
    using Parameters = tsl::thread::ThreadPool::SchedulingParams;
    context->device()->tensorflow_cpu_worker_threads()->workers->ParallelFor(
        threads, Parameters(tsl::thread::ThreadPool::SchedulingStrategy::kFixedBlockSize, {}, 1), run);
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
    const auto shares = Share(context, layer);
    const Kernel& kernel = Chosen();
    const size_t size = kernel.scratch_size(layer);
    float* weights = Scratch(context, kernel.packed_size(layer), &packed);
    float* work = Scratch(context, size * shares.size(), &scratch);
    if (!context->status().ok()) return;
    kernel.pack_forward(layer, weights);
    Run(context, shares, [&](int thread, const int* rows, int count) {
      kernel.forward(layer, weights, rows, count, work + size * thread);
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
    const auto shares = Share(context, layer);
    const Kernel& kernel = Chosen();
    const size_t size = kernel.scratch_size(layer), added = kernel.sums_size(layer);
    tf::Tensor packed, scratch, sums;
    float* weights = Scratch(context, kernel.packed_size(layer), &packed);
    float* work = Scratch(context, size * shares.size(), &scratch);
    float* all = Scratch(context, added * shares.size(), &sums);
    if (!context->status().ok()) return;
    std::fill_n(all, added * shares.size(), 0.0f);
    kernel.pack_backward(layer, weights);
    Run(context, shares, [&](int thread, const int* rows, int count) {
      kernel.backward(layer, gradients, weights, rows, count, work + size * thread, all + added * thread);
    });
    kernel.reduce(layer, gradients, all, shares.size());
  }
};

REGISTER_KERNEL_BUILDER(Name("SeqloomRecurrence").Device(tf::DEVICE_CPU), Forward);
REGISTER_KERNEL_BUILDER(Name("SeqloomRecurrenceGrad").Device(tf::DEVICE_CPU), Backward);

}  // namespace

extern "C" const char* seqloom_kernel_name() { return Chosen().name; }

}  // namespace seqloom
