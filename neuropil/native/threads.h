// A loop shared with XLA's own threads, safe however few of them are free.
#pragma once
#include <atomic>
#include <memory>
#include <thread>

#include "xla/ffi/api/ffi.h"

namespace neuropil {

// body(i, worker) for i = 0 .. n - 1, on the calling thread and on whichever of the pool's threads come
// along; worker < workers(pool, n). The caller never waits for work that nobody has begun: a helper that the
// pool starts too late finds nothing left, and touches only the shared counters.
inline int workers(xla::ffi::ThreadPool& pool, int n) {
  const int threads = static_cast<int>(pool.num_threads());
  return threads < 1 ? 1 : (threads < n ? threads : (n < 1 ? 1 : n));
}

template <typename Body>
void shared_loop(xla::ffi::ThreadPool& pool, int n, const Body& body) {
  struct Shared {
    std::atomic<int> next{0}, done{0}, worker{0};
  };
  const int count = workers(pool, n);
  if (count == 1) {
    for (int i = 0; i < n; ++i) body(i, 0);
    return;
  }
  auto shared = std::make_shared<Shared>();
  const Body* work = &body;  // alive as long as there is an i < n left
  auto take = [shared, work, n] {
    int me = -1;
    for (int i; (i = shared->next.fetch_add(1)) < n;) {
      if (me < 0) me = shared->worker.fetch_add(1);
      (*work)(i, me);
      shared->done.fetch_add(1);
    }
  };
  for (int k = 1; k < count; ++k) {
    auto helper = take;
    pool.Schedule(std::move(helper));
  }
  take();
  while (shared->done.load() < n) std::this_thread::yield();
}

}  // namespace neuropil
