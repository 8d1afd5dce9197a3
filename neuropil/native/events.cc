// Event-driven delivery along the rows of a sparse matrix: only cells that are not silent cost anything.
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

// y = sum of the rows of x's non-zero entries. Row j holds target[j * k .. j * k + k).
static ffi::Error Scale(ffi::Buffer<ffi::F32> x, ffi::ResultBuffer<ffi::F32> y, float factor) {
  for (size_t i = 0; i < x.element_count(); ++i) y->typed_data()[i] = factor * x.typed_data()[i];
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(scale, Scale,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<float>("factor"));
