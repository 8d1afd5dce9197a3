// A tower of Gaussian beliefs: an input, the state that predicts it, and volatility parents one above the other.
//
// A tick is one chain of dependent operations, from the log variance believed yesterday to the one believed
// today, so what counts is its latency: variances are carried beside precisions to keep divisions side by side,
// whatever does not wait for the error of the level below is multiplied out before it, how far a mean moved is
// kept rather than subtracted again, and the logarithm that bounds a step is taken only where the step is long.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using std::int64_t;

static constexpr double kBound = 80, kReach = 2, kLargest = 1e10;  // as in belief/volatility.py
static constexpr int kNumbers = 6, kBelief = 4;
// Ticks put aside before they are written out: the outputs begin at the same place in a page each, so that one
// tick of all of them does not fit the ways of a cache.
static constexpr int64_t kBlock = 64;

template <typename T>
struct Level {
  T mean, precision, variance, omega, rho, lambda, kappa;  // kappa: coupling to the level above
  T ahead, moved, before, spread, inverse, change, log_change, step;  // predicted mean, mean - it, ...
};

// e^x for |x| <= 88, within an ulp: 2^n times a Taylor series of what is left, at most log(2) / 2. Inline, as a
// call to the library would write every register to memory and read it back.
static inline float exponential(float x) {
  const float shift = 12582912;  // 1.5 x 2^23: adding it rounds to a whole number
  const float n = x * 1.44269504f + shift, whole = n - shift;
  const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f, q = r * r;  // log(2) in two parts
  const float low = (1 + r) + q * (0.5f + r * (1.0f / 6)), high = (1.0f / 24 + r * (1.0f / 120)) +
                                                                  q * (1.0f / 720 + r * (1.0f / 5040));
  int32_t bits;
  std::memcpy(&bits, &n, sizeof bits);
  bits = (bits << 23) + 0x3f800000;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return (low + q * q * high) * power;
}

static inline double exponential(double x) { return std::exp(x); }

template <typename T>
static T clip(T x, T low, T high) {
  return x < low ? low : (x > high ? high : x);  // NaN stays
}

template <typename T, int n, bool binary>
static void filter(int64_t ticks, const T* u, const T* numbers, const T* input, bool first, bool bounded,
                   T* const* out) {
  const T psi = input[0], noise = input[1], dt = input[2], log_dt = std::log(dt);
  const T bound = kBound, reach = kReach, largest = kLargest, nan = std::numeric_limits<T>::quiet_NaN();
  const T tiny = std::numeric_limits<T>::min();
  Level<T> a[n];
  for (int i = 0; i < n; ++i) {
    const T* p = numbers + i * kNumbers;
    a[i] = Level<T>{p[0], p[1], 1 / p[1], p[2], p[3], p[4], p[5]};
  }
  T block[n * kBelief + 2][kBlock];
  T drift[n], rest[n];  // of a predicted mean and of log Omega, what no tick changes
  for (int i = 0; i < n; ++i) drift[i] = dt * a[i].rho, rest[i] = log_dt + a[i].omega;
  const T pull = psi * noise, push = psi * psi * noise, blur = 1 / noise;
  const T top_log = clip<T>(log_dt + a[n - 1].omega, -bound, bound), top = std::exp(top_log);
  for (int64_t t = 0; t < ticks; ++t) {
#pragma GCC unroll 4
    for (int i = n - 1; i >= 0; --i) {
      Level<T>& x = a[i];
      if (i == n - 1) {
        x.log_change = top_log;
        x.change = top;
      } else {
        x.log_change = clip<T>(rest[i] + x.kappa * a[i + 1].ahead, -bound, bound);
        x.change = exponential(x.log_change);
      }
      x.before = x.variance;
      x.spread = x.variance + x.change;
      x.inverse = 1 / x.spread;
      x.step = x.change * x.inverse;
      x.ahead = x.lambda * x.mean + drift[i];
    }
    const T expected = psi * a[0].ahead, seen = u[t];
    T p = expected, gain, weight, variance;
    if constexpr (binary) {
      p = clip<T>(1 / (1 + exponential(clip(-expected, -bound, bound))), T(1e-6), T(1 - 1e-6));
      variance = p * (1 - p);
      weight = psi * psi * variance;
      gain = psi * (seen - p);
    } else {
      variance = blur + psi * psi * a[0].spread;
      weight = push;
      gain = pull * (seen - p);
    }
    if (seen == seen) {
      a[0].precision = std::min(a[0].inverse + weight, largest);
      a[0].variance = std::max(a[0].spread / (1 + weight * a[0].spread), 1 / largest);
      a[0].moved = gain * a[0].variance;
      a[0].mean = a[0].ahead + a[0].moved;
#pragma GCC unroll 4
      for (int i = 1; i < n; ++i) {
        const Level<T>& c = a[i - 1];
        Level<T>& x = a[i];
        const T k = c.kappa, g = c.step, half = k * g / 2, full = k * half, ahead = half * x.spread;
        const T flat = x.inverse + full * g, slope = full * (2 * g - 1);  // precision at error 0, its change
        const T beta = c.variance + c.moved * c.moved, error = c.inverse * beta - 1;
        T now = flat + slope * error;
        const T least = std::max(x.inverse / 2, 1 / largest);
        now = bounded ? (now < least ? least : now) : (now > 0 ? now : nan);
        now = now > largest ? largest : now;
        x.precision = now;
        x.variance = 1 / now;
        const T step = first ? ahead * error : half * error * x.variance;
        const T change = k * step, room = std::max(beta - c.before, tiny);
        T kept = step;
        if (bounded && !(change >= -reach && change <= reach)) {
          const T most = std::max(std::log(room) - c.log_change, reach);
          const T within = clip(change, -reach, most);
          kept = within == change ? step : step * (within / change);
        }
        x.moved = kept;
        x.mean = x.ahead + kept;
      }
    } else {
#pragma GCC unroll 4
      for (int i = 0; i < n; ++i) {
        a[i].mean = a[i].ahead;
        a[i].variance = std::max(a[i].spread, 1 / largest);
        a[i].precision = std::min(a[i].inverse, largest);
      }
    }
    const int64_t at = t % kBlock;
#pragma GCC unroll 4
    for (int i = 0; i < n; ++i) {
      block[i * kBelief][at] = a[i].mean;
      block[i * kBelief + 1][at] = a[i].precision;
      block[i * kBelief + 2][at] = a[i].ahead;
      block[i * kBelief + 3][at] = a[i].inverse;
    }
    block[n * kBelief][at] = p;
    block[n * kBelief + 1][at] = variance;
    if (at + 1 == kBlock || t + 1 == ticks)
      for (int i = 0; i < n * kBelief + 2; ++i)
        std::memcpy(out[i] + t - at, block[i], (at + 1) * sizeof(T));
  }
}

