"""Our own compiled kernels, optional: where there is no compiler everything runs as plain JAX.

A kernel is a handler of XLA's foreign function interface in a `.cc` file of this folder, compiled at first
use with the system's C++ compiler and kept in the user's cache folder. It always stands beside a pure JAX
function of the same meaning, which is its reference, and takes over on other platforms.
"""

from neuropil.native.build import NativeError, library
from neuropil.native.kernel import available, call, prefer, pure

__all__ = ["NativeError", "available", "call", "library", "prefer", "pure"]
