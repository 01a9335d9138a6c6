// The functions of adam.h as TensorFlow operations, on its own threads.
#include "adam.h"

#include "operation.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"

namespace seqloom {
namespace {

const AdamKernel& Chosen() {
  static const AdamKernel& kernel = CHOOSE(kAdam);
  return kernel;
}

REGISTER_OP("SeqloomRowSums")
    .Input("rows: int32")
    .Input("values: float")
    .Output("once: int32")
    .Output("sums: float")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->Vector(InferenceContext::kUnknownDim));
      ShapeHandle sums;
      TF_RETURN_IF_ERROR(c->ReplaceDim(c->input(1), 0, c->UnknownDim(), &sums));
      c->set_output(1, sums);
      return tf::OkStatus();
    })
    .Doc("The rows that stand there, each once, and the sums of their values.");

REGISTER_OP("SeqloomAdam")
    .Input("w: resource")
    .Input("m: resource")
    .Input("v: resource")
    .Input("rate: float")
    .Input("rows: int32")
    .Input("values: float")
    .Attr("beta_1: float")
    .Attr("beta_2: float")
    .Attr("epsilon: float")
    .Attr("lazy: bool")
    .SetIsStateful()
    .SetShapeFn([](InferenceContext*) { return tf::OkStatus(); })
    .Doc("Adam's step of a table of which these rows, each named once, have a gradient; lazy: of these alone.");

class SumsOperation : public tf::OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const auto &rows = context->input(0), &values = context->input(1);
    REQUIRE(rows.dims() == 1 && values.dims() == 2 && rows.dim_size(0) == values.dim_size(0), "rows and values are ",
            rows.shape().DebugString(), " and ", values.shape().DebugString(), ", expected (rows,) and (rows, width)");
    const int count = rows.dim_size(0), *row = rows.flat<tf::int32>().data();
    for (int i = 0; i < count; ++i) {
      REQUIRE(row[i] >= 0 && row[i] < (1 << 30), "row ", row[i], " is not from 0 to 2^30 - 1");
    }
    std::vector<int> last(count ? *std::max_element(row, row + count) + 1 : 0, -1), firsts, next(count, -1);
    for (int i = 0; i < count; ++i) {
      int& before = last[row[i]];
      if (before < 0) {
        firsts.push_back(i);
      } else {
        next[before] = i;
      }
      before = i;
    }
    const int64_t size = firsts.size(), width = values.dim_size(1);
    tf::Tensor* once = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, {size}, &once));
    for (int i = 0; i < size; ++i) once->flat<tf::int32>()(i) = row[firsts[i]];
    float* sums = Output(context, 1, {size, width});
    if (!context->status().ok()) return;
    const RowSums all{static_cast<int>(width), firsts.data(), next.data(), Data(values), sums};
    InParts(context, size, [&](size_t first, size_t end) { Chosen().sum(all, first, end); });
  }
};

class AdamOperation : public tf::OpKernel {
 public:
  explicit AdamOperation(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("beta_1", &step_.beta_1));
    OP_REQUIRES_OK(context, context->GetAttr("beta_2", &step_.beta_2));
    OP_REQUIRES_OK(context, context->GetAttr("epsilon", &step_.epsilon));
    OP_REQUIRES_OK(context, context->GetAttr("lazy", &lazy_));
  }

  void Compute(OpKernelContext* context) override {
    tf::core::RefCountPtr<tf::Var> variables[3];
    for (int i = 0; i < 3; ++i) {
      OP_REQUIRES_OK(context, LookupResource(context, tf::HandleFromInput(context, i), &variables[i]));
    }
    const auto &rate = context->input(3), &rows = context->input(4), &values = context->input(5);
    AdamStep step = step_;
    float** arrays[] = {&step.w, &step.m, &step.v};
    const tf::mutex_lock first(*variables[0]->mu()), second(*variables[1]->mu()), third(*variables[2]->mu());
    const TensorShape shape = variables[0]->tensor()->shape();
    REQUIRE(shape.dims() == 2 && shape.dim_size(0) < (1 << 30) && shape.dim_size(1) < (1 << 30), "the table is ",
            shape.DebugString(), ", expected (rows, width)");
    for (int i = 0; i < 3; ++i) *arrays[i] = Writable(context, variables[i].get(), shape);
    if (!context->status().ok()) return;
    REQUIRE(rate.NumElements() == 1 && values.shape() == TensorShape({rows.NumElements(), shape.dim_size(1)}),
            "the rate, rows and values are ", rate.shape().DebugString(), ", ", rows.shape().DebugString(), " and ",
            values.shape().DebugString());
    std::vector<int> places(shape.dim_size(0), -1);
    for (int i = 0; i < rows.NumElements(); ++i) {
      const int row = rows.flat<tf::int32>()(i);
      REQUIRE(row >= 0 && row < shape.dim_size(0) && places[row] < 0, "row ", row, " is not in the table, of ",
              shape.dim_size(0), " rows, or is named twice");
      places[row] = i;
    }
    step.width = shape.dim_size(1), step.rate = rate.flat<float>()(0);
    step.rows = lazy_ ? rows.flat<tf::int32>().data() : nullptr;
    step.places = places.data(), step.values = Data(values);
    InParts(context, lazy_ ? rows.NumElements() : shape.dim_size(0),
            [&](size_t first, size_t end) { Chosen().update(step, first, end); });
  }

 private:
  // A variable's memory, which nobody else reads; it is locked. A context with an error status if it does not fit.
  static float* Writable(OpKernelContext* context, tf::Var* variable, const TensorShape& shape) {
    tf::Tensor* tensor = variable->tensor();
    if (tensor->dtype() != tf::DT_FLOAT || tensor->shape() != shape) {
      context->SetStatus(InvalidArgument("a variable is ", tensor->shape().DebugString(), ", expected floats ",
                                         shape.DebugString()));
      return nullptr;
    }
    if (!tensor->RefCountIsOne()) {
      tf::Tensor copy;
      const auto status = context->allocate_temp(tf::DT_FLOAT, shape, &copy);
      context->SetStatus(status);
      if (!status.ok()) return nullptr;
      std::copy_n(Data(*tensor), shape.num_elements(), Data(copy));
      *tensor = copy;
    }
    return Data(*tensor);
  }

  AdamStep step_{};
  bool lazy_;
};

REGISTER_KERNEL_BUILDER(Name("SeqloomRowSums").Device(tf::DEVICE_CPU), SumsOperation);
REGISTER_KERNEL_BUILDER(Name("SeqloomAdam").Device(tf::DEVICE_CPU), AdamOperation);

}  // namespace
}  // namespace seqloom
