"""A recording larger than memory is filtered and tokenised, block by block: peak memory and time.

    python benchmarks/recordings.py [--gb 20] [--block 30] [--blocks 60]

64 channels at 1 kHz (float32), generated where they are read, so that no disk is needed: pink-like noise, a
10 Hz rhythm and 50 Hz of mains. The chain is lazy: notch, band-pass 1 to 40 Hz (both MNE's FIR), resampling
to 200 Hz, then patches of 0.5 s of every channel to the nearest of 512 codes. Peak memory is that of the
process (getrusage), imports and all. `--blocks`: only so many blocks, spread over the whole; the recording
is of full size all the same, and so is the memory. The same filters on all of it in memory would need 3
copies in float64.
"""

import argparse
import resource
import time

import numpy as np

from neuropil.recordings import Lazy, Recording
from neuropil.recordings import preprocess as pp

CHANNELS, RATE, PIECE = 64, 1000.0, 2**15


class Source:
    """Samples of a recording that is nowhere: piece k is drawn from seed k, and the last pieces are kept."""

    def __init__(self, samples: int):
        self.samples, self.kept = samples, {}

    def piece(self, k: int) -> np.ndarray:
        """Samples k PIECE to (k + 1) PIECE, microvolts."""
        if k not in self.kept:
            rng = np.random.default_rng(k)
            x = 10 * rng.standard_normal((PIECE, CHANNELS), np.float32)
            x[1:] += x[:-1]  # more power below than above
            t = (k * PIECE + np.arange(PIECE, dtype=np.float32)) / np.float32(RATE)
            wave = 8 * np.sin(2 * np.pi * 10 * (t % 1)) + 20 * np.sin(2 * np.pi * 50 * (t % 1))
            self.kept[k] = x + wave[:, None].astype(np.float32)
            for old in sorted(self.kept)[:-3]:
                del self.kept[old]
        return self.kept[k]

    def read(self, trials: slice, times: slice, units: slice) -> np.ndarray:
        """What is asked for, pieced together."""
        first, last = times.start // PIECE, (times.stop - 1) // PIECE
        parts = np.concatenate([self.piece(k) for k in range(first, last + 1)])
        low = times.start - first * PIECE
        return parts[low : low + times.stop - times.start, units][None]


def tokens(x: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(patch, channel): the nearest code of each patch, scaled to unit deviation."""
    width = codes.shape[1]
    patches = x[: len(x) // width * width].reshape(-1, width, x.shape[1]).transpose(0, 2, 1)
    patches = patches - patches.mean(2, keepdims=True)
    patches /= patches.std(2, keepdims=True) + 1e-6
    flat = patches.reshape(-1, width).astype(np.float32)
    nearest = np.argmin((codes**2).sum(1) - 2 * flat @ codes.T, 1)
    return nearest.reshape(patches.shape[:2])


def main() -> None:
    """Run, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gb", type=float, default=20.0, help="size of the recording as float32")
    parser.add_argument("--block", type=float, default=30.0, help="seconds read at a time")
    parser.add_argument("--blocks", type=int, default=0, help="read only so many blocks (0: all)")
    options = parser.parse_args()
    samples = int(options.gb * 1e9 / 4 / CHANNELS)
    source = Source(samples)
    raw = Recording.from_array(
        Lazy((1, samples, CHANNELS), np.float32, source.read), rate=RATE, unit="uV"
    )
    chain = pp.resample(pp.filter(pp.notch(raw, 50.0), 1.0, 40.0), 200.0)
    print(raw, chain, sep="\n")
    codes = np.random.default_rng(0).standard_normal((512, 100)).astype(np.float32)
    codes /= codes.std(1, keepdims=True)
    step = round(options.block * 200)
    began, cpu = time.perf_counter(), time.process_time()
    used = np.zeros(512, np.int64)
    n = 0
    starts = np.arange(0, chain.shape[1], step)
    if options.blocks:
        starts = starts[np.linspace(0, len(starts) - 1, options.blocks).astype(int)]
    for low in starts.tolist():
        block = chain.data[0, low : low + step].values
        found = tokens(block, codes)
        used += np.bincount(found.ravel(), minlength=512)
        n += found.size
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    length = samples / RATE / 3600
    read = n * 0.5 / 3600  # channel-hours
    print(
        f"{options.gb:g} GB ({length:.1f} h of {CHANNELS} channels), {read:.0f} channel-hours read to {n} "
        f"tokens, {np.count_nonzero(used)} of 512 codes used: {seconds:.0f} s, {cpu:.0f} s of CPU "
        f"({read / cpu:.2f} channel-hours a second of it), peak memory {peak:.2f} GiB"
    )


if __name__ == "__main__":
    main()
