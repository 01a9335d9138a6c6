// Which of the instruction sets that the kernels are compiled for a program uses.
#pragma once

#include <cstdlib>
#include <cstring>

namespace seqloom {

enum class Instructions { kPortable, kAvx2, kAvx512 };

// The best that this processor has, or what SEQLOOM_KERNEL names if that is less.
static inline Instructions choose_instructions() {
#if defined(__x86_64__)
  const char* asked = std::getenv("SEQLOOM_KERNEL");
  const char* most = asked ? asked : "";
  const bool avx2 = std::strcmp(most, "portable") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && std::strcmp(most, "avx2") && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx512) return Instructions::kAvx512;
  if (avx2) return Instructions::kAvx2;
#endif
  return Instructions::kPortable;
}

#if defined(__x86_64__)
#define CHOOSE(prefix)                                             \
  (choose_instructions() == Instructions::kAvx512 ? prefix##Avx512 \
   : choose_instructions() == Instructions::kAvx2 ? prefix##Avx2   \
                                                  : prefix##Portable)
#else
#define CHOOSE(prefix) prefix##Portable
#endif

}  // namespace seqloom
