// A dense matrix times rows that are mostly zero: only what is not zero costs anything.
//
// y = x W^T adds a row of W^T for every entry of x; its gradient, G = d^T x, adds a row of d to a row of G^T.
// Where x is not sparse G is a matrix product whose two operands lie with the axis that is summed over first;
// XLA writes out a transpose of one of them, `Gram` does not.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "threads.h"

namespace ffi = xla::ffi;
using std::int64_t;

static constexpr int64_t kRows = 64;  // rows a thread takes at a time

// 64 bytes of numbers; a compiler splits them where the processor has narrower registers.
template <typename T>
struct Pack {
  typedef T type __attribute__((vector_size(64)));
  static constexpr int64_t lanes = 64 / sizeof(T);
};

template <typename T>
static inline typename Pack<T>::type load(const T* from) {
  typename Pack<T>::type v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <typename T>
static inline void store(T* to, typename Pack<T>::type v) {
  std::memcpy(to, &v, sizeof v);
}

// Where the entries of a row that are not zero are (NaN is none), and how many there are.
template <typename T>
static int64_t events(const T* x, int64_t n, int32_t* where) {
  int64_t found = 0, i = 0;
#ifdef __AVX512F__
  if constexpr (sizeof(T) == 4) {
    const __m512 zero = _mm512_setzero_ps();
    for (; i + 16 <= n; i += 16) {
      unsigned mask = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i), zero, _CMP_NEQ_UQ);
      for (; mask; mask &= mask - 1) where[found++] = static_cast<int32_t>(i + __builtin_ctz(mask));
    }
  }
#endif
  for (; i < n; ++i)
    if (x[i] != 0) where[found++] = static_cast<int32_t>(i);
  return found;
}

// The sum of rows of `table` (width `n`) in packs that stay in registers; returns how many columns are done.
template <int packs, typename T>
static int64_t sum_rows(int64_t done, int64_t n, const T* x, const int32_t* where, int64_t count,
                        const T* table, T* y) {
  constexpr int64_t lanes = Pack<T>::lanes;
  for (; done + packs * lanes <= n; done += packs * lanes) {
    typename Pack<T>::type sum[packs];
#pragma GCC unroll 16
    for (int k = 0; k < packs; ++k) sum[k] = typename Pack<T>::type{};
    for (int64_t e = 0; e < count; ++e) {
      const T value = x[where[e]];
      const T* row = table + where[e] * n + done;
#pragma GCC unroll 16
      for (int k = 0; k < packs; ++k) sum[k] += value * load(row + k * lanes);
    }
#pragma GCC unroll 16
    for (int k = 0; k < packs; ++k) store(y + done + k * lanes, sum[k]);
  }
  return done;
}

template <ffi::DataType type>
static ffi::Error Forward(ffi::ThreadPool pool, ffi::Buffer<type> x, ffi::Buffer<type> w,
                          ffi::ResultBuffer<type> y) {
  using T = ffi::NativeType<type>;
  const int64_t rows = x.dimensions()[0], pre = x.dimensions()[1], post = w.dimensions()[0];
  const T *px = x.typed_data(), *pw = w.typed_data();
  T* py = y->typed_data();
  std::vector<T> table(pre * post);  // (pre, post): what an event adds lies together
  for (int64_t j0 = 0; j0 < post; j0 += 16)
    for (int64_t i = 0; i < pre; ++i)
      for (int64_t j = j0; j < std::min(post, j0 + 16); ++j) table[i * post + j] = pw[j * pre + i];
  const int chunks = (rows + kRows - 1) / kRows;
  std::vector<std::vector<int32_t>> lists(neuropil::workers(pool, chunks), std::vector<int32_t>(pre));
  neuropil::shared_loop(pool, chunks, [&](int chunk, int worker) {
    int32_t* where = lists[worker].data();
    for (int64_t r = chunk * kRows; r < std::min(rows, (chunk + 1) * kRows); ++r) {
      const T* row = px + r * pre;
      T* out = py + r * post;
      const int64_t count = events(row, pre, where);
      int64_t done = sum_rows<16>(0, post, row, where, count, table.data(), out);
      done = sum_rows<4>(done, post, row, where, count, table.data(), out);
      done = sum_rows<1>(done, post, row, where, count, table.data(), out);
      for (; done < post; ++done) {
        T sum = 0;
        for (int64_t e = 0; e < count; ++e) sum += row[where[e]] * table[where[e] * post + done];
        out[done] = sum;
      }
    }
  });
  return ffi::Error::Success();
}

template <ffi::DataType type>
static ffi::Error Outer(ffi::ThreadPool pool, ffi::Buffer<type> x, ffi::Buffer<type> d,
                        ffi::ResultBuffer<type> g) {
  using T = ffi::NativeType<type>;
  constexpr int64_t lanes = Pack<T>::lanes;
  const int64_t rows = x.dimensions()[0], pre = x.dimensions()[1], post = d.dimensions()[1];
  const T *px = x.typed_data(), *pd = d.typed_data();
  T* pg = g->typed_data();
  const int chunks = (rows + kRows - 1) / kRows, hands = neuropil::workers(pool, chunks);
  std::vector<std::vector<int32_t>> lists(hands, std::vector<int32_t>(pre));
  std::vector<std::vector<T>> sums(hands);  // (pre, post), one a thread
  neuropil::shared_loop(pool, chunks, [&](int chunk, int worker) {
    int32_t* where = lists[worker].data();
    if (sums[worker].empty()) sums[worker].assign(pre * post, T(0));
    for (int64_t r = chunk * kRows; r < std::min(rows, (chunk + 1) * kRows); ++r) {
      const T *row = px + r * pre, *from = pd + r * post;
      const int64_t count = events(row, pre, where);
      for (int64_t e = 0; e < count; ++e) {
        const T value = row[where[e]];
        T* to = sums[worker].data() + where[e] * post;
        int64_t j = 0;
        for (; j + lanes <= post; j += lanes) store(to + j, load(to + j) + value * load(from + j));
        for (; j < post; ++j) to[j] += value * from[j];
      }
    }
  });
  std::fill(pg, pg + post * pre, T(0));
  for (const auto& s : sums)
    if (!s.empty())
      for (int64_t j0 = 0; j0 < post; j0 += 16)
        for (int64_t i = 0; i < pre; ++i)
          for (int64_t j = j0; j < std::min(post, j0 + 16); ++j) pg[j * pre + i] += s[i * post + j];
  return ffi::Error::Success();
}

