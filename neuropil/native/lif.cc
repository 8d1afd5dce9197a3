// The leaky integrate-and-fire membrane over a whole time axis, forward and backward.
//
// h = rest + (v - rest) decay + gain x;  s = [h > threshold];  v = h + s jump(h), with
// jump = -threshold (soft reset), value - h (hard) or 0. Arrays are (time, row, cell), parameters (cell).
// The potential h before the reset is all that the backward pass needs.
#include <cmath>
#include <cstdint>
#include <mutex>
#include <vector>

#include "threads.h"

namespace ffi = xla::ffi;
using std::int64_t;

enum Reset { kSoft = 0, kHard = 1, kNone = 2 };
enum Shape { kGiven = 0, kSuperSpike = 1, kATan = 2 };  // given: the slopes come as an array

// A piece of the cells: `first` .. `last` of the rows x cells, worked through tick after tick so that its
// potentials stay in the cache and its memory is read in order.
static constexpr int64_t kPiece = 8192;

template <typename T, typename Row>
static void rows_of(int64_t first, int64_t last, int64_t cells, const Row& row) {
  for (int64_t m = first; m < last;) {
    const int64_t cell = m % cells;
    const int64_t n = std::min(cells - cell, last - m);
    row(m, cell, n);
    m += n;
  }
}

template <typename T>
struct Parameters {
  const T *decay, *gain, *threshold, *rest, *value;
};

template <typename T>
static void forward_row(int64_t n, const Parameters<T>& p, int64_t c, int reset, bool closed, const T* x,
                        T* __restrict v, T* h, T* __restrict s) {
  const T *decay = p.decay + c, *gain = p.gain + c, *threshold = p.threshold + c, *rest = p.rest + c,
          *value = p.value + c;
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    const T now = rest[j] + (v[j] - rest[j]) * decay[j] + gain[j] * x[j];
    const bool fires = closed ? now >= threshold[j] : now > threshold[j];
    const T after = reset == kSoft ? now - threshold[j] : (reset == kHard ? value[j] : now);
    h[j] = now;
    s[j] = fires ? T(1) : T(0);
    v[j] = fires ? after : now;
  }
}

template <ffi::DataType type>
static ffi::Error Forward(ffi::ThreadPool pool, ffi::Buffer<type> x, ffi::Buffer<type> v0,
                          ffi::Buffer<type> decay, ffi::Buffer<type> gain, ffi::Buffer<type> threshold,
                          ffi::Buffer<type> rest, ffi::Buffer<type> value, ffi::ResultBuffer<type> s,
                          ffi::ResultBuffer<type> v, ffi::ResultBuffer<type> h, int32_t reset,
                          int32_t closed) {
  using T = ffi::NativeType<type>;
  const auto shape = x.dimensions();
  const int64_t ticks = shape[0], cells = shape[2], all = shape[1] * shape[2];
  const Parameters<T> p{decay.typed_data(), gain.typed_data(), threshold.typed_data(), rest.typed_data(),
                        value.typed_data()};
  const T *px = x.typed_data(), *begin = v0.typed_data();
  T *ps = s->typed_data(), *pv = v->typed_data(), *ph = h->typed_data();
  neuropil::shared_loop(pool, (all + kPiece - 1) / kPiece, [&](int piece, int) {
    const int64_t first = piece * kPiece, last = std::min(all, first + kPiece);
    if (pv != begin)
      for (int64_t m = first; m < last; ++m) pv[m] = begin[m];
    for (int64_t t = 0; t < ticks; ++t)
      rows_of<T>(first, last, cells, [&](int64_t m, int64_t c, int64_t n) {
        forward_row(n, p, c, reset, closed, px + t * all + m, pv + m, ph + t * all + m, ps + t * all + m);
      });
  });
  return ffi::Error::Success();
}

template <int shape, typename T>
static inline T height(T u, T slope, const T* given, int64_t j) {
  if constexpr (shape == kGiven) return given[j];
  if constexpr (shape == kSuperSpike) {
    const T d = 1 + slope * std::fabs(u);
    return 1 / (d * d);
  }
  if constexpr (shape == kATan) {
    const T d = T(1.5707963267948966) * slope * u;
    return slope / 2 / (1 + d * d);
  }
  return T(0);
}

// What a row of the backward pass reads and writes; `before` is h a tick earlier (null at the first).
template <typename T>
struct Back {
  const T *h, *before, *v0, *x, *given, *gs;
  T *gv, *gx;
  T* sums[5];  // of decay, gain, threshold, rest, value
};

template <int shape, bool more, typename T>
static void backward_row(int64_t n, const Parameters<T>& p, int64_t c, int reset, bool closed, T through,
                         T slope, const Back<T>& b) {
  const T *decay = p.decay + c, *gain = p.gain + c, *threshold = p.threshold + c, *rest = p.rest + c,
          *value = p.value + c;
  const bool hard = reset == kHard, soft = reset == kSoft;
  T* __restrict gv = b.gv;
#pragma GCC ivdep  // gx may be the buffer of gs
  for (int64_t j = 0; j < n; ++j) {
    const T h = b.h[j], u = h - threshold[j], back = gv[j];
    const T s = (closed ? u >= 0 : u > 0) ? T(1) : T(0);
    const T jump = hard ? value[j] - h : (soft ? -threshold[j] : T(0));
    const T spike = height<shape>(u, slope, b.given, j) * (b.gs[j] + through * jump * back);
    const T dh = (hard ? back * (1 - s) : back) + spike;
    b.gx[j] = gain[j] * dh;
    gv[j] = decay[j] * dh;
    if constexpr (more) {
      T v;
      if (b.before) {
        const T o = b.before[j], w = o - threshold[j];
        const bool fired = closed ? w >= 0 : w > 0;
        v = fired ? (hard ? value[j] : (soft ? w : o)) : o;
      } else {
        v = b.v0[j];
      }
      b.sums[0][j] += dh * (v - rest[j]);
      if (b.x) b.sums[1][j] += dh * b.x[j];
      b.sums[2][j] -= spike + (soft ? s * back : T(0));
      b.sums[3][j] += dh * (1 - decay[j]);
      b.sums[4][j] += hard ? s * back : T(0);
    }
  }
}