template <typename T, bool binary, typename... Rest>
static bool levels(int64_t n, Rest... rest) {
  if (n == 1) filter<T, 1, binary>(rest...);
  if (n == 2) filter<T, 2, binary>(rest...);
  if (n == 3) filter<T, 3, binary>(rest...);
  if (n == 4) filter<T, 4, binary>(rest...);
  return n >= 1 && n <= 4;
}

template <ffi::DataType type>
static ffi::Error Tower(ffi::Buffer<type> u, ffi::Buffer<type> numbers, ffi::Buffer<type> input,
                        ffi::RemainingRets rets, int32_t first, int32_t bounded, int32_t binary) {
  using T = ffi::NativeType<type>;
  const int64_t n = numbers.dimensions()[0], ticks = u.dimensions()[0];
  T* out[4 * kBelief + 2];
  if (n > 4 || static_cast<int64_t>(rets.size()) != n * kBelief + 2)
    return ffi::Error::InvalidArgument("a tower has 1 to 4 levels, and 4 outputs a level and 2 more");
  for (size_t i = 0; i < rets.size(); ++i) {
    auto one = rets.get<ffi::Buffer<type>>(i);
    if (one.has_error()) return one.error();
    out[i] = (*one)->typed_data();
  }
  const bool done =
      binary ? levels<T, true>(n, ticks, u.typed_data(), numbers.typed_data(), input.typed_data(),
                               first != 0, bounded != 0, static_cast<T* const*>(out))
             : levels<T, false>(n, ticks, u.typed_data(), numbers.typed_data(), input.typed_data(),
                                first != 0, bounded != 0, static_cast<T* const*>(out));
  return done ? ffi::Error::Success() : ffi::Error::InvalidArgument("a tower has 1 to 4 levels");
}

#define TOWER(name, type)                                      \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, Tower<type>,             \
                                ffi::Ffi::Bind()               \
                                    .Arg<ffi::Buffer<type>>()  \
                                    .Arg<ffi::Buffer<type>>()  \
                                    .Arg<ffi::Buffer<type>>()  \
                                    .RemainingRets()           \
                                    .Attr<int32_t>("first")    \
                                    .Attr<int32_t>("bounded")  \
                                    .Attr<int32_t>("binary"))

TOWER(tower_f32, ffi::F32);
TOWER(tower_f64, ffi::F64);
