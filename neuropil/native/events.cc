// Event-driven products with a sparse matrix: only the rows of cells that are not silent cost anything.
//
// Row j of the matrix is target[start[j] .. start[j + 1]), with a weight for each entry or one for all.
// Every operand may have a leading batch axis; one without it serves the whole batch.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "threads.h"

namespace ffi = xla::ffi;

namespace {

constexpr int kAhead = 8;  // rows whose memory is asked for before they are needed

struct Indices {
  const int32_t* at;
  int64_t count;
};

template <typename T>
using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

// Indices of x's entries that are not zero, NaN among them. Most blocks are silent: they are passed by in one
// test of all their bits.
template <typename T>
Indices Active(const T* x, int64_t n) {
  static thread_local std::vector<int32_t> found;
  if (static_cast<int64_t>(found.size()) < n + 1) found.resize(n + 1);
  int32_t* to = found.data();
  int64_t count = 0;
  constexpr int64_t kBlock = 128;
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t last = std::min(first + kBlock, n);
    Bits<T> any = 0;
    for (int64_t i = first; i < last; ++i) {
      Bits<T> bits;
      std::memcpy(&bits, x + i, sizeof bits);
      any |= bits;
    }
    if (!any) continue;
    for (int64_t i = first; i < last; ++i) {
      to[count] = static_cast<int32_t>(i);
      count += x[i] != T(0);
    }
  }
  return {to, count};
}

struct Rows {
  const int32_t* target;
  const int32_t* start;
  int64_t pre;
};

void Prefetch(const Rows& rows, const Indices& active, int64_t k) {
  if (k + kAhead >= active.count) return;
  const int32_t j = active.at[k + kAhead];
  for (int32_t z = rows.start[j]; z < rows.start[j + 1]; z += 16)
    __builtin_prefetch(rows.target + z);
}

// y_i = sum of weight * x_j over the entries (j, i) with i in first .. last - 1. Each of several threads takes
// cells of its own, so that nothing is added up in an order that depends on them. All of a row is read; where
// targets rise along it, which of them belong here is foreseen by the processor.
template <typename T>
void Forward(const Rows& rows, const Indices& active, const T* x, const T* weight, bool shared, T* y,
             int64_t first, int64_t last) {
  std::memset(y + first, 0, (last - first) * sizeof(T));
  const uint32_t low = static_cast<uint32_t>(first), wide = static_cast<uint32_t>(last - first);
  for (int64_t k = 0; k < active.count; ++k) {
    Prefetch(rows, active, k);
    const int32_t j = active.at[k], end = rows.start[j + 1];
    if (shared) {
      const T jump = weight[0] * x[j];
      for (int32_t z = rows.start[j]; z < end; ++z) {
        const uint32_t i = static_cast<uint32_t>(rows.target[z]);
        if (i - low < wide) y[i] += jump;
      }
    } else {
      for (int32_t z = rows.start[j]; z < end; ++z) {
        const uint32_t i = static_cast<uint32_t>(rows.target[z]);
        if (i - low < wide) y[i] += weight[z] * x[j];
      }
    }
  }
}

// x_j = sum of weight * y_i over the entries (j, i)
template <typename T>
void Transpose(const Rows& rows, const T* y, const T* weight, bool shared, T* x, int64_t first,
               int64_t last) {
  for (int64_t j = first; j < last; ++j) {
    T sum = 0;
    if (shared) {
      for (int32_t z = rows.start[j]; z < rows.start[j + 1]; ++z) sum += y[rows.target[z]];
      sum *= weight[0];
    } else {
      for (int32_t z = rows.start[j]; z < rows.start[j + 1]; ++z)
        sum += weight[z] * y[rows.target[z]];
    }
    x[j] = sum;
  }
}

// weight of the entry (j, i) = x_j y_i, or the sum of these where one weight is shared
template <typename T>
void Outer(const Rows& rows, const T* x, const T* y, bool shared, T* weight, int64_t entries) {
  std::memset(weight, 0, (shared ? 1 : entries) * sizeof(T));
  double total = 0;
  const Indices active = Active(x, rows.pre);
  for (int64_t k = 0; k < active.count; ++k) {
    Prefetch(rows, active, k);
    const int32_t j = active.at[k];
    double sum = 0;
    for (int32_t z = rows.start[j]; z < rows.start[j + 1]; ++z) {
      const T product = x[j] * y[rows.target[z]];
      if (shared) sum += product; else weight[z] = product;
    }
    total += sum;
  }
  if (shared) weight[0] = static_cast<T>(total);
}

