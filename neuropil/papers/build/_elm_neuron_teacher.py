"""The detailed neuron that elm-neuron imitates: compartments, channels, NMDA spikes; and what drives it.

A pyramidal-like cell: a soma with sodium and potassium channels and equal passive branches. Excitatory
inputs open AMPA and NMDA conductances in their compartment, inhibitory ones GABA-A. NMDA receptors with
their magnesium block make a branch that is driven enough jump to a plateau: the cell's own two layers.
"""

from __future__ import annotations

from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array, lax

from neuropil.core import Batched, System, Tick, run, start
from neuropil.dendrites import SOMA, Cable, Channel, CorticalPotassium, CorticalSodium, Neuron, Tree
from neuropil.synapses import DoubleExponential, Exponential, MagnesiumBlock, Receptor, Receptors

BRANCHES, PER_BRANCH = 8, 4  # compartments a branch
EXCITATORY, INHIBITORY = 8, 2  # inputs a branch
CHANNELS = BRANCHES * (EXCITATORY + INHIBITORY)
CLIP, REST = -55.0, -67.7  # mV: the paper's target is (min(v, CLIP) - REST) / 10


def detailed_neuron() -> Receptors:
    """The cell: what arrives at its ports, in uS, opens conductances in its 33 compartments."""
    tree = Tree.star(BRANCHES, 200.0, 0.6, PER_BRANCH, soma=30.0)
    soma = tree.of_kind(SOMA)
    channels = {
        "na": Channel(CorticalSodium(), 50 * soma, 50.0),
        "k": Channel(CorticalPotassium(), 5 * soma, -90.0),
    }
    # a soma that leaks more than the thin branches, as if axon and basal tree hung on it: branches stay apart
    leak = 0.1 + 0.2 * soma
    cable = Cable(
        tree, leak=leak, resistivity=200.0, leak_reversal=-70.0, start_v=-70.0, channels=channels
    )
    n = tree.n
    return Receptors(
        Neuron(cable, threshold=-20.0),
        ampa=Receptor(n, 0.0, Exponential(n, 3.0)),
        nmda=Receptor(n, 0.0, DoubleExponential(n, 3.0, 50.0), MagnesiumBlock(1.0)),
        gaba=Receptor(n, -80.0, Exponential(n, 10.0)),
    )


def wiring() -> tuple[np.ndarray, np.ndarray]:
    """(excitatory, inhibitory) maps from channels to compartments, (compartment, channel), 0 or 1.

    Channels stand branch by branch, a branch's excitatory ones first, spread evenly from soma to tip.
    """
    each = EXCITATORY + INHIBITORY
    maps = np.zeros((2, 1 + BRANCHES * PER_BRANCH, CHANNELS), np.float32)
    for b in range(BRANCHES):
        for kind, (first, many) in enumerate(((0, EXCITATORY), (EXCITATORY, INHIBITORY))):
            for k in range(many):
                place = int((k + 0.5) * PER_BRANCH / many)
                maps[kind, 1 + b * PER_BRANCH + place, b * each + first + k] = 1
    return maps[0], maps[1]


def signs() -> np.ndarray:
    """1 for excitatory, -1 for inhibitory channels, as models see them."""
    excites, inhibits = wiring()
    return (excites - inhibits).sum(0)


class Teacher(System):
    """A millisecond of the detailed neuron: spikes of all channels (0, 1) -> spike, soma and tip voltages.

    The cell is stepped `substeps` times within the tick; what arrives opens its conductances in the first.
    """

    cell: Receptors
    opens: dict[str, Array]
    substeps: int = eqx.field(static=True)

    def __init__(self, ampa=0.6, nmda=1.2, gaba=1.0, substeps: int = 5):
        self.cell = detailed_neuron()
        excites, inhibits = (jnp.asarray(m) for m in wiring())
        self.opens = {
            "ampa": 1e-3 * ampa * excites,
            "nmda": 1e-3 * nmda * excites,
            "gaba": 1e-3 * gaba * inhibits,
        }  # uS
        self.substeps = substeps

    def init(self, dt, key):
        return self.cell.init(dt / self.substeps, key)

    def step(self, state, x, tick):
        arrives = {name: m @ x for name, m in self.opens.items()}
        inner = Tick(tick.i, tick.dt / self.substeps, tick.key)

        def body(state, first):
            return self.cell.step(state, {n: first * g for n, g in arrives.items()}, inner)

        now = jnp.zeros(self.substeps).at[0].set(1.0)
        state, spikes = lax.scan(body, state, now)
        v = state["cell"]["v"]
        return state, {"spike": spikes.max(), "soma": v[0], "tips": v[PER_BRANCH::PER_BRANCH]}


def drive(key: Array, simulations: int, ms: int, rates: tuple, quiet: tuple) -> Array:
    """Poisson inputs (simulation, ms, channel); each branch redraws its two rates every 100 ms."""
    a, b, c = jr.split(key, 3)
    shape = (simulations, -(-ms // 100), BRANCHES, 1)
    e = jnp.asarray(rates)[jr.randint(a, shape, 0, len(rates))]
    i = jnp.asarray(quiet)[jr.randint(b, shape, 0, len(quiet))]
    hz = jnp.concatenate([jnp.repeat(e, EXCITATORY, 3), jnp.repeat(i, INHIBITORY, 3)], 3)
    hz = jnp.repeat(hz.reshape(*shape[:2], CHANNELS), 100, axis=1)[:, :ms]
    return (jr.uniform(c, hz.shape) < hz * 1e-3).astype(jnp.float32)


@lru_cache(maxsize=2)
def simulate(simulations: int, ms: int, seed: int, settings: tuple) -> dict[str, np.ndarray]:
    """Inputs and what the detailed neuron makes of them: {"x", "spike", "soma", "tips"}."""
    (rates, quiet, ampa, nmda, gaba, substeps) = settings
    x = drive(jr.key(seed), simulations, ms, rates, quiet)
    cells = Batched(Teacher(ampa, nmda, gaba, substeps), simulations)
    _, out = run(cells, start(cells, 1.0, jr.key(seed)), jnp.swapaxes(x, 0, 1))
    found = jax.tree.map(lambda a: np.swapaxes(np.asarray(a), 0, 1), out)
    return {"x": np.asarray(x), **found}
