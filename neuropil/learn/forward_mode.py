r"""Forward-mode credit assignment over time: real-time recurrent learning and what approximates it.

With $M_t = d s_t / d\theta$ carried along, the gradient of the error of tick t is known at tick t:

$$g_t = \frac{\partial e_t}{\partial s_{t-1}} M_{t-1} + \frac{\partial e_t}{\partial \theta}, \qquad
  \sum_t g_t = \frac{dL}{d\theta}$$

so nothing of the past is kept and nothing waits for the end of the sequence. What M is made of is a part
(`Influence`): exact (`rtrl`), what a parameter does to its own unit (`snap1`), one random outer product
(`uoro`), or what it does to its own unit where the paths between units are cut (`eprop`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from neuropil.cells import LSTM, SimpleRNN
from neuropil.core import Chain, Network, System, Tick, get, param, put, walk
from neuropil.learn.influence import (
    ExactInfluence,
    Influence,
    RankOneInfluence,
    UnitInfluence,
    unit_layout,
    why_not_units,
)
from neuropil.learn.layers import Unsuited
from neuropil.learn.optimiser import learnable
from neuropil.learn.overtime import OnlineCredit, OverTime
from neuropil.wiring.base import Wiring, check_weight, uniform


class _Split(eqx.Module):
    """A model's state as one vector of what the influence covers, and all the rest."""

    vector: Float[Array, " S"]
    rest: Any
    build: Any = eqx.field(static=True)

    @staticmethod
    def of(state: Any, cut: tuple[str, ...]) -> _Split:
        marks = jax.tree.map(eqx.is_inexact_array, state)
        for path in cut:
            marks = put(marks, path, jax.tree.map(lambda _: False, get(state, path)))
        moving, rest = eqx.partition(state, marks)
        if any(jnp.iscomplexobj(a) for a in jax.tree.leaves(moving)):
            raise TypeError("ForwardMode: the model's state is complex; use backpropagation")
        vector, build = ravel_pytree(moving)
        return _Split(vector.astype(jnp.result_type(float)), rest, build)


def _with_readout(model: System) -> tuple[System, Any]:
    """A model as its recurrent part and what follows without a state: (part, (state, z, tick) -> output)."""
    if not isinstance(model, Chain):
        return model, lambda state, z, tick: z
    state = jax.eval_shape(lambda: model.init(1.0, jr.key(0)))
    moving = [i for i, name in enumerate(model.order) if jax.tree.leaves(state[name])]
    cut = moving[-1] + 1 if moving else len(model.order)
    names = model.order[:cut], model.order[cut:]
    core, tail = (
        Chain(**{name: model.parts[name] for name in some}) if some else None for some in names
    )
    if tail is None:
        return core, lambda state, z, tick: z
    return core, lambda state, z, tick: tail.step(state, z, tick)[1]


