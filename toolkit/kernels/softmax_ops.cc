// The softmax of softmax.h as TensorFlow operations, on its own threads.
#include "softmax.h"

#include "operation.h"

namespace seqloom {
namespace {

const SoftmaxKernel& Chosen() {
  static const SoftmaxKernel& kernel = CHOOSE(kSoftmax);
  return kernel;
}

REGISTER_OP("SeqloomSoftmax")
    .Input("logits: float")
    .Input("ids: int32")
    .Output("normalizer: float")
    .Output("mean: float")
    .Output("picked: float")
    .SetShapeFn([](InferenceContext* c) {
      for (int i = 0; i < 3; ++i) c->set_output(i, c->input(1));
      return tf::OkStatus();
    })
    .Doc("What a loss needs of a softmax; see softmax.h.");

REGISTER_OP("SeqloomSoftmaxGrad")
    .Input("logits: float")
    .Input("ids: int32")
    .Input("normalizer: float")
    .Input("d_normalizer: float")
    .Input("d_mean: float")
    .Input("d_picked: float")
    .Output("d_logits: float")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(0));
      return tf::OkStatus();
    })
    .Doc("The gradient of SeqloomSoftmax.");

// Reads the logits and the ids. A context with an error status if they do not fit.
void Read(OpKernelContext* context, Softmax* softmax) {
  const auto &logits = context->input(0), &ids = context->input(1);
  REQUIRE(logits.dims() == 2 && ids.shape() == TensorShape({logits.dim_size(0)}), "logits and ids are ",
          logits.shape().DebugString(), " and ", ids.shape().DebugString(), ", expected (rows, vocab) and (rows,)");
  REQUIRE(logits.dim_size(1) > 0 && logits.dim_size(1) < (1 << 30), "the vocabulary has ", logits.dim_size(1));
  softmax->vocab = logits.dim_size(1);
  softmax->logits = Data(logits);
  softmax->ids = ids.flat<tf::int32>().data();
  for (int64_t row = 0; row < ids.NumElements(); ++row) {
    REQUIRE(softmax->ids[row] >= 0 && softmax->ids[row] < softmax->vocab, "the id of row ", row, " is ",
            softmax->ids[row], ", expected from 0 to ", softmax->vocab - 1);
  }
}

class SoftmaxForward : public tf::OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    Softmax softmax{};
    Read(context, &softmax);
    if (!context->status().ok()) return;
    float** results[] = {&softmax.normalizer, &softmax.mean, &softmax.picked};
    for (int i = 0; i < 3; ++i) *results[i] = Output(context, i, context->input(1).shape());
    if (!context->status().ok()) return;
    InParts(context, context->input(1).NumElements(),
            [&](size_t first, size_t end) { Chosen().forward(softmax, first, end); });
  }
};

class SoftmaxBackward : public tf::OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    Softmax softmax{};
    Read(context, &softmax);
    if (!context->status().ok()) return;
    float** given[] = {&softmax.normalizer, &softmax.d_normalizer, &softmax.mean, &softmax.picked};
    for (int i = 0; i < 4; ++i) {
      const auto& tensor = context->input(2 + i);
      REQUIRE(tensor.shape() == context->input(1).shape(), "input ", 2 + i, " is ", tensor.shape().DebugString());
      *given[i] = Data(tensor);
    }
    tf::Tensor* d_logits = nullptr;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, context->input(0).shape(), &d_logits));
    softmax.d_logits = Data(*d_logits);
    InParts(context, context->input(1).NumElements(),
            [&](size_t first, size_t end) { Chosen().backward(softmax, first, end); });
  }
};

REGISTER_KERNEL_BUILDER(Name("SeqloomSoftmax").Device(tf::DEVICE_CPU), SoftmaxForward);
REGISTER_KERNEL_BUILDER(Name("SeqloomSoftmaxGrad").Device(tf::DEVICE_CPU), SoftmaxBackward);

}  // namespace
}  // namespace seqloom
