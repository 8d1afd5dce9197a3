r"""Deep neural networks as nested dynamical systems.

Spivak, Hosgood (2021), arXiv 2111.01297.

Mechanism: a learner from A to B implements b = I(p, a), updates p' = U(p, a, s) when told a signal s, and
requests a signal r(p, a, s) from whatever gave it a; learners compose, and so do the diagrams that wire
systems together. A learner is itself a system, whose parameters are the state of an outer system that
receives what flowed through the inner one: the weight changes, so it is the synapse, and the wire carries.

    brain = layer1 >> layer2 >> layer3                 # a learner made of learners, in neuropil.learn.learners
    run(AsSystem(brain), carry, (inputs, targets))     # a learner is a system
    Managed(Implements(p, brain), Updates(brain), "p") # and two nested ones: descent is the outer one's update
    Managed(Wired(plants, diagram), rule, "diagram.inner")  # the same for wires: interaction that adapts

Claim: composition is associative, with units, in series and in parallel, and for diagrams in diagrams; a
learner is a system that can be run, saved and resumed; gradient descent of the whole network *is* the composite
of its layers' own updates. These are laws; learners that ask for the wrong thing must break the last.
"""

import numpy as np

from neuropil.papers.core._nds_figures import figures
from neuropil.papers.core._nds_laws import Laws
from neuropil.papers.core._nds_wiring import BINS, Tracking
from neuropil.studies import Arm, Metric, Study

LAWS = {
    "associativity": "difference between bracketings",
    "unit": "difference made by identities",
    "interchange": "difference between series of parallels and parallel of series",
    "gradient": "relative distance of a step from backpropagation by hand",
    "trajectory": "difference after many online steps from backpropagation by hand",
    "outer": "difference of momentum as an outer system from optax",
    "nesting": "difference of nested from flat wiring diagrams",
    "resumed": "difference of a resumed run from an uninterrupted one",
}


def laws(arm):
    """Builder of an arm whose ticks measure every law on a network of each depth."""
    return lambda s, widths: Laws(arm, widths, s["steps"])


def wiring(learns):
    """Builder of an arm in which two plants in feedback follow a reference while one drifts."""
    return lambda s, widths: Tracking(s["length"], s["rate"], learns)


def load(s):
    """Widths of the layers for every depth, drawn once."""
    rng = np.random.default_rng(0)
    return tuple(tuple(rng.integers(2, s["width"] + 1, d + 1).tolist()) for d in s["depths"])


def score(s, history):
    """The worst value of every law over the depths; the mildest one of "gradient", for the controls."""
    found = {name: float(h.max()) for name, h in history.items() if name in LAWS}
    if "gradient" in found:
        found["gradient-least"] = float(history["gradient"].min())
    return found | {n: float(h.mean()) for n, h in history.items() if n.startswith("tracking")}


def check(s):
    """Settings that cannot go together."""
    if min(s["depths"]) < 2 or s["width"] < 2:
        raise ValueError("depths and width must be at least 2: one layer composes with nothing")
    if s["steps"] % 2:
        raise ValueError(f"steps = {s['steps']} but it must be even: a run is resumed half way")
    if s["length"] % (4 * BINS):
        raise ValueError(f"length = {s['length']} but it must be a multiple of {4 * BINS}")


def one(s):
    """A single tick."""
    return 1


SMALL = {
    "depths": (2, 3, 4, 5, 6),
    "width": 7,
    "steps": 200,
    "length": 8000,
    "rate": 0.03,
    "seeds": 20,
}

STUDY = Study(
    slug="nested-dynamical-systems",
    arms={
        "composed": Arm(
            laws("composed"), "system", "a learner for every layer, in series", vmap=True
        ),
        "autodiff": Arm(
            laws("autodiff"), "baseline", "one learner for the whole network", vmap=True
        ),
        "scaled": Arm(laws("scaled"), "control", "learners that ask for half of it", vmap=True),
        "blind": Arm(
            laws("blind"), "control", "learners that ask through random weights", vmap=True
        ),
        "round-off": Arm(
            laws("round-off"), "ceiling", "backpropagation, units added in another order", vmap=True
        ),
        "learning-wiring": Arm(
            wiring("always"), "variant", "wiring owned by an outer system", ticks=one, vmap=True
        ),
        "fixed-wiring": Arm(
            wiring("until the drift"),
            "baseline",
            "the same, fixed at the drift",
            ticks=one,
            vmap=True,
        ),
        "shuffled-wiring": Arm(
            wiring("shuffled"), "control", "learning from shuffled traffic", ticks=one, vmap=True
        ),
    },
    scales={
        "smoke": SMALL | {"depths": (2,), "steps": 4, "length": 320, "seeds": 2},
        "small": SMALL,
        "paper": SMALL | {"depths": (2, 3, 4, 6, 8), "width": 64, "steps": 2000, "seeds": 50},
    },
    load=load,
    ticks=lambda s: len(s["depths"]),
    score=score,
    check=check,
    metrics={name: Metric(label, better="lower") for name, label in LAWS.items()}
    | {
        "gradient-least": Metric("the same at the depth where it is least", better="lower"),
        "tracking": Metric("tracking error after the drift", "of the reference", better="lower"),
        "tracking-before": Metric("and before it", "of the reference", better="lower"),
    },
    figures=figures,
    x64=True,
    cite="""@article{spivak2021nested,
  title = {Deep neural networks as nested dynamical systems},
  author = {Spivak, David I. and Hosgood, Timothy},
  journal = {arXiv:2111.01297},
  year = {2021}
}""",
    mechanism="Learners (P, I, U, r) compose in series and in parallel; each is a system whose parameters "
    "are the state of an outer system.",
    claim="Composition is associative, a learner is itself a system, and gradient descent arises as the "
    "outer system's update.",
    differs=(
        "the paper states the laws and reports no experiment: all numbers are our tests of them",
        "learners with a signal that is a target (their quadratic error) here, a covector in the library too",
        "the two plants whose wiring learns are our example of deep interaction",
    ),
    cost="small: under two minutes on two cores",
)
