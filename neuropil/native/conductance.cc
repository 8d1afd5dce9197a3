// A tick of leaky integrate-and-fire cells with decaying conductances, in one pass over the cells.
//
//   g_r <- g_r + x_r;  total = 1 + R sum g_r;  end = (rest + R (I + sum g_r E_r)) / total
//   v   <- end + (v - end) exp(-rate total), unless refractory, with rate = dt / tau
//   spike where v > threshold:  v <- keep v + jump;  g_r <- decay_r g_r
//
// Every operand is one number, or one for each cell. In plain XLA this is a pass for each result.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "threads.h"

namespace ffi = xla::ffi;

namespace {

constexpr int64_t kBlock = 256;     // cells at a time: all that is read and made of them stays in the L1 cache
constexpr int64_t kPiece = 16384;  // cells for which waking a second thread pays

// e^x to 2 units in the last place (Cephes' polynomial), in a form that compilers vectorise.
inline float Exp(float x) {
  x = x < -87.3f ? -87.3f : x;
  x = x > 88.7f ? 88.7f : x;
  const float shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to the nearest integer
  const float n = shifted - 12582912.0f;
  const float f = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  const float y = p * f * f + f + 1.0f;
  int32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127) << 23;  // the low bits of `shifted` hold n
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return y * scale;
}

// a where mask is all ones, b where it is zero. Written with bits, since compilers make branches and masked
// stores of a conditional, which cost more than all the rest.
inline float Select(int32_t mask, float a, float b) {
  int32_t x, y;
  std::memcpy(&x, &a, sizeof x);
  std::memcpy(&y, &b, sizeof y);
  x = (x & mask) | (y & ~mask);
  std::memcpy(&a, &x, sizeof a);
  return a;
}

// One number for all cells or one for each, read a block at a time.
class Source {
 public:
  explicit Source(const ffi::AnyBuffer& buffer)
      : data_(static_cast<const float*>(buffer.untyped_data())),
        one_(buffer.element_count() == 1) {
    if (one_) std::fill(same_, same_ + kBlock, *data_);
  }
  const float* at(int64_t first) const { return one_ ? same_ : data_ + first; }
  bool one() const { return one_; }
  float value() const { return *data_; }

 private:
  const float* data_;
  bool one_;
  float same_[kBlock];
};

struct Gate {
  const float* state;
  Source arriving, decay, reversal;
  float* after;
};

struct Cells {
  const float* v;
  const int32_t* left;  // null: no refractoriness
  Source current, rate, threshold, rest, resistance, jump, ticks;
  float keep;
  std::vector<Gate> gates;
  float *spike, *v_after;
  int32_t* left_after;
};

// What a cell's potential, spike and waiting time become.
template <bool refractory>
inline void Move(float total, float driven, float v, int32_t waits, float rate, float threshold, float keep,
                 float jump, int32_t ticks, float* v_after, float* spike, int32_t* left_after) {
  const float end = driven / total, now = end + (v - end) * Exp(-rate * total);
  const int32_t held = refractory ? -static_cast<int32_t>(waits > 0) : 0;
  const float reached = Select(held, v, now);
  const int32_t fires = -static_cast<int32_t>(reached > threshold) & ~held;
  *v_after = Select(fires, keep * reached + jump, reached);
  *spike = Select(fires, 1.0f, 0.0f);
  if (refractory) *left_after = (ticks & fires) | (std::max(waits - 1, 0) & ~fires);
}

// Cells with parameters of their own, or many receptors.
template <bool refractory>
void Block(const Cells& cells, int64_t first, int64_t n) {
  float open[kBlock] = {}, driven[kBlock];
  std::memcpy(driven, cells.current.at(first), n * sizeof(float));
  for (const Gate& gate : cells.gates) {
    const float *state = gate.state + first, *arriving = gate.arriving.at(first);
    const float *decay = gate.decay.at(first), *reversal = gate.reversal.at(first);
    float* after = gate.after + first;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      const float g = state[i] + arriving[i];
      open[i] += g;
      driven[i] += g * reversal[i];
      after[i] = g * decay[i];
    }
  }
  const float *rate = cells.rate.at(first), *threshold = cells.threshold.at(first);
  const float *rest = cells.rest.at(first), *resistance = cells.resistance.at(first);
  const float *jump = cells.jump.at(first), *ticks = cells.ticks.at(first);
  const float* v = cells.v + first;
  float *spike = cells.spike + first, *v_after = cells.v_after + first;
  const int32_t* left = refractory ? cells.left + first : nullptr;
  int32_t* left_after = refractory ? cells.left_after + first : nullptr;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i)
    Move<refractory>(1.0f + resistance[i] * open[i], rest[i] + resistance[i] * driven[i], v[i],
                     refractory ? left[i] : 0, rate[i], threshold[i], cells.keep, jump[i],
                     static_cast<int32_t>(ticks[i]), v_after + i, spike + i, left_after + i);
}

