// AVX-512 and AMX for a processor that has AVX2 alone: included before the kernels by `emulate.py`. Only what they use,
// a lane at a time, as Intel's manual defines it; what would be a fault is one.
#pragma once

#include <cmath>
#include <cpuid.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <immintrin.h>
#include <sys/syscall.h>

// Whoever asks is told that all is there, and that tiles may be used: this system call always succeeds.
#define __builtin_cpu_supports(feature) 1
#define __get_cpuid_count(leaf, part, a, b, c, d) (*(a) = *(b) = *(c) = *(d) = ~0u, 1)
#undef SYS_arch_prctl
#define SYS_arch_prctl SYS_sched_yield

#if defined(EMULATE_AVX512)
#define __AVX512F__ 1

namespace emulated {

typedef float V __attribute__((vector_size(64)));
typedef int VI __attribute__((vector_size(64)));
typedef unsigned short Half __attribute__((vector_size(32)));

static inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "emulated: %s\n", what);
  std::abort();
}

template <class To, class From>
static inline To as(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

// Vectors

static inline V load(unsigned lanes, const float* from) {
  expect(lanes < 1 << 16, "a mask has sixteen lanes");
  V v{};
  for (int i = 0; i < 16; ++i) {
    if (lanes >> i & 1) v[i] = from[i];
  }
  return v;
}

static inline void store(float* to, unsigned lanes, V v) {
  expect(lanes < 1 << 16, "a mask has sixteen lanes");
  for (int i = 0; i < 16; ++i) {
    if (lanes >> i & 1) to[i] = v[i];
  }
}

static inline void stream(float* to, V v) {
  expect(reinterpret_cast<uintptr_t>(to) % 64 == 0, "memory past the caches is aligned");
  std::memcpy(to, &v, sizeof v);
}

// The second where one is not a number.
static inline V greater(V a, V b) { return a > b ? a : b; }
static inline V less(V a, V b) { return a < b ? a : b; }

// 1 / x, right to 2^-14.
static inline V reciprocal(V x) {
  V found;
  for (int i = 0; i < 16; ++i) {
    const float exact = 1 / x[i];
    found[i] = std::isfinite(exact) ? as<float>((as<uint32_t>(exact) + 0x100) & ~0x1ffu) : exact;
  }
  return found;
}

static inline unsigned short not_at_most(V a, V b) {
  unsigned lanes = 0;
  for (int i = 0; i < 16; ++i) lanes |= static_cast<unsigned>(!(a[i] <= b[i])) << i;
  return lanes;
}

// To bfloat16, to the nearest, of two the even one; what is smaller than the smallest normal number is 0.
static inline __m256i to_halves(V x) {
  Half found;
  for (int i = 0; i < 16; ++i) {
    const uint32_t bits = as<uint32_t>(static_cast<float>(x[i]));
    const bool small = !(bits & 0x7f800000);
    found[i] = x[i] != x[i] ? bits >> 16 | 0x40 : small ? bits >> 16 & 0x8000 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  }
  return as<__m256i>(found);
}

static inline VI widened(__m256i halves) {
  const Half given = as<Half>(halves);
  VI found;
  for (int i = 0; i < 16; ++i) found[i] = given[i];
  return found;
}

static inline void store_integers(void* to, VI v) { std::memcpy(to, &v, sizeof v); }

// Tiles: eight of sixteen rows of 64 bytes

struct Tiles {
  bool ready = false;
  unsigned char rows[8][16][64];
};
static thread_local Tiles tiles;

static inline void begin(const void* shapes) {
  expect(!tiles.ready, "tiles are set up once at a time");
  unsigned char expected[64] = {1};
  for (int tile = 0; tile < 8; ++tile) expected[16 + 2 * tile] = 64, expected[48 + tile] = 16;
  expect(!std::memcmp(shapes, expected, 64), "tiles have sixteen rows of 64 bytes");
  tiles.ready = true;
  std::memset(tiles.rows, 0, sizeof tiles.rows);
}

static inline void end() {
  expect(tiles.ready, "tiles are given back once");
  tiles.ready = false;
}

static inline void load_tile(int tile, const void* from, size_t stride) {
  expect(tiles.ready, "tiles are set up before they are used");
  for (int row = 0; row < 16; ++row) {
    std::memcpy(tiles.rows[tile][row], static_cast<const char*>(from) + row * stride, 64);
  }
}

static inline void store_tile(int tile, void* to, size_t stride) {
  expect(tiles.ready, "tiles are set up before they are used");
  for (int row = 0; row < 16; ++row) std::memcpy(static_cast<char*>(to) + row * stride, tiles.rows[tile][row], 64);
}

// The half at a place of a row as a float; what is smaller than the smallest normal number is 0.
static inline float half(const unsigned char* row, int place) {
  uint16_t bits;
  std::memcpy(&bits, row + 2 * place, 2);
  return as<float>(static_cast<uint32_t>(bits & 0x7f80 ? bits : bits & 0x8000) << 16);
}

// sum += a b, of pairs of halves: those at even and those at odd places are added up each for themselves.
static inline void multiply(int sum, int a, int b) {
  expect(tiles.ready, "tiles are set up before they are used");
  for (int row = 0; row < 16; ++row) {
    float found[16][2] = {};
    for (int k = 0; k < 16; ++k) {
      for (int n = 0; n < 16; ++n) {
        for (int odd = 0; odd < 2; ++odd) {
          const float one = half(tiles.rows[a][row], 2 * k + odd), other = half(tiles.rows[b][k], 2 * n + odd);
          found[n][odd] = std::fma(one, other, found[n][odd]);
        }
      }
    }
    for (int n = 0; n < 16; ++n) {
      float x;
      std::memcpy(&x, tiles.rows[sum][row] + 4 * n, 4);
      x += found[n][0] + found[n][1];
      std::memcpy(tiles.rows[sum][row] + 4 * n, &x, 4);
    }
  }
}

}  // namespace emulated

#define __m512i emulated::VI
#define _mm512_maskz_loadu_ps emulated::load
#define _mm512_mask_storeu_ps emulated::store
#define _mm512_stream_ps emulated::stream
#define _mm512_max_ps emulated::greater
#define _mm512_min_ps emulated::less
#define _mm512_rcp14_ps emulated::reciprocal
#define _mm512_cmp_ps_mask(a, b, kind) emulated::not_at_most(a, b)
#define _mm512_set1_ps(x) (emulated::V{} + (x))
#define _mm512_cvtneps_pbh emulated::to_halves
#define _mm512_cvtepu16_epi32 emulated::widened
#define _mm512_slli_epi32(x, bits) ((x) << (bits))
#define _mm512_storeu_si512 emulated::store_integers
#endif

#if defined(EMULATE_AMX)
#define __AMX_BF16__ 1
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig emulated::begin
#define _tile_release emulated::end
#define _tile_loadd emulated::load_tile
#define _tile_stored emulated::store_tile
#define _tile_dpbf16ps emulated::multiply
#endif
