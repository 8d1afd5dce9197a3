// Pair STDP by its events: a pre spike touches the weights of one cell, a post spike those of another.
//
// The weight is (post, pre) with the post axis next in memory, so that the many pre spikes read and write in
// order and the few post spikes step over rows.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using std::int64_t;

template <typename T>
static const std::vector<int32_t>& active(const T* x, int64_t n, std::vector<int32_t>& found) {
  found.clear();
  constexpr int64_t block = 16;
  int64_t i = 0;
  for (; i + block <= n; i += block) {
    int any = 0;
    for (int64_t k = 0; k < block; ++k) any |= x[i + k] != T(0);
    if (!any) continue;
    for (int64_t k = 0; k < block; ++k)
      if (x[i + k] != T(0)) found.push_back(static_cast<int32_t>(i + k));
  }
  for (; i < n; ++i)
    if (x[i] != T(0)) found.push_back(static_cast<int32_t>(i));
  return found;
}

// y_i = sum of w_ij x_j over the active j.
template <ffi::DataType type>
static ffi::Error Deliver(ffi::Buffer<type> x, ffi::Buffer<type> w, ffi::ResultBuffer<type> y) {
  using T = ffi::NativeType<type>;
  static thread_local std::vector<int32_t> found;
  const int64_t pre = x.element_count(), post = y->element_count();
  const T *px = x.typed_data(), *pw = w.typed_data();
  T* __restrict py = y->typed_data();
  std::fill(py, py + post, T(0));
  for (const int32_t j : active(px, pre, found)) {
    const T value = px[j];
    const T* row = pw + j * post;
    for (int64_t i = 0; i < post; ++i) py[i] += value * row[i];
  }
  return ffi::Error::Success();
}

// `rates`: decay of the traces at the pre and the post end, potentiation and depression in units of the weight
// (a negative depression potentiates too: symmetric STDP), bounds below and above. `nearest`: a spike sets its trace, else it adds to it. `together`: a pre spike counts
// as before a post spike of its tick.
template <ffi::DataType type>
static ffi::Error Pair(ffi::Buffer<type> w, ffi::Buffer<type> pre, ffi::Buffer<type> post,
                       ffi::Buffer<type> trace_pre, ffi::Buffer<type> trace_post, ffi::Buffer<type> rates,
                       ffi::ResultBuffer<type> w_out, ffi::ResultBuffer<type> pre_out,
                       ffi::ResultBuffer<type> post_out, int32_t nearest, int32_t together) {
  using T = ffi::NativeType<type>;
  static thread_local std::vector<int32_t> at_pre, at_post;
  static thread_local std::vector<T> up_by, before_post;
  const int64_t n = pre.element_count(), m = post.element_count();
  const T *x = pre.typed_data(), *z = post.typed_data(), *r = rates.typed_data();
  const T *tp = trace_pre.typed_data(), *tq = trace_post.typed_data();
  const T a_plus = r[2], a_minus = r[3], low = r[4], high = r[5];
  T *pw = w_out->typed_data(), *np = pre_out->typed_data(), *nq = post_out->typed_data();
  if (pw != w.typed_data()) std::copy(w.typed_data(), w.typed_data() + n * m, pw);
  active(x, n, at_pre);
  active(z, m, at_post);
  up_by.resize(n);
  before_post.resize(m);
  T *up = up_by.data(), *last = before_post.data();
  for (int64_t i = 0; i < m; ++i) last[i] = tq[i] * r[1];
  for (int64_t j = 0; j < n; ++j) {
    const T before = tp[j] * r[0];
    const T now = nearest ? (x[j] != T(0) ? x[j] : before) : before + x[j];
    up[j] = a_plus * (together ? now : before);
    np[j] = now;
  }
  for (const int32_t j : at_pre) {
    T* __restrict row = pw + j * m;
    const T by = a_minus * x[j], rise = up[j];
    if (a_minus < T(0))
      for (int64_t i = 0; i < m; ++i) {
        const T both = (z[i] != T(0) ? rise * z[i] : T(0)) - by * last[i];
        row[i] += std::min(both, high - row[i]);
      }
    else if (at_post.empty())
      for (int64_t i = 0; i < m; ++i) row[i] -= std::min(by * last[i], row[i] - low);
    else
      for (int64_t i = 0; i < m; ++i) {
        const T old = row[i], down = std::min(by * last[i], old - low);
        const T more = z[i] != T(0) ? std::min(rise * z[i], high - old) : T(0);
        row[i] = old + more - down;
      }
  }
  for (const int32_t i : at_post) {
    T* column = pw + i;
    for (int64_t j = 0; j < n; ++j) {
      const T old = column[j * m];
      if (x[j] == T(0)) column[j * m] = old + std::min(up[j] * z[i], high - old);
    }
  }
  for (int64_t i = 0; i < m; ++i) nq[i] = nearest ? (z[i] != T(0) ? z[i] : last[i]) : last[i] + z[i];
  return ffi::Error::Success();
}

#define DELIVER(name, type)                                      \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, Deliver<type>,             \
                                ffi::Ffi::Bind()                 \
                                    .Arg<ffi::Buffer<type>>()    \
                                    .Arg<ffi::Buffer<type>>()    \
                                    .Ret<ffi::Buffer<type>>())
#define PAIR(name, type)                                         \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, Pair<type>,                \
                                ffi::Ffi::Bind()                 \
                                    .Arg<ffi::Buffer<type>>()    \
                                    .Arg<ffi::Buffer<type>>()    \
                                    .Arg<ffi::Buffer<type>>()    \
                                    .Arg<ffi::Buffer<type>>()    \
                                    .Arg<ffi::Buffer<type>>()    \
                                    .Arg<ffi::Buffer<type>>()    \
                                    .Ret<ffi::Buffer<type>>()    \
                                    .Ret<ffi::Buffer<type>>()    \
                                    .Ret<ffi::Buffer<type>>()    \
                                    .Attr<int32_t>("nearest")    \
                                    .Attr<int32_t>("together"))

DELIVER(deliver_f32, ffi::F32);
DELIVER(deliver_f64, ffi::F64);
PAIR(pair_f32, ffi::F32);
PAIR(pair_f64, ffi::F64);
