"""The bridge: a model's activity is a recording too.

A spiking network with known wiring is built and recorded. From its spontaneous spikes a coupled
Poisson GLM recovers the wiring. Shown the images that a macaque saw, the same network's spike
counts predict neurons of V4 by ridge regression, and its geometry is compared with theirs. Every
number comes with an interval, a noise ceiling and a null.

The network is not trained and its parameters were not fitted to V4: simple cells are LIF neurons
driven by Gabor filters of random place, scale and orientation; a cortical cell adds up the four
phases of one place (a complex cell) and receives sparse recurrent excitation and inhibition 5 ms
late. Data: Cowley, Stan, Pillow and Smith 2023, session 210325 (50 neurons, 640 images).
"""

from __future__ import annotations

import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from neuropil.cells import LIF, Noise, Refractory
from neuropil.compare.connectivity import direction, edges
from neuropil.compare.encoding import encode
from neuropil.compare.geometry import compare_rdms, crossnobis, rdm, rdm_ceiling
from neuropil.core import Chain, Network
from neuropil.fit.glm import GLM
from neuropil.papers.bridge_figure import draw
from neuropil.recordings import record
from neuropil.synapses import Delay
from neuropil.wiring import Dense
from neuropil.worlds import datasets

SIDE = 56  # pixels of an image as the network sees it
SCALES = {
    "smoke": {"cells": 30, "seconds": 15, "images": 60, "repeats": 4, "draws": 50},
    "small": {"cells": 80, "seconds": 100, "images": 640, "repeats": 4, "draws": 500},
}


class Eye(eqx.Module):
    """Shows frames by number: frame 0 is grey, frame i is image i - 1."""

    drive: jax.Array

    def __call__(self, frame):
        return {"simple": self.drive[frame]}


def luminance(images: np.ndarray) -> np.ndarray:
    """Images (image, height, width, rgb) as `SIDE` x `SIDE` luminance of zero mean and unit
    contrast."""
    grey = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    block = grey.shape[1] // SIDE
    grey = grey.reshape(len(grey), SIDE, block, SIDE, block).mean((2, 4))
    grey = grey - grey.mean((1, 2), keepdims=True)
    return grey / np.maximum(grey.std((1, 2), keepdims=True), 1e-6)


def gabors(cells: int, rng: np.random.Generator) -> np.ndarray:
    """Four phases of a Gabor filter for each cell (4 * cells, SIDE, SIDE), without a mean."""
    y, x = np.mgrid[:SIDE, :SIDE][:, None]
    wave = rng.choice([8.0, 14.0], cells)[:, None, None]  # pixels
    angle = rng.uniform(0, np.pi, cells)[:, None, None]
    cx, cy = rng.uniform(6, SIDE - 6, (2, cells))[:, :, None, None]
    envelope = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (0.45 * wave) ** 2))
    along = ((x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)) * 2 * np.pi / wave
    phases = np.stack([np.cos(along + p * np.pi / 2) for p in range(4)], 1)
    balance = (phases * envelope[:, None]).sum((2, 3)) / envelope.sum((1, 2))[:, None]
    bank = envelope[:, None] * (phases - balance[:, :, None, None])
    return bank.reshape(4 * cells, SIDE, SIDE)


def wiring(cells: int, rng: np.random.Generator) -> np.ndarray:
    """Sparse recurrent weights (post, pre): one pair in 16, every fifth cell inhibitory."""
    chosen = (rng.random((cells, cells)) < 1 / 16) & ~np.eye(cells, dtype=bool)
    sign = np.where(np.arange(cells) < 0.8 * cells, 5.0, -8.0)
    return chosen * sign[None, :] * rng.uniform(0.5, 1.5, (cells, cells))


def build(weights: np.ndarray, drive: np.ndarray) -> Chain:
    """Eye, simple cells and recurrent cortical cells; potentials in units of the threshold."""
    cells = len(weights)
    pool = 5.0 * np.kron(np.eye(cells), np.ones((1, 4)))
    noisy = LIF(cells, v_rest=0.5, noise=Noise(0.5), refractory=Refractory(2.0))
    recurrent = Chain(Dense(jnp.asarray(weights, float)), Delay(5.0, cells))
    network = Network(
        nodes={"simple": LIF(4 * cells, refractory=Refractory(2.0)), "cortex": noisy},
        edges={"simple>cortex": Dense(jnp.asarray(pool, float)), "cortex>cortex": recurrent},
    )
    return Chain(eye=Eye(jnp.asarray(drive, float)), brain=network)


def recover(network: Chain, weights: np.ndarray, seconds: int, seed: int) -> dict:
    """Record the network in the dark, fit a GLM, and compare its couplings with the wiring."""
    dark = np.zeros((1, 1000 * seconds), int)
    spikes = record(network, dark, dt=1.0, key=jr.key(seed), path="output.cortex")
    counts = spikes.bin(0.005).to_numpy()[0]
    fitted = GLM("poisson", lags=5, penalty=(10.0, 100.0)).fit(counts)
    coupling = np.asarray(fitted.coupling("sum"))
    return {
        "raster": spikes.select(time=(1.0, 3.0)).to_numpy()[0],
        "rate": float(counts.mean() * 200),
        "weights": weights,
        "coupling": coupling,
        "edges": edges(np.abs(coupling), weights != 0),
        "direction": direction(np.abs(coupling), weights != 0),
        "sign": float(np.mean(np.sign(coupling) == np.sign(weights), where=weights != 0)),
    }


