// Memory that a call works in.
#pragma once

#include <cstdlib>
#include <memory>

namespace seqloom {

struct Free {
  void operator()(float* memory) const { std::free(memory); }
};

using Floats = std::unique_ptr<float[], Free>;

// So many floats, aligned to 64 bytes; null where there is no memory.
inline Floats Scratch(size_t size) {
  return Floats(static_cast<float*>(std::aligned_alloc(64, (size + 15) / 16 * 64)));
}

}  // namespace seqloom
