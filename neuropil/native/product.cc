// A dense matrix times rows that are mostly zero: only what is not zero costs anything.
//
// y = x W^T adds a row of W^T for every entry of x; its gradient, G = d^T x, adds a row of d to a row of G^T.
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