def beside_v4(network: Chain, images: np.ndarray, responses: np.ndarray, scale: dict, seed: int):
    """Show the images, count spikes, and compare with V4 `responses` (repeat, image, neuron):
    the network, and pixels as baseline, by encoding and by geometry."""
    n, repeats = len(images), scale["repeats"]
    frames = np.tile(1 + np.arange(n), repeats)
    shown = np.broadcast_to(frames[:, None], (len(frames), 150))  # 150 ms each
    seen = record(network, shown, dt=1.0, key=jr.key(seed), path="output.cortex", batch=n)
    counts = seen.to_numpy().sum(1).reshape(repeats, n, -1)
    coarse = luminance(images).reshape(n, 14, 4, 14, 4).mean((2, 4)).reshape(n, -1)
    draws = {"resamples": scale["draws"], "seed": seed}
    # a decade is the step of alpha, and a fifth of the draws the null: each refits every target
    ridge = {"alphas": 10.0 ** np.arange(0, 7), "permutations": scale["draws"] // 5, **draws}
    v4, top = crossnobis(responses), rdm_ceiling(responses)
    out = {"rate": float(counts.mean() / 0.150)}
    for name, features, geometry in (
        ("network", counts.mean(0), crossnobis(counts)),
        ("pixels", coarse, rdm(coarse, "sqeuclidean")),
    ):
        out[name] = {
            "encoding": encode(scaled(features), responses, **ridge).correlation,
            "geometry": compare_rdms(
                geometry, v4, ceiling=top, permutations=scale["draws"], **draws
            ),
        }
    return out


def scaled(features: np.ndarray) -> np.ndarray:
    """Features of unit variance; those that never change are left out."""
    deviation = features.std(0)
    return features[:, deviation > 0] / deviation[deviation > 0]


def main(out: str | Path = "runs/demo", scale: str = "small", seed: int = 0) -> dict:
    """Run everything, print it, and write `bridge.png` and `bridge.json` to the folder `out`."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {sorted(SCALES)}, not {scale!r}")
    sizes, rng = SCALES[scale], np.random.default_rng(seed)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    here = datasets.available("macaque-v4")
    filters, weights = gabors(sizes["cells"], rng), wiring(sizes["cells"], rng)
    grey = np.zeros((1, len(filters)))
    if here:
        session = datasets.load("macaque-v4")["210325"]
        images = session.images[: sizes["images"]]
        answers = np.einsum("ihw,fhw->if", luminance(images), filters, optimize=True)
        # a gain at which the network's own counts repeat (split-half reliability about 0.8)
        grey = np.concatenate([grey, 2.5 * answers / answers.std(0)])
    network = build(weights, grey)

    found = recover(network, weights, sizes["seconds"], seed)
    print(f"A network of {sizes['cells']} LIF cells, {found['rate']:.0f} Hz in the dark")
    print(f"  GLM finds its {(weights != 0).sum()} connections: {found['edges']}")
    print(f"  their direction: {found['direction']}; their sign: {found['sign']:.1%}")
    beside = None
    if here:
        responses = session.repeats.transpose(2, 1, 0)[:, : sizes["images"]]
        beside = beside_v4(network, images, responses, sizes, seed)
        for name in ("network", "pixels"):
            print(f"  {name} beside V4, encoding: {beside[name]['encoding'].mean()}")
            print(f"  {name} beside V4, geometry: {beside[name]['geometry']}")
        for kind in ("encoding", "geometry"):
            gain = difference(beside, kind)
            print(f"  network minus pixels, {kind}: {gain}")
    else:
        print("  beside V4: untested, since macaque-v4 is not on this machine")
        print("  (neuropil data get macaque-v4, or set NEUROPIL_DATA)")
    picture = folder / "bridge.png"
    draw(found, beside).savefig(picture, dpi=160)
    (folder / "bridge.json").write_text(json.dumps(summary(found, beside), indent=1) + "\n")
    print(f"  {picture}")
    return {"wiring": found, "v4": beside}


def difference(beside: dict, kind: str):
    """Paired difference network minus pixels of the (mean) score."""
    one, other = (beside[name][kind] for name in ("network", "pixels"))
    return one.mean().minus(other.mean()) if kind == "encoding" else one.minus(other)


def summary(found: dict, beside: dict | None) -> dict:
    """The numbers, ready for JSON."""

    def plain(score):
        numbers = {"value": score.value, "interval": [float(x) for x in score.interval]}
        extra = {"ceiling": score.ceiling, "p": score.p, "null": None}
        if score.null is not None:
            extra["null"] = [float(score.null.mean()), float(score.null.std())]
        return numbers | {k: v for k, v in extra.items() if v is not None}

    out = {k: plain(found[k]) for k in ("edges", "direction")} | {"sign": found["sign"]}
    if beside is None:
        return out | {"v4": "untested: macaque-v4 is not on this machine"}
    for name in ("network", "pixels"):
        out[name] = {
            "encoding": plain(beside[name]["encoding"].mean()),
            "geometry": plain(beside[name]["geometry"]),
        }
    for kind in ("encoding", "geometry"):
        out[f"network minus pixels, {kind}"] = plain(difference(beside, kind))
    return out
