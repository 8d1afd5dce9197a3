// A loop shared with XLA's own threads, safe however few of them are free.
#pragma once
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace neuropil {

// body(i, worker) for i = 0 .. n - 1, on the calling thread and on whichever of the pool's threads come
// along; worker < workers(pool, n). Each has a share of its own, the same at every call, so that what it wrote
// is still in its cache; who is done takes from the others' shares. The caller never waits for work that nobody
// has begun: a helper that the pool starts too late finds nothing left, and touches only the shared counters.
inline int workers(xla::ffi::ThreadPool& pool, int n) {
  const int threads = static_cast<int>(pool.num_threads());
  return threads < 1 ? 1 : (threads < n ? threads : (n < 1 ? 1 : n));
}

template <typename Body>
void shared_loop(xla::ffi::ThreadPool& pool, int n, const Body& body) {
  const int count = workers(pool, n);
  if (count == 1) {
    for (int i = 0; i < n; ++i) body(i, 0);
    return;
  }
  struct Shared {
    explicit Shared(int count) : next(count) {}
    std::atomic<int> done{0};
    std::vector<std::atomic<int>> next;  // of each worker's share
  };
  auto shared = std::make_shared<Shared>(count);
  for (int w = 0; w < count; ++w) shared->next[w].store(n * w / count);
  const Body* work = &body;  // alive as long as there is an i < n left
  auto take = [shared, work, n, count](int me) {
    for (int k = 0; k < count; ++k) {
      const int w = (me + k) % count, end = n * (w + 1) / count;
      for (int i; (i = shared->next[w].fetch_add(1)) < end;) {
        (*work)(i, me);
        shared->done.fetch_add(1);
      }
    }
  };
  for (int k = 1; k < count; ++k) pool.Schedule([take, k] { take(k); });
  take(0);
  while (shared->done.load() < n) std::this_thread::yield();
}

}  // namespace neuropil