// One operand of a batch: where sample b begins.
template <typename T>
struct Operand {
  T* data;
  int64_t size;    // of one sample
  int64_t stride;  // 0 where all samples share it
  T* at(int64_t b) const { return data + b * stride; }
};

template <typename T, typename B>
Operand<T> Of(B& buffer, bool batched, int64_t batch) {
  const int64_t count = buffer.element_count();
  const int64_t size = batched ? count / batch : count;
  return {reinterpret_cast<T*>(buffer.untyped_data()), size, batched ? size : 0};
}

enum Mode { kForward, kTranspose, kOuter };

// Cells, or entries, for which waking a second thread pays.
constexpr int64_t kPiece = 16384;

template <typename T>
void Run(ffi::ThreadPool& pool, int mode, bool shared, int batched, int64_t batch, ffi::AnyBuffer& a,
         ffi::AnyBuffer& b, ffi::AnyBuffer& target, ffi::AnyBuffer& start, ffi::AnyBuffer& out) {
  const auto left = Of<T>(a, batched & 1, batch), right = Of<T>(b, batched & 2, batch);
  const auto ends = Of<int32_t>(target, batched & 4, batch);
  const auto from = Of<int32_t>(start, batched & 8, batch);
  const auto result = Of<T>(out, batched, batch);
  const auto rows = [&](int64_t k) { return Rows{ends.at(k), from.at(k), from.size - 1}; };
  // few large samples are cut into pieces of their cells, many small ones are handed out whole
  const int64_t work = mode == kTranspose ? ends.size : result.size;
  const int64_t most = std::min<int64_t>(pool.num_threads(), work / kPiece);
  const int64_t cuts = batch > 1 || mode == kOuter ? 1 : std::max<int64_t>(1, most);
  const bool alone = batch == 1 || batch * work < 2 * kPiece;
  const auto part = [&](int64_t k, int64_t cut, const Indices* active) {
    const int64_t first = result.size * cut / cuts, last = result.size * (cut + 1) / cuts;
    if (mode == kForward) {
      const Indices own = active ? *active : Active(left.at(k), from.size - 1);
      Forward<T>(rows(k), own, left.at(k), right.at(k), shared, result.at(k), first, last);
    } else if (mode == kTranspose) {
      Transpose<T>(rows(k), left.at(k), right.at(k), shared, result.at(k), first, last);
    } else {
      Outer<T>(rows(k), left.at(k), right.at(k), shared, result.at(k), ends.size);
    }
  };
  if (alone) {
    for (int64_t k = 0; k < batch; ++k) {
      const Indices active = mode == kForward ? Active(left.at(k), from.size - 1) : Indices{};
      neuropil::shared_loop(pool, static_cast<int>(cuts), [&](int cut, int) { part(k, cut, &active); });
    }
  } else {
    neuropil::shared_loop(pool, static_cast<int>(batch), [&](int k, int) { part(k, 0, nullptr); });
  }
}

ffi::Error Product(ffi::ThreadPool pool, ffi::AnyBuffer a, ffi::AnyBuffer b, ffi::AnyBuffer target,
                   ffi::AnyBuffer start, ffi::Result<ffi::AnyBuffer> out, int32_t mode, int32_t shared,
                   int32_t batched, int32_t batch) {
  if (batch == 0) return ffi::Error::Success();
  if (a.element_type() == ffi::F32)
    Run<float>(pool, mode, shared, batched, batch, a, b, target, start, *out);
  else if (a.element_type() == ffi::F64)
    Run<double>(pool, mode, shared, batched, batch, a, b, target, start, *out);
  else
    return ffi::Error::InvalidArgument("events.product takes float32 or float64");
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(product, Product,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<int32_t>("mode")
                                  .Attr<int32_t>("shared")
                                  .Attr<int32_t>("batched")
                                  .Attr<int32_t>("batch"));
