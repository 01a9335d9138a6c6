// Which rows of a layer each thread takes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "recurrent.h"

namespace seqloom {

// As many threads as there are, but none with fewer than three rows.
inline int threads_for(int rows, int64_t threads) {
  return std::max<int64_t>(1, std::min<int64_t>(threads, (rows + 2) / 3));
}

// Rows, those of a thread one after the other, and where each thread's end.
struct Shares {
  std::vector<int> order, ends;

  // The longest first: whichever thread has the fewest steps so far takes the next. It depends on the lengths and the
  // number of threads alone, so sums are added up in the same order in every run.
  Shares(const Layer& layer, int threads) {
    std::vector<std::vector<int>> shares(threads);
    std::vector<int64_t> steps(threads);
    std::vector<int> rows(layer.batch);
    std::iota(rows.begin(), rows.end(), 0);
    std::stable_sort(rows.begin(), rows.end(), [&](int a, int b) { return layer.lengths[a] > layer.lengths[b]; });
    for (const int row : rows) {
      const size_t least = std::min_element(steps.begin(), steps.end()) - steps.begin();
      shares[least].push_back(row);
      steps[least] += std::max(1, layer.lengths[row]);
    }
    for (const auto& share : shares) {
      order.insert(order.end(), share.begin(), share.end());
      ends.push_back(order.size());
    }
  }

  // f(first, how many) for the groups of a thread's rows.
  template <class F>
  void each_group(int thread, const F& f) const {
    const int end = ends[thread];
    for (int first = thread ? ends[thread - 1] : 0; first < end; first += kGroup) {
      f(first, std::min(kGroup, end - first));
    }
  }
};

}  // namespace seqloom
