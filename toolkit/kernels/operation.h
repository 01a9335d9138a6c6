// What TensorFlow operations of kernels share: memory, and rows on TensorFlow's own threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#include "processor.h"
#include "recurrent.h"
#include "shares.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/platform/threadpool.h"

namespace seqloom {

namespace tf = tensorflow;
using tf::OpKernelContext;
using tf::TensorShape;
using tf::errors::InvalidArgument;
using tf::shape_inference::InferenceContext;
using tf::shape_inference::ShapeHandle;

inline Cell CellOf(const std::string& name) {
  return name == "lstm" ? Cell::kLstm : name == "gru" ? Cell::kGru : Cell::kRnn;
}

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

inline float* Data(const tf::Tensor& tensor) { return const_cast<float*>(tensor.flat<float>().data()); }

inline float* Output(OpKernelContext* context, int index, const TensorShape& shape) {
  const bool large = shape.num_elements() > (1 << 18);
  tf::Tensor tensor(large ? Keeper::Get() : tf::cpu_allocator(), tf::DT_FLOAT, shape);
  if (!tensor.IsInitialized()) context->SetStatus(tf::errors::ResourceExhausted("no memory for ", shape.DebugString()));
  context->set_output(index, tensor);
  return Data(tensor);
}

inline float* Scratch(OpKernelContext* context, size_t size, tf::Tensor* tensor) {
  const auto status = context->allocate_temp(tf::DT_FLOAT, {static_cast<int64_t>(size)}, tensor);
  if (!status.ok()) context->SetStatus(status);
  return status.ok() ? Data(*tensor) : nullptr;
}

// Lets a thread that was woken begin. It may have been put in line for the core that this thread computes on, and Linux
// may leave it there for milliseconds, another core being idle: then this thread goes to another core.
inline void MakeRoom(const std::atomic<int64_t>& begun, const std::atomic<int64_t>& computing, int64_t threads) {
#if defined(__linux__)
  using Clock = std::chrono::steady_clock;
  const auto late = Clock::now() + std::chrono::microseconds(80);  // most have begun after 50
  cpu_set_t cores, others;
  if (sched_getaffinity(0, sizeof(cores), &cores)) return;
  const int64_t most = std::min<int64_t>(threads, CPU_COUNT(&cores));
  while (begun < threads && computing < most) {
    if (Clock::now() < late) continue;
    others = cores;
    CPU_CLR(sched_getcpu(), &others);
    if (sched_setaffinity(0, sizeof(others), &others)) return;
    cpu_set_t now;  // somebody may bind threads to cores meanwhile
    if (!sched_getaffinity(0, sizeof(now), &now) && CPU_EQUAL(&now, &others)) sched_setaffinity(0, sizeof(cores), &cores);
    return;
  }
#endif
}

// f(thread) for so many threads at once.
inline void OnThreads(OpKernelContext* context, int64_t threads, const std::function<void(int)>& f) {
  if (threads == 1) return f(0);
  static std::atomic<int64_t> computing{0};  // threads of all operations
  std::atomic<int64_t> begun{0};
  using Parameters = tsl::thread::ThreadPool::SchedulingParams;
  context->device()->tensorflow_cpu_worker_threads()->workers->ParallelFor(
      threads, Parameters(tsl::thread::ThreadPool::SchedulingStrategy::kFixedBlockSize, {}, 1),
      [&](int64_t first, int64_t end) {
        for (int64_t thread = first; thread < end; ++thread) {
          ++begun, ++computing;
          if (thread == 0) MakeRoom(begun, computing, threads);
          f(thread);
          --computing;
        }
      });
}

inline int64_t Threads(OpKernelContext* context, int rows) {
  return threads_for(rows, context->device()->tensorflow_cpu_worker_threads()->num_threads);
}

// f(first, end) for parts of so many rows, a thread each.
template <class F>
void InParts(OpKernelContext* context, int64_t rows, const F& f) {
  const int64_t threads = Threads(context, rows);
  OnThreads(context, threads, [&](int64_t thread) { f(rows * thread / threads, rows * (thread + 1) / threads); });
}

}  // namespace seqloom