// One or two receptors, and the same parameters for all: these stay in registers, and what is read and
// written once is all that passes through the cache.
template <bool refractory, int gates>
void Alike(const Cells& cells, int64_t first, int64_t n) {
  const Gate &a = cells.gates[0], &b = cells.gates[gates - 1];
  const float *a_state = a.state + first, *a_arriving = a.arriving.at(first);
  const float *b_state = b.state + first, *b_arriving = b.arriving.at(first);
  float *a_after = a.after + first, *b_after = b.after + first;
  const float a_decay = a.decay.value(), a_reversal = a.reversal.value();
  const float b_decay = b.decay.value(), b_reversal = b.reversal.value();
  const float *current = cells.current.at(first), *v = cells.v + first;
  const float rate = cells.rate.value(), threshold = cells.threshold.value(), rest = cells.rest.value();
  const float resistance = cells.resistance.value(), jump = cells.jump.value(), keep = cells.keep;
  const int32_t ticks = static_cast<int32_t>(cells.ticks.value());
  float *spike = cells.spike + first, *v_after = cells.v_after + first;
  const int32_t* left = refractory ? cells.left + first : nullptr;
  int32_t* left_after = refractory ? cells.left_after + first : nullptr;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float g = a_state[i] + a_arriving[i];
    float open = g, driven = current[i] + g * a_reversal;
    a_after[i] = g * a_decay;
    if (gates == 2) {
      const float h = b_state[i] + b_arriving[i];
      open += h;
      driven += h * b_reversal;
      b_after[i] = h * b_decay;
    }
    Move<refractory>(1.0f + resistance * open, rest + resistance * driven, v[i], refractory ? left[i] : 0,
                     rate, threshold, keep, jump, ticks, v_after + i, spike + i, left_after + i);
  }
}

using Step = void (*)(const Cells&, int64_t, int64_t);

template <bool refractory>
Step Chosen(const Cells& c) {
  bool alike = c.rate.one() && c.threshold.one() && c.rest.one() && c.resistance.one() && c.jump.one() &&
               c.ticks.one();
  for (const Gate& gate : c.gates) alike = alike && gate.decay.one() && gate.reversal.one();
  if (alike && c.gates.size() == 1) return Alike<refractory, 1>;
  if (alike && c.gates.size() == 2) return Alike<refractory, 2>;
  return Block<refractory>;
}

// Operands: v, current, rate, threshold, rest, resistance, jump, ticks, [left], then for each receptor
// g, arriving, decay, reversal. Results: spikes, v, [left], then each g.
ffi::Error Tick(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets, float keep,
                int32_t refractory) {
  const size_t fixed = 8 + refractory;
  const auto in = [&](size_t k) { return args.get<ffi::AnyBuffer>(k).value(); };
  const auto out = [&](size_t k) { return rets.get<ffi::AnyBuffer>(k).value()->untyped_data(); };
  const auto floats = [&](size_t k) { return static_cast<const float*>(in(k).untyped_data()); };
  if (args.size() < fixed || (args.size() - fixed) % 4)
    return ffi::Error::InvalidArgument("conductance.tick: number of operands");
  std::vector<Gate> gates;
  gates.reserve((args.size() - fixed) / 4);
  for (size_t k = fixed, r = 2 + refractory; k < args.size(); k += 4, ++r)
    gates.push_back({floats(k), Source(in(k + 1)), Source(in(k + 2)), Source(in(k + 3)),
                     static_cast<float*>(out(r))});
  const Cells cells{floats(0),
                    refractory ? static_cast<const int32_t*>(in(8).untyped_data()) : nullptr,
                    Source(in(1)), Source(in(2)), Source(in(3)), Source(in(4)), Source(in(5)),
                    Source(in(6)), Source(in(7)), keep, std::move(gates),
                    static_cast<float*>(out(0)), static_cast<float*>(out(1)),
                    refractory ? static_cast<int32_t*>(out(2)) : nullptr};
  const Step step = refractory ? Chosen<true>(cells) : Chosen<false>(cells);
  const int64_t n = in(0).element_count();
  const int64_t pieces = std::max<int64_t>(1, n / kPiece);
  neuropil::shared_loop(pool, static_cast<int>(pieces), [&](int piece, int) {
    const int64_t last = n * (piece + 1) / pieces;
    for (int64_t first = n * piece / pieces; first < last; first += kBlock)
      step(cells, first, std::min(kBlock, last - first));
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(tick, Tick,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<float>("keep")
                                  .Attr<int32_t>("refractory"));
