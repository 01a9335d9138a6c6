// The recurrent layers of recurrent.h as functions of XLA's foreign-function interface for JAX, on its own threads.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "memory.h"
#include "processor.h"
#include "recurrent.h"
#include "shares.h"
#include "xla/ffi/api/ffi.h"

namespace seqloom {
namespace {

namespace ffi = xla::ffi;
using Array = ffi::Buffer<ffi::F32>;
using Integers = ffi::Buffer<ffi::S32>;
using Result = ffi::Result<Array>;

const Kernel& Chosen() {
  static const Kernel& kernel = CHOOSE(k);
  return kernel;
}

// f(thread) for so many threads, by this one and by those that are free meanwhile.
void OnThreads(ffi::ThreadPool& pool, int threads, const std::function<void(int)>& f) {
  struct Work {
    std::atomic<int> next{0}, left;
    std::mutex mutex;
    std::condition_variable done;
  };
  const auto work = std::make_shared<Work>();  // for one that begins when all is done
  work->left = threads;
  const std::function<void()> take = [work, threads, &f] {
    for (int thread; (thread = work->next++) < threads;) {
      f(thread);
      if (--work->left) continue;
      const std::lock_guard<std::mutex> lock(work->mutex);
      work->done.notify_one();
    }
  };
  for (int other = 1; other < threads; ++other) pool.Schedule(std::function<void()>(take));
  take();
  std::unique_lock<std::mutex> lock(work->mutex);
  work->done.wait(lock, [&] { return !work->left; });
}

// Its Python side has made the shapes fit; lengths are known here.
ffi::Error CheckLengths(const Layer& layer) {
  for (int row = 0; row < layer.batch; ++row) {
    if (layer.lengths[row] >= 0 && layer.lengths[row] <= layer.time) continue;
    return ffi::Error::InvalidArgument("the length of row " + std::to_string(row) + " is " +
                                       std::to_string(layer.lengths[row]) + ", expected from 0 to " +
                                       std::to_string(layer.time));
  }
  return ffi::Error::Success();
}

Layer LayerOf(int64_t cell, bool reverse, const Array& inputs, const Integers& lengths, const Array& kernel,
              const Array& recurrent, const Array& bias, const Array& initial) {
  const auto sizes = inputs.dimensions();
  Layer layer{static_cast<Cell>(cell),
              reverse,
              static_cast<int>(sizes[0]),
              static_cast<int>(sizes[1]),
              static_cast<int>(sizes[2]),
              static_cast<int>(recurrent.dimensions()[0]),
              lengths.typed_data(),
              inputs.typed_data(),
              kernel.typed_data(),
              recurrent.typed_data(),
              bias.typed_data(),
              initial.element_count() ? initial.typed_data() : nullptr};
  layer.in = layer.out = {layer.time, 1};
  return layer;
}

ffi::Error NoMemory() { return {ffi::ErrorCode::kResourceExhausted, "there is no memory for a recurrent layer"}; }

ffi::Error Forward(ffi::ThreadPool pool, Array inputs, Integers lengths, Array kernel, Array recurrent, Array bias,
                   Array initial, Result outputs, Result final, Result saved, int64_t cell, bool reverse) {
  Layer layer = LayerOf(cell, reverse, inputs, lengths, kernel, recurrent, bias, initial);
  if (auto error = CheckLengths(layer); error.failure()) return error;
  layer.outputs = outputs->typed_data();
  layer.final = final->typed_data();
  layer.saved = saved->element_count() ? saved->typed_data() : nullptr;
  if (reinterpret_cast<uintptr_t>(layer.saved) % 64) {
    return ffi::Error::Internal("XLA's memory is not aligned to 64 bytes");
  }
  const Kernel& chosen = Chosen();
  const int threads = threads_for(layer.batch, pool.num_threads());
  const size_t size = chosen.scratch_size(layer);
  const auto packed = Scratch(chosen.packed_size(layer)), work = Scratch(size * threads);
  if (!packed || !work) return NoMemory();
  chosen.pack_forward(layer, packed.get());
  const Shares shares(layer, threads);
  OnThreads(pool, threads, [&](int thread) {
    shares.each_group(thread, [&](int first, int count) {
      chosen.forward(layer, packed.get(), shares.order.data(), first, count, work.get() + size * thread);
    });
  });
  return ffi::Error::Success();
}

ffi::Error Backward(ffi::ThreadPool pool, Array inputs, Integers lengths, Array kernel, Array recurrent, Array bias,
                    Array initial, Array outputs, Array saved, Array d_outputs, Array d_final, Result d_inputs,
                    Result d_kernel, Result d_recurrent, Result d_bias, Result d_initial, int64_t cell, bool reverse) {
  Layer layer = LayerOf(cell, reverse, inputs, lengths, kernel, recurrent, bias, initial);
  if (auto error = CheckLengths(layer); error.failure()) return error;
  layer.outputs = outputs.typed_data();
  layer.saved = saved.typed_data();
  Gradients gradients{d_outputs.typed_data(), d_final.typed_data(), d_inputs->typed_data(), d_kernel->typed_data()};
  gradients.recurrent = d_recurrent->typed_data();
  gradients.bias = d_bias->typed_data();
  gradients.initial = layer.initial ? d_initial->typed_data() : nullptr;
  const Kernel& chosen = Chosen();
  const int threads = threads_for(layer.batch, pool.num_threads());
  const size_t size = chosen.scratch_size(layer), added = chosen.sums_size(layer);
  const auto packed = Scratch(chosen.packed_size(layer)), work = Scratch(size * threads);
  const auto sums = Scratch(added * threads);
  if (!packed || !work || !sums) return NoMemory();
  std::fill_n(sums.get(), added * threads, 0.0f);
  chosen.pack_backward(layer, packed.get());
  const Shares shares(layer, threads);
  OnThreads(pool, threads, [&](int thread) {
    shares.each_group(thread, [&](int first, int count) {
      chosen.backward(layer, gradients, packed.get(), shares.order.data(), first, count, work.get() + size * thread,
                      sums.get() + added * thread);
    });
  });
  chosen.reduce(layer, gradients, sums.get(), threads);
  return ffi::Error::Success();
}

// What both passes begin with.
auto Begin() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Arg<Array>()
      .Arg<Integers>()
      .Arg<Array>()
      .Arg<Array>()
      .Arg<Array>()
      .Arg<Array>();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(seqloom_recurrence, Forward,
                              Begin()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Attr<int64_t>("cell")
                                  .Attr<bool>("reverse"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(seqloom_recurrence_grad, Backward,
                              Begin()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Attr<int64_t>("cell")
                                  .Attr<bool>("reverse"));

extern "C" const char* seqloom_name() { return Chosen().name; }

}  // namespace seqloom
