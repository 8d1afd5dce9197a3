"""From a run of ncap-swimmer to the numbers of its table."""

import numpy as np

from neuropil.studies import Metric

GOALS = (700, 900)

METRICS = {
    "untrained": Metric("return before learning, of 1,000"),
    "final": Metric("return after learning, of 1,000"),
    "steps-700": Metric("steps to a return of 700 (the budget where not reached)", "steps", better="lower"),
    "steps-900": Metric("steps to a return of 900 (the budget where not reached)", "steps", better="lower"),
    "budget": Metric("steps in all", "steps", better="lower"),
    "parameters": Metric("numbers that learn", better="lower", paper={"ncap": 4, "ppo-ncap": 4,
                         "ppo-mlp": 6085}, where="by arithmetic from the released code"),
    "mujoco": Metric("return after learning, in MuJoCo, 5 joints"),
    "transfer-4": Metric("the same weights on 4 joints, in MuJoCo"),
    "transfer-10": Metric("the same weights on 10 joints, in MuJoCo"),
}  # fmt: skip

GAPS = ("final", *(f"mujoco-{joints}" for joints in range(2, 16)))

CITE = """@inproceedings{bhattasali2022neural,
  title = {Neural Circuit Architectural Priors for Embodied Control},
  author = {Bhattasali, Nikhil X. and Zador, Anthony M. and Engel, Tatiana A.},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2022},
  note = {arXiv:2201.05242}
}"""

DIFFERS = (
    "Controllers learn in our own body (pure JAX; the same links, motors and drag; a spring and a"
    " damper as limit of a joint) and are judged there and in MuJoCo; the paper learns in MuJoCo.",
    "The paper's numbers of steps and its settings of evolution could not be read: population 32, noise"
    " 0.05 and rate 0.02 are ours, the same for every arm, not tuned. Episodes of evolution last 500 of"
    " 1,000 steps; those that judge, all.",
    "The policy gradient method is PPO without normaliser of observations and without a stop by"
    " divergence; rate 3e-4, clip 0.2 and the circuit's fixed noise of 0.1 are those of the released"
    " scripts. DDPG is left out.",
    "Every network of layers gets the oscillator's clock as sine and cosine; the released script of"
    " evolution gives none, which would favour the circuit.",
    "Steps count all that evolution and PPO took; those of the evaluations are not counted.",
)


def steps_to(
    goal: float | int, returns: np.ndarray, steps: np.ndarray, budget: float | int
) -> float:
    """Steps at the first evaluation that reached the goal; the budget where none did."""
    reached = np.flatnonzero(returns >= goal)
    return float(steps[reached[0]]) if len(reached) else float(budget)


def score(settings: dict, history: dict) -> dict:
    """First and last return, steps to 700 and 900, returns in MuJoCo on three bodies."""
    returns, steps = (np.asarray(history[name], float) for name in ("return", "steps"))
    budget, final = float(history["budget"][-1]), float(history["final"][-1])
    out = {"untrained": float(returns[0]), "final": final, "budget": budget}
    returns, steps = np.append(returns, final), np.append(steps, budget)
    for goal in GOALS:
        out[f"steps-{goal}"] = steps_to(goal, returns, steps, budget)
    out["parameters"] = float(history["parameters"][-1])
    for name, joints in (("mujoco", 5), ("transfer-4", 4), ("transfer-10", 10)):
        out[name] = float(np.asarray(history.get(f"mujoco-{joints}", [np.nan]), float)[-1])
    return out