class ForwardMode(OnlineCredit):
    """The gradient of the error of every tick, at that tick (equations above).

    - `influence`: what is carried, `ExactInfluence()`, `UnitInfluence(n)` or `RankOneInfluence()`;
    - `cut`: paths in the model's state through which no credit flows (what units sent each other a tick ago).

    `rtrl()`, `snap1(n)`, `uoro()` and `eprop(n, model)` build the usual ones.
    """

    needs: ClassVar[str] = "a System and an error at each tick; UnitInfluence: parameters by unit"

    influence: Influence = ExactInfluence()
    cut: tuple[str, ...] = eqx.field(static=True, default=())

    @property
    def locality(self) -> str:
        """That of its influence."""
        return self.influence.locality

    def begin(self, learned, fixed, dt, key):
        build = lambda learned: eqx.combine(learned, fixed).init(dt, key)
        state = build(learned)
        split = _Split.of(state, self.cut)
        size = split.vector.size
        if isinstance(self.influence, UnitInfluence):
            units = self.influence.units
            kept = split.build(split.vector)
            if wrong := unit_layout(kept, units):
                raise ValueError(
                    f"ForwardMode: {', '.join(wrong)} in the state is not made of {units} units; cut it, "
                    "or use rtrl() or uoro()"
                )
        _, pull = jax.vjp(lambda learned: _Split.of(build(learned), self.cut).vector, learned)
        first = lambda c: (c, pull(c)[0])
        own = jr.fold_in(key, 1)
        return {"model": state, "memory": self.influence.begin(first, size, learned, own)}

    def _linear(self, error, learned, fixed, state, x, y, tick):
        """The tick at its point: ((state, error, output), pull: (c, e) -> to (state before, parameters))."""
        split = _Split.of(state, self.cut)

        def go(vector, learned):
            model = eqx.combine(learned, fixed)
            now = eqx.combine(split.build(vector), split.rest)
            after, out = model.step(now, x, tick)
            wrong = error(out, y)
            if jnp.shape(wrong):
                raise ValueError(f"the error of a tick has shape {jnp.shape(wrong)}, not ()")
            return (_Split.of(after, self.cut).vector, wrong), (after, out)

        (vector, wrong), pull, (after, out) = jax.vjp(go, split.vector, learned, has_aux=True)
        return (after, wrong, out), vector, pull

    def advance(self, error, learned, fixed, state, x, y, tick):
        now, memory = state["model"], state["memory"]
        (after, wrong, out), vector, pull = self._linear(error, learned, fixed, now, x, y, tick)
        to_state, direct = pull((jnp.zeros_like(vector), jnp.ones_like(wrong)))
        if isinstance(self.influence, UnitInfluence) and not self.influence.alone:
            to_state = self._own_paths(error, eqx.combine(learned, fixed), now, x, y, tick)
        back = lambda c: pull((c, jnp.zeros_like(wrong)))
        past = self.influence.along(memory, to_state)
        none = lambda a: a is None
        grad = jax.tree.map(
            lambda d, p: d if p is None else None if d is None else d + p,
            direct,
            past,
            is_leaf=none,
        )
        memory = self.influence.advance(memory, back, tick)
        own = eqx.filter(self, self.teaches())  # nothing
        return {"model": after, "memory": memory}, wrong, out, grad, own

    def _own_paths(self, error, model, state, x, y, tick):
        """The error's derivative to the state before, from each unit through its own output alone.

        What the whole tick gives would let a unit answer for what it told others in this tick.
        """
        n, split = self.influence.units, _Split.of(state, self.cut)
        core, readout = _with_readout(model)

        def output(vector):
            now = eqx.combine(split.build(vector), split.rest)
            return core.step(now, x, tick)[1]

        z, back = jax.vjp(output, split.vector)
        if not eqx.is_array(z) or z.size % n:
            raise ValueError(
                f"ForwardMode: the output of the recurrent part is not that of {n} units"
            )
        signal = jax.grad(lambda z: error(readout(state, z, tick), y))(z).reshape(-1, n)
        unit = lambda c: back(c.reshape(z.shape))[0]
        J = jax.vmap(unit)(jnp.eye(z.size, dtype=z.dtype)).reshape(-1, n, split.vector.size // n, n)
        return jnp.einsum("mn,mnkn->kn", signal, J).ravel()

    def why_not(
        self, model: System, loss: OverTime, x: Any, y: Any, key: Array, learn: Any = None
    ) -> str:
        """Why this influence cannot stand for the model's, found by trying a tick; "" where it can.

        `x`, `y`: input and target of one tick of one sample. `refuses` sees only kinds; this sees numbers.
        """
        if reason := self.refuses(model, loss):
            return reason
        if not isinstance(self.influence, UnitInfluence):
            return ""
        learned, fixed = eqx.partition(model, learnable(model, learn))
        try:
            state = self.begin(learned, fixed, loss.dt, key)["model"]
        except ValueError as reason:
            return str(reason)
        split = _Split.of(state, self.cut)
        drawn = split.build(0.3 * jr.normal(key, split.vector.shape, split.vector.dtype))
        state = eqx.combine(drawn, split.rest)
        tick = Tick(jnp.int32(0), loss.clock(1), key)

        @jax.jit
        def back(c):
            (_, wrong, _), _, pull = self._linear(loss.error, learned, fixed, state, x, y, tick)
            return pull((c, jnp.zeros_like(wrong)))

        return why_not_units(self.influence, back, split.vector.size, learned, jr.fold_in(key, 2))


def rtrl() -> ForwardMode:
    """Real-time recurrent learning: the exact gradient, at every tick, of any System.

    Memory S x P numbers (S of state, P parameters), S reverse passes a tick. Williams, Zipser (1989).
    """
    return ForwardMode(ExactInfluence())


def snap1(units: int) -> ForwardMode:
    """SnAp-1: real-time recurrent learning that keeps what a parameter does to its own unit.

    Exact where units do not reach each other. Menick et al. (2021), arXiv:2006.07232.
    """
    return ForwardMode(UnitInfluence(units))


def uoro() -> ForwardMode:
    """Unbiased online recurrent optimisation: a rank-one estimate of the influence, right in the mean.

    Memory S + P numbers, three passes a tick, any System. Tallec, Ollivier (2018), arXiv:1702.05043.
    """
    return ForwardMode(RankOneInfluence())


def messages(model: System) -> tuple[str, ...]:
    """Paths in a model's state of what its units told each other a tick ago.

    "outputs" of a `Network`, h of an `LSTM`, the state of a `SimpleRNN`, wherever they stand in the model.

    >>> messages(SimpleRNN.init_uniform(1, 2, jr.key(0)))
    ('',)

    Raises Unsuited where there is none: then say `cut=`.
    """
    ends = {Network: "outputs", LSTM: "h", SimpleRNN: ""}
    found = [
        ".".join(p for p in (where, ends[type(part)]) if p)
        for _, where, part in walk(model)
        if type(part) in ends
    ]
    if not found:
        raise Unsuited(
            f"eprop needs a Network, SimpleRNN or LSTM in {type(model).__name__}; or write cut=, the paths of"
            " its state through which its units hear each other"
        )
    return tuple(found)


def eprop(
    units: int, model: System | None = None, cut: tuple[str, ...] | None = None
) -> ForwardMode:
    r"""Eligibility propagation: an eligibility trace a synapse times a learning signal.

    $$g_{ji} = \sum_t L_j^t e_{ji}^t, \qquad
      e_{ji}^t = \frac{\partial z_j^t}{\partial h_j^t} \epsilon_{ji}^t, \qquad
      \epsilon_{ji}^t = \frac{\partial h_j^t}{\partial h_j^{t-1}} \epsilon_{ji}^{t-1}
        + \frac{\partial h_j^t}{\partial W_{ji}}$$

    The paths from unit to unit (`cut`; default: `messages(model)`) carry no credit, so a parameter has an
    influence on its own unit h_j alone. The learning signal $L_j$ is what comes back from the error of the tick
    through the readout: through its own weights with a `Dense` (symmetric), through fixed or learned weights of
    its own with a `Broadcast` (random, adaptive). The readout has no state; a leaky one is a leaky
    integrator of the units' outputs ahead of it (`LeakyIntegrator(n)`, then `Dense`): by linearity the same.
    A reset that is not differentiated (`SubtractReset(detach=True)`) is the paper's.

    Source: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein, Maass (2020), Nat. Commun. 11, 3625.
    """
    if (model is None) == (cut is None):
        raise ValueError("eprop: give the model, or cut=, the paths between its units; one of them")
    return ForwardMode(UnitInfluence(units, alone=True), messages(model) if cut is None else cut)


class Broadcast(Wiring):
    r"""A readout whose error comes back through weights of its own: $y = W z + b$, $dz = B^\top dy$.

    - `weight` W (output, unit), `bias` (output,) or None; `back` B (output, unit);
    - `adaptive`: B gets the gradient of W (with weight decay on both they become alike); else it stays.

    No weight is carried to where it is not: W is not needed to send the error back.

    >>> readout = Broadcast(jnp.ones((1, 2)), jnp.array([[1.0, -1.0]]))
    >>> jax.grad(lambda z: readout.forward(z)[0])(jnp.ones(2)).tolist()
    [1.0, -1.0]

    Source: Bellec et al. (2020), Nat. Commun. 11, 3625; Lillicrap et al. (2016), Nat. Commun. 7, 13276;
    Kolen, Pollack (1994), ICNN, for the adaptive one.

    Raises ValueError for a B of another shape than W.
    """

    weight: Array = param(axes=("post", "pre"))
    back: Array = param(axes=("post", "pre"))
    bias: Array | None = param(None, axes=("post",))
    adaptive: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_weight("Broadcast", self.weight, 2, "(post, pre)")
        if self.back is not None and jnp.shape(self.back) != jnp.shape(self.weight):
            raise ValueError(
                f"Broadcast: back has shape {jnp.shape(self.back)}, not {jnp.shape(self.weight)}"
            )

    @staticmethod
    def init_uniform(pre: int, post: int, key: Array, *, adaptive: bool = False) -> Broadcast:
        """W and B drawn apart, uniform on +-1/sqrt(pre); bias 0."""
        a, b = jr.split(key)
        draw = lambda k: uniform(k, (post, pre), pre)
        return Broadcast(draw(a), draw(b), jnp.zeros(post), adaptive)

    def forward(self, x):
        y = _sent_back(self.adaptive, x, self.weight, self.back)
        return y if self.bias is None else y + self.bias

    def transpose(self, y):
        return self.weight.T @ y


@jax.custom_vjp
def _fixed(x, weight, back):
    return weight @ x


@jax.custom_vjp
def _adaptive(x, weight, back):
    return weight @ x


def _keep(x, weight, back):
    return weight @ x, (x, back)


def _send(kept, g, adaptive):
    x, back = kept
    change = jnp.outer(g, x)
    return back.T @ g, change, change if adaptive else jnp.zeros_like(change)


_fixed.defvjp(_keep, lambda kept, g: _send(kept, g, False))
_adaptive.defvjp(_keep, lambda kept, g: _send(kept, g, True))


def _sent_back(adaptive: bool, *args: Array) -> Array:
    return (_adaptive if adaptive else _fixed)(*args)
