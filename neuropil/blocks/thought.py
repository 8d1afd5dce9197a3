r"""Parts of networks that think in internal ticks: a private model for every neuron over the history of
its input, synchronisation of pairs as representation, and a loss that selects ticks by certainty.

Source: Darlow et al. (2025), Continuous Thought Machines, arXiv 2505.05522; code
SakanaAI/continuous-thought-machines.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Key

from neuropil.core import System, Tick, param


class NeuronModels(System):
    r"""A small network of its own for every neuron, over the last M inputs of that neuron.

    $$A_d \leftarrow (A_{d,2..M}, a_d), \qquad
      z_d = \mathrm{GLU}\big((W^2_d\, \mathrm{GLU}((W^1_d A_d + b^1_d) / c_1) + b^2_d) / c_2\big)$$

    with GLU(u, g) = u sigmoid(g). Input and output of a tick: (neuron,), the pre- and post-activations. The
    state is the history (neuron, memory), oldest first; before the first tick it is `first`, a parameter.

    >>> from neuropil.core import run, start
    >>> part = NeuronModels.init_uniform(3, memory=4, hidden=2, key=jr.key(0))
    >>> carry, z = run(part, start(part, 1.0, jr.key(1)), jnp.ones((5, 3)))
    >>> z.shape, carry.state.shape
    ((5, 3), (3, 4))

    Raises ValueError where the shapes of the weights do not fit each other.
    """

    inner: Array = param(axes=("neuron", "memory", "gated"))
    inner_bias: Array = param(axes=("neuron", "gated"))
    outer: Array = param(axes=("neuron", "hidden", "gated"))
    outer_bias: Array = param(axes=("neuron", "gated"))
    first: Array = param(axes=("neuron", "memory"))
    inner_scale: Array = param(1.0, about="divides the hidden layer of all neurons")
    outer_scale: Array = param(1.0, about="divides the output of all neurons")

    def __check_init__(self):
        n, memory, gated = self.inner.shape
        fits = {
            "inner_bias": (n, gated),
            "outer": (n, gated // 2, 2),
            "outer_bias": (n, 2),
            "first": (n, memory),
        }
        for name, shape in fits.items():
            if gated % 2 or getattr(self, name).shape != shape:
                raise ValueError(
                    f"NeuronModels: {name} is {getattr(self, name).shape}, but inner"
                    f" {self.inner.shape} needs {shape} and an even last axis"
                )

    @staticmethod
    def init_uniform(
        neurons: int, *, memory: int, hidden: int, key: Key[Array, ""]
    ) -> NeuronModels:
        """Weights uniform within 1 / sqrt(inputs + outputs) of a layer, biases zero, the first history
        within 1 / sqrt(neurons + memory).

        Raises ValueError for a memory or a hidden layer smaller than 1.
        """
        if min(neurons, memory, hidden) < 1:
            raise ValueError(
                f"NeuronModels: neurons = {neurons}, memory = {memory}, hidden = {hidden};"
                " each must be at least 1"
            )
        one, two, three = jr.split(key, 3)
        draw = lambda k, shape, fan: jr.uniform(k, shape, minval=-1.0, maxval=1.0) / fan**0.5
        return NeuronModels(
            draw(one, (neurons, memory, 2 * hidden), memory + 2 * hidden),
            jnp.zeros((neurons, 2 * hidden)),
            draw(two, (neurons, hidden, 2), hidden + 2),
            jnp.zeros((neurons, 2)),
            draw(three, (neurons, memory), neurons + memory),
        )

    def init(self, dt, key):
        return self.first

    def step(self, state: Float[Array, "neuron memory"], x: Float[Array, " neuron"], tick: Tick):
        state = jnp.concatenate([state[:, 1:], x[:, None].astype(state.dtype)], axis=1)
        return state, self.forward(state)

    def forward(self, history: Float[Array, "neuron memory"]) -> Float[Array, " neuron"]:
        """Post-activations of the histories, oldest input first."""
        hidden = jnp.einsum("nm,nmh->nh", history, self.inner) + self.inner_bias
        hidden = jax.nn.glu(hidden / self.inner_scale)
        out = jnp.einsum("nh,nhg->ng", hidden, self.outer) + self.outer_bias
        return jax.nn.glu(out / self.outer_scale)[:, 0]

    def rest(self):
        return jnp.zeros(self.inner.shape[0], self.inner.dtype)


class Synchronisation(System):
    r"""How much pairs of neurons move together: products of their activity, summed with a learned decay.

    $$s_{ij}(t) = \frac{\sum_{\tau \le t} e^{-r_{ij}(t - \tau)} z_i(\tau) z_j(\tau)}
                       {\sqrt{\sum_{\tau \le t} e^{-r_{ij}(t - \tau)}}}$$

    found by the recursion $\alpha \leftarrow e^{-r}\alpha + z_i z_j$, $\beta \leftarrow e^{-r}\beta + 1$,
    $s = \alpha / \sqrt\beta$. Input of a tick (neuron,), output (pair,). `rate` r (one a pair, per tick) is
    held within 0 and 15 where it is used, while its gradient passes as if it were not. `left`, `right`:
    the neurons of each pair, see `all_pairs`.

    >>> from neuropil.core import run, start
    >>> part = Synchronisation(jnp.zeros(1), jnp.array([0]), jnp.array([1]))
    >>> _, s = run(part, start(part, 1.0, jr.key(0)), jnp.ones((4, 2)))
    >>> [round(float(a), 3) for a in s[:, 0]]
    [1.0, 1.414, 1.732, 2.0]

    Raises ValueError where the three arrays are not vectors of one length.
    """

    rate: Array = param(axes=("pair",), about="decay a tick, used within 0 and 15")
    left: Int[Array, " pair"]
    right: Int[Array, " pair"]

    def __check_init__(self):
        shapes = {jnp.shape(a) for a in (self.rate, self.left, self.right)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ValueError(
                f"Synchronisation: rate, left and right have shapes {sorted(shapes)};"
                " give three vectors of one length"
            )

    def init(self, dt, key):
        return {"alpha": jnp.zeros_like(self.rate), "beta": jnp.zeros_like(self.rate)}

    def step(self, state: dict[str, Array], x: Float[Array, " neuron"], tick: Tick):
        held = self.rate + jax.lax.stop_gradient(jnp.clip(self.rate, 0.0, 15.0) - self.rate)
        keep = jnp.exp(-held)
        alpha = keep * state["alpha"] + x[self.left] * x[self.right]
        beta = keep * state["beta"] + 1.0
        return {"alpha": alpha, "beta": beta}, alpha / jnp.sqrt(beta)

    def rest(self):
        return jnp.zeros_like(self.rate)


def all_pairs(neurons: Int[Array, " n"]) -> tuple[Int[Array, " pair"], Int[Array, " pair"]]:
    """Both ends of all n (n + 1) / 2 pairs i <= j of these neurons, each neuron with itself included.

    >>> [ends.tolist() for ends in all_pairs(jnp.array([4, 7]))]
    [[4, 4, 7], [4, 7, 7]]
    """
    i, j = jnp.triu_indices(len(neurons))
    return neurons[i], neurons[j]


def certainty(logits: Float[Array, "*batch position option"]) -> Float[Array, "*batch"]:
    r"""$1 - H / \log(\text{options})$, averaged over positions: 0 where all options are as likely, 1 at one.

    >>> certainty(jnp.zeros((3, 2))).item()
    0.0

    Raises ValueError for fewer than two options.
    """
    options = logits.shape[-1]
    if options < 2:
        raise ValueError(f"certainty: {options} option; entropy needs at least 2")
    log = jax.nn.log_softmax(logits)
    entropy = -(jnp.exp(log) * log).sum(-1) / jnp.log(jnp.asarray(options, logits.dtype))
    return 1.0 - entropy.mean(-1)


def selected_ticks_loss(
    losses: Float[Array, " tick"], sure: Float[Array, " tick"]
) -> Float[Array, ""]:
    r"""$(L_{t_1} + L_{t_2}) / 2$ with $t_1$ the tick of least loss and $t_2$ the most certain one.

    For one sample. $t_1$ looks at the label: at test only $t_2$ may choose the tick.

    >>> selected_ticks_loss(jnp.array([3.0, 1.0, 2.0]), jnp.array([0.1, 0.2, 0.9])).item()
    1.5
    """
    return (losses[jnp.argmin(losses)] + losses[jnp.argmax(sure)]) / 2


def first_sure_tick(sure: Float[Array, " tick"], threshold: float | Array) -> Int[Array, ""]:
    """Index of the first tick at least as certain as the threshold; the last tick where none is.

    >>> first_sure_tick(jnp.array([0.1, 0.8, 0.9]), 0.8).item()
    1
    """
    enough = sure >= threshold
    return jnp.where(enough.any(), jnp.argmax(enough), len(sure) - 1)
