// Which of the instruction sets that the kernels are compiled for a program uses.
#pragma once

#include <cstdlib>
#include <cstring>
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

// Whether the tiles of AMX may be used besides AVX-512, which Linux lets a program do that asks for it.
static inline bool choose_tiles() {
#if defined(__x86_64__) && defined(__linux__)
  const char* asked = std::getenv("SEQLOOM_KERNEL");
  unsigned features, more, b, c, d;
  if ((asked && std::strcmp(asked, "amx")) || choose_instructions() != Instructions::kAvx512) return false;
  if (!__get_cpuid_count(7, 0, &b, &b, &c, &features) || !__get_cpuid_count(7, 1, &more, &b, &c, &d)) return false;
  const bool tiles = features >> 24 & 1, bfloat16 = features >> 22 & 1, conversions = more >> 5 & 1;
  constexpr int kRequest = 0x1023, kTiles = 18;  // ARCH_REQ_XCOMP_PERM
  return tiles && bfloat16 && conversions && !syscall(SYS_arch_prctl, kRequest, kTiles);
#else
  return false;
#endif
}

}  // namespace seqloom
