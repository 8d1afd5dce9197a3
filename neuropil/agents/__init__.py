"""Agents: policies, values, eligibility, actor and critic; and what a world says to them."""

from neuropil.agents.outcome import Box, Discrete, Outcome
from neuropil.agents.policies import Acts, Categorical, Gaussian, OneHot
from neuropil.agents.temporal import ActorCritic, TDLambda, advantages

__all__ = [
    "ActorCritic",
    "Acts",
    "Box",
    "Categorical",
    "Discrete",
    "Gaussian",
    "OneHot",
    "Outcome",
    "TDLambda",
    "advantages",
]