template <typename T>
using RowOf = void (*)(int64_t, const Parameters<T>&, int64_t, int, bool, T, T, const Back<T>&);

template <typename T, bool more>
static RowOf<T> row_of(int shape) {
  switch (shape) {
    case kSuperSpike: return backward_row<kSuperSpike, more, T>;
    case kATan: return backward_row<kATan, more, T>;
    default: return backward_row<kGiven, more, T>;
  }
}

// `x` and `given` are arrays of no elements where they are not needed; so are the five sums.
template <ffi::DataType type>
static ffi::Error Backward(ffi::ThreadPool pool, ffi::Buffer<type> gs, ffi::Buffer<type> gend,
                           ffi::Buffer<type> h, ffi::Buffer<type> v0, ffi::Buffer<type> decay,
                           ffi::Buffer<type> gain, ffi::Buffer<type> threshold, ffi::Buffer<type> rest,
                           ffi::Buffer<type> value, ffi::Buffer<type> x, ffi::Buffer<type> given,
                           ffi::ResultBuffer<type> gx, ffi::ResultBuffer<type> gv,
                           ffi::ResultBuffer<type> sums, int32_t reset, int32_t closed, int32_t detach,
                           int32_t shape, double slope) {
  using T = ffi::NativeType<type>;
  const auto dims = h.dimensions();
  const int64_t ticks = dims[0], cells = dims[2], all = dims[1] * dims[2];
  const Parameters<T> p{decay.typed_data(), gain.typed_data(), threshold.typed_data(), rest.typed_data(),
                        value.typed_data()};
  const bool more = sums->element_count() > 0;
  const RowOf<T> row = more ? row_of<T, true>(shape) : row_of<T, false>(shape);
  const T *ph = h.typed_data(), *pgs = gs.typed_data(), *pend = gend.typed_data(), *pv0 = v0.typed_data();
  const T* px = x.element_count() ? x.typed_data() : nullptr;
  const T* pgiven = given.element_count() ? given.typed_data() : nullptr;
  T *pgx = gx->typed_data(), *pgv = gv->typed_data(), *psums = sums->typed_data();
  const int pieces = (all + kPiece - 1) / kPiece;
  std::vector<std::vector<T>> own(more ? neuropil::workers(pool, pieces) : 0);
  for (auto& a : own) a.assign(5 * cells, T(0));
  neuropil::shared_loop(pool, pieces, [&](int piece, int worker) {
    const int64_t first = piece * kPiece, last = std::min(all, first + kPiece);
    if (pgv != pend)
      for (int64_t m = first; m < last; ++m) pgv[m] = pend[m];
    for (int64_t t = ticks - 1; t >= 0; --t)
      rows_of<T>(first, last, cells, [&](int64_t m, int64_t c, int64_t n) {
        const int64_t at = t * all + m;
        Back<T> b{ph + at, t ? ph + at - all : nullptr, pv0 + m, px ? px + at : nullptr,
                  pgiven ? pgiven + at : nullptr, pgs + at, pgv + m, pgx + at, {}};
        if (more)
          for (int k = 0; k < 5; ++k) b.sums[k] = own[worker].data() + k * cells + c;
        row(n, p, c, reset, closed, detach ? T(0) : T(1), T(slope), b);
      });
  });
  if (more) {
    std::fill(psums, psums + 5 * cells, T(0));
    for (const auto& a : own)
      for (int64_t k = 0; k < 5 * cells; ++k) psums[k] += a[k];
  }
  return ffi::Error::Success();
}

#define FORWARD(name, type)                                                                             \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, Forward<type>,                                                    \
                                ffi::Ffi::Bind()                                                        \
                                    .Ctx<ffi::ThreadPool>()                                             \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Ret<ffi::Buffer<type>>()                                           \
                                    .Ret<ffi::Buffer<type>>()                                           \
                                    .Ret<ffi::Buffer<type>>()                                           \
                                    .Attr<int32_t>("reset")                                             \
                                    .Attr<int32_t>("closed"))
#define BACKWARD(name, type)                                                                            \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, Backward<type>,                                                   \
                                ffi::Ffi::Bind()                                                        \
                                    .Ctx<ffi::ThreadPool>()                                             \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Arg<ffi::Buffer<type>>()                                           \
                                    .Ret<ffi::Buffer<type>>()                                           \
                                    .Ret<ffi::Buffer<type>>()                                           \
                                    .Ret<ffi::Buffer<type>>()                                           \
                                    .Attr<int32_t>("reset")                                             \
                                    .Attr<int32_t>("closed")                                            \
                                    .Attr<int32_t>("detach")                                            \
                                    .Attr<int32_t>("shape")                                             \
                                    .Attr<double>("slope"))

FORWARD(forward_f32, ffi::F32);
FORWARD(forward_f64, ffi::F64);
BACKWARD(backward_f32, ffi::F32);
BACKWARD(backward_f64, ffi::F64);