// A block of kDeep rows: d in tiles of kTall columns, x in panels of kWide packs, both packed so that the inner
// loop reads memory in order; a tile of the result stays in registers over the whole block.
static constexpr int64_t kDeep = 192, kTall = 8, kWide = 3;

template <typename T>
static void tile(int64_t deep, const T* d, const T* x, T* g, int64_t width) {
  constexpr int64_t lanes = Pack<T>::lanes;
  typename Pack<T>::type sum[kTall][kWide];
#pragma GCC unroll 8
  for (int i = 0; i < kTall; ++i)
#pragma GCC unroll 3
    for (int k = 0; k < kWide; ++k) sum[i][k] = load(g + i * width + k * lanes);
  for (int64_t r = 0; r < deep; ++r, d += kTall, x += kWide * lanes) {
    const auto a = load(x), b = load(x + lanes), c = load(x + 2 * lanes);
#pragma GCC unroll 8
    for (int i = 0; i < kTall; ++i) {
      sum[i][0] += d[i] * a;
      sum[i][1] += d[i] * b;
      sum[i][2] += d[i] * c;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTall; ++i)
#pragma GCC unroll 3
    for (int k = 0; k < kWide; ++k) store(g + i * width + k * lanes, sum[i][k]);
}

template <ffi::DataType type>
static ffi::Error Gram(ffi::ThreadPool pool, ffi::Buffer<type> x, ffi::Buffer<type> d,
                       ffi::ResultBuffer<type> g) {
  using T = ffi::NativeType<type>;
  constexpr int64_t wide = kWide * Pack<T>::lanes;
  const int64_t rows = x.dimensions()[0], pre = x.dimensions()[1], post = d.dimensions()[1];
  const int64_t tiles = (post + kTall - 1) / kTall, panels = (pre + wide - 1) / wide, width = panels * wide;
  const T *px = x.typed_data(), *pd = d.typed_data();
  T* pg = g->typed_data();
  const int blocks = (rows + kDeep - 1) / kDeep, hands = neuropil::workers(pool, blocks);
  struct Hand {
    std::vector<T> sum, d, x;
  };
  std::vector<Hand> hand(hands);
  neuropil::shared_loop(pool, blocks, [&](int block, int worker) {
    Hand& h = hand[worker];
    if (h.sum.empty()) {
      h.sum.assign(tiles * kTall * width, T(0));
      h.d.resize(tiles * kTall * kDeep);
      h.x.resize(wide * kDeep);
    }
    const int64_t first = block * kDeep, deep = std::min(kDeep, rows - first);
    for (int64_t r = 0; r < deep; ++r)
      for (int64_t i = 0; i < tiles; ++i) {
        T* to = h.d.data() + (i * deep + r) * kTall;
        const T* from = pd + (first + r) * post + i * kTall;
        const int64_t n = std::min(kTall, post - i * kTall);
        for (int64_t k = 0; k < kTall; ++k) to[k] = k < n ? from[k] : T(0);
      }
    for (int64_t j = 0; j < panels; ++j) {
      const int64_t n = std::min(wide, pre - j * wide);
      for (int64_t r = 0; r < deep; ++r) {
        T* to = h.x.data() + r * wide;
        std::memcpy(to, px + (first + r) * pre + j * wide, n * sizeof(T));
        for (int64_t k = n; k < wide; ++k) to[k] = T(0);
      }
      for (int64_t i = 0; i < tiles; ++i)
        tile(deep, h.d.data() + i * deep * kTall, h.x.data(), h.sum.data() + i * kTall * width + j * wide,
             width);
    }
  });
  std::fill(pg, pg + post * pre, T(0));
  for (const Hand& h : hand)
    if (!h.sum.empty())
      for (int64_t i = 0; i < post; ++i)
        for (int64_t j = 0; j < pre; ++j) pg[i * pre + j] += h.sum[i * width + j];
  return ffi::Error::Success();
}

#define HANDLER(name, function, type)                           \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, function<type>,           \
                                ffi::Ffi::Bind()                \
                                    .Ctx<ffi::ThreadPool>()     \
                                    .Arg<ffi::Buffer<type>>()   \
                                    .Arg<ffi::Buffer<type>>()   \
                                    .Ret<ffi::Buffer<type>>())

HANDLER(forward_f32, Forward, ffi::F32);
HANDLER(forward_f64, Forward, ffi::F64);
HANDLER(outer_f32, Outer, ffi::F32);
HANDLER(outer_f64, Outer, ffi::F64);
HANDLER(gram_f32, Gram, ffi::F32);
HANDLER(gram_f64, Gram, ffi::F64);
