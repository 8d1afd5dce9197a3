r"""The circuit that moves a worm, as the controller of a swimmer.

Bhattasali, Zador, Engel (2022), NeurIPS, arXiv:2201.05242; code nikhilxb/ncap (MIT).

A square wave drives the head; every other joint is driven by the bend of the joint in front, and the muscles of
a joint inhibit each other: $B_i = g(w_p s_{i-1})$, $a_i = g(w_i B^d_i + w_c B^v_i) - g(w_i B^v_i + w_c B^d_i)$,
with signs held, and four weights for any number of joints.

Claim: it swims before it learns, learns in far fewer steps than layers do, with orders of magnitude fewer
parameters, and its weights fit other bodies; the signs of its weights are what learning needs.
"""

import math

import jax.random as jr

from neuropil.papers.build import _ncap_circuit as controllers
from neuropil.papers.build._ncap_score import CITE, DIFFERS, GAPS, METRICS, score
from neuropil.papers.build._ncap_swimmer import Swims, by_evolution, by_gradient, check
from neuropil.studies import Arm, Study


def worm(how: str = "constant", shared: bool = True, felt: bool = True):
    """The circuit, by evolution."""

    def make(settings: dict, data) -> Swims:
        found = controllers.fresh_circuit(settings["joints"], how, shared, felt)
        return by_evolution(*found, settings, settings["generations"])

    return make


def sine(settings: dict, data) -> Swims:
    """The open-loop wave, by evolution, from the gait of the circuit's clock."""
    model = controllers.wave()
    return by_evolution(model, model.weights, model.weights, settings, settings["generations"])


def net(hidden: int):
    """Two hidden layers, by evolution."""

    def make(settings: dict, data) -> Swims:
        found = controllers.fresh_layers(settings["joints"], min(hidden, settings["widest"]))
        return by_evolution(*found, settings, settings["generations_mlp"])

    return make


def gradient(worm: bool):
    """The circuit or 64-64 layers, by proximal policy optimisation, with a critic of 64-64."""

    def make(settings: dict, data) -> Swims:
        joints, width = settings["joints"], min(64, settings["widest"])
        fresh = controllers.fresh_circuit if worm else controllers.fresh_layers
        found = fresh(joints, "constant" if worm else width)
        critic = controllers.layers(jr.key(1), joints, width, 1, scale=100.0)
        noise = math.log(0.1 if worm else 0.5)
        return by_gradient(*found, critic, noise, worm, settings)

    return make


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _ncap_figures

    return _ncap_figures.figures(results)


_SMALL = dict(
    seeds=5, joints=5, inner=10, chunks=10, generations=40, generations_mlp=100, pairs=16, sigma=0.05,
    es_rate=0.02, episode=500, ppo_updates=150, worlds=16, stretch=250, epochs=5, batches=16, ppo_rate=3e-4,
    tests=8, horizon=1000, bodies=(4, 5, 10), mujoco=3, widest=128,
)  # fmt: skip


def _arm(build, role, about):
    return Arm(build, role, about, jit=False, gaps=GAPS)


STUDY = Study(
    slug="ncap-swimmer",
    arms={
        "ncap": _arm(worm(), "system", "four weights from +-1, signs held; evolution"),
        "ncap-unshared": _arm(
            worm(shared=False), "variant", "a weight of its own at every place (30)"
        ),
        "ncap-random": _arm(worm("magnitude"), "variant", "first magnitudes uniform, signs held"),
        "ncap-unconstrained": _arm(
            worm("any"), "control", "first weights uniform from -1 to 1, signs free"
        ),
        "ncap-cut": _arm(worm(felt=False), "control", "no proprioception"),
        "sine": _arm(sine, "control", "open-loop travelling wave, tuned by the same evolution"),
        "mlp-64": _arm(net(64), "baseline", "64-64 tanh, with the same clock; evolution"),
        "mlp-8": _arm(net(8), "baseline", "8-8 tanh; evolution"),
        "mlp-128": _arm(net(128), "baseline", "128-128 tanh; evolution"),
        "ppo-ncap": _arm(gradient(True), "variant", "four weights, PPO with noise 0.1"),
        "ppo-mlp": _arm(gradient(False), "baseline", "64-64 tanh, PPO"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, joints=2, inner=2, chunks=1, generations=1, generations_mlp=1, pairs=2,
                               episode=4, ppo_updates=1, worlds=2, stretch=4, epochs=1, batches=2, tests=1,
                               horizon=4, bodies=(2,), mujoco=0, widest=4),
        "small": _SMALL,
        "paper": _SMALL | dict(seeds=10, generations=200, generations_mlp=2000, pairs=32, episode=1000,
                               ppo_updates=2000, chunks=100, tests=16, bodies=(3, 4, 5, 7, 10, 13), mujoco=16),
    },
    load=lambda settings: {},
    ticks=lambda settings: settings["chunks"],
    score=score,
    metrics=METRICS,
    figures=figures,
    check=check,
    cite=CITE,
    mechanism=(
        "An oscillator bends the head; the bend of each joint excites the motor neurons of the joint behind, on"
        " the same side, and the muscles of the two sides inhibit each other, so that a wave runs to the tail."
        " Four weights with fixed signs serve any number of joints."
    ),
    claim="It swims untrained, learns in far fewer steps with far fewer numbers than layers, fits other bodies",
    differs=DIFFERS,
    cost="small: 8 minutes on two cores; needs neuropil[agents], or --set mujoco=0",
)  # fmt: skip
