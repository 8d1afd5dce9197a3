"""Memories read by attention: the modern Hopfield network, and an episodic store of keys and values."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from neuropil.blocks.attention import attention, attention_weights
from neuropil.core import System, param


class ModernHopfield(System):
    r"""Continuous Hopfield network: one step of recall is softmax attention of the state to the patterns.

    $$\xi \leftarrow X^\top \operatorname{softmax}(\beta X \xi), \qquad
      E(\xi) = -\tfrac1\beta \ln \sum_\mu e^{\beta x_\mu \cdot \xi} + \tfrac12 \xi \cdot \xi$$

    The energy never rises. Well separated patterns are recalled in one step, up to an error that falls as
    $e^{-\beta \Delta}$ with their separation $\Delta_\mu = x_\mu \cdot x_\mu - \max_{\nu \ne \mu} x_\mu \cdot
    x_\nu$; patterns close to each other are recalled as their average.

    **Arguments**: `patterns` X (pattern, n); `beta`, inverse temperature (above 0).

    Input: a vector added to the state before the step, or None. Output and state: xi (n,), zero at the start:
    the first tick recalls from the input alone.

    >>> from neuropil.core import run, start
    >>> net = ModernHopfield(jnp.eye(3), beta=20.0)
    >>> cue = jnp.zeros((2, 3)).at[0].set(jnp.array([0.2, 0.9, 0.1]))
    >>> run(net, start(net, 1.0, jax.random.key(0)), cue)[1][-1].round(3).tolist()
    [0.0, 1.0, 0.0]

    Source: Ramsauer et al. (2021), ICLR, arXiv 2008.02217.

    Raises ValueError for patterns that are no matrix, or a negative beta.
    """

    patterns: Float[Array, "m n"] = param(axes=("pattern", "cell"))
    beta: Array = param(1.0, bounds=(0, None))

    def __check_init__(self):
        if self.patterns.ndim != 2 or not self.patterns.size:
            shape = self.patterns.shape
            raise ValueError(f"ModernHopfield: patterns have shape {shape}; give (pattern, cell)")

    def init(self, dt, key):
        return self.rest()

    def step(self, state, x, tick):
        query = state if x is None else state + x
        # the inverse temperature scales the query: attention's own scale is a plain number
        xi = attention(self.beta * query[None], self.patterns, self.patterns, scale=1.0)[0]
        return xi, xi

    def energy(self, xi: Float[Array, " n"]) -> Float[Array, ""]:
        """The energy of a state, up to a constant."""
        overlap = jax.nn.logsumexp(self.beta * (self.patterns @ xi)) / self.beta
        return 0.5 * (xi @ xi) - overlap

    def rest(self):
        return jnp.zeros(self.patterns.shape[1], self.patterns.dtype)


class Episodic(System):
    r"""Store of episodes: values written under keys, read by attention to keys that are like the query.

    $$y = \sum_i \frac{e^{\beta\, \mathrm{sim}(q, k_i)}}{\sum_j e^{\beta\, \mathrm{sim}(q, k_j)}}\, v_i
      \quad \text{over written slots (the } nearest \text{ of them)}$$

    At each tick it is first read, then written. A key whose similarity to a stored one is at least `same` moves
    that slot's value by `rate` towards the new one (and leaves its key); else it takes an empty slot, or the
    one that was longest neither written nor the best match of a query.

    **Arguments**

    - `capacity`, `keys`, `values`: number of slots, widths.
    - `beta`: sharpness of the reading; the larger, the more it is the nearest key's value alone.
    - `similarity`: "cosine", "dot", or "distance" (minus the squared Euclidean distance).
    - `same` (similarity, None: every write takes a slot of its own) and `rate` (0 to 1).
    - `nearest`: only so many of the most similar slots are read; None: all.

    Input: {"query" (keys,), "key" (keys,), "value" (values,), "write": 1 to write, 0 not to}. Output: {"value"
    (0 where nothing is stored), "match": similarity of the best key (the lowest number where there is none),
    "index": its slot}. State: keys, values, time of last use of each slot (-1: empty), and a clock.

    >>> from neuropil.core import run, start
    >>> memory = Episodic(4, 2, 1, beta=50.0)
    >>> xs = {"key": jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), "write": jnp.array([1.0, 1.0, 0.0]),
    ...       "value": jnp.array([[3.0], [7.0], [0.0]]), "query": jnp.array([[1.0, 0.0]] * 3)}
    >>> _, y = run(memory, start(memory, 1.0, jax.random.key(0)), xs)
    >>> [round(float(v), 3) for v in y["value"][:, 0]]
    [0.0, 3.0, 3.0]

    Source, of reading by similar keys and overwriting what was used longest ago: Pritzel et al. (2017), ICML,
    arXiv 1703.01988.

    Raises ValueError for sizes below 1 or an unknown similarity.
    """

    capacity: int = eqx.field(static=True)
    keys: int = eqx.field(static=True)
    values: int = eqx.field(static=True)
    beta: Array = param(10.0, bounds=(0, None))
    rate: Array = param(1.0, bounds=(0, 1))
    same: Array | None = param(None)
    similarity: str = eqx.field(static=True, default="cosine")
    nearest: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        for name in ("capacity", "keys", "values"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"Episodic: {name} = {getattr(self, name)} but it must be at least 1"
                )
        if self.similarity not in ("cosine", "dot", "distance"):
            raise ValueError(
                f"Episodic: similarity={self.similarity!r}; write cosine, dot or distance"
            )
        if self.nearest is not None and not 1 <= self.nearest <= self.capacity:
            raise ValueError(
                f"Episodic: nearest = {self.nearest} but there are {self.capacity} slots"
            )

    def init(self, dt, key):
        dtype = self.beta.dtype
        return {
            "keys": jnp.zeros((self.capacity, self.keys), dtype),
            "values": jnp.zeros((self.capacity, self.values), dtype),
            "used": jnp.full(self.capacity, -1, jnp.int32),
            "clock": jnp.int32(0),
        }

    def step(self, state, x, tick):
        state, y = self.read(state, x["query"])
        written = self.write(state, x["key"], x["value"])
        state = jax.tree.map(lambda a, b: jnp.where(x["write"] > 0, a, b), written, state)
        return {**state, "clock": state["clock"] + 1}, y

    def read(self, state: dict, query: Float[Array, " key"]) -> tuple[dict, dict]:
        """(state in which the best match has just been used, {"value", "match", "index"})."""
        there = state["used"] >= 0
        alike = self._alike(query, state["keys"])
        match, index = self._best(alike, there)
        seen = there
        if self.nearest is not None:
            bar = jax.lax.top_k(jnp.where(there, alike, -jnp.inf), self.nearest)[0][-1]
            seen = there & (alike >= bar)
        weight = attention_weights(
            self.beta * jnp.ones((1, 1), alike.dtype), alike[:, None], seen[None], scale=1.0
        )[0]
        used = state["used"].at[index].set(jnp.where(there[index], state["clock"], -1))
        answer = {"value": weight @ state["values"], "match": match, "index": index}
        return {**state, "used": used}, answer

    def write(self, state: dict, key: Float[Array, " key"], value: Float[Array, " value"]) -> dict:
        """The state with a value written under a key."""
        there = state["used"] >= 0
        match, index = self._best(self._alike(key, state["keys"]), there)
        known = jnp.zeros((), bool) if self.same is None else match >= self.same
        slot = jnp.where(known, index, state["used"].argmin())
        old_key, old = state["keys"][slot], state["values"][slot]
        value = jnp.where(known, old + self.rate * (value - old), value)
        return {
            **state,
            "keys": state["keys"].at[slot].set(jnp.where(known, old_key, key)),
            "values": state["values"].at[slot].set(value),
            "used": state["used"].at[slot].set(state["clock"]),
        }

    def _alike(self, query: Array, keys: Array) -> Array:
        """Similarity of a query to the key of every slot."""
        if self.similarity == "dot":
            return keys @ query
        if self.similarity == "distance":
            return -((keys - query[None]) ** 2).sum(-1)
        return (_unit(keys) * _unit(query)[None]).sum(-1)

    def _best(self, alike: Array, there: Array) -> tuple[Array, Array]:
        score = jnp.where(there, alike, jnp.finfo(alike.dtype).min)
        return score.max(), score.argmax().astype(jnp.int32)


def _unit(a: Array) -> Array:
    """Length 1 along the last axis; zeros stay zeros, also in the gradient."""
    square = (a**2).sum(-1, keepdims=True)
    safe = jnp.where(square > 0, square, 1.0)
    return jnp.where(square > 0, a / jnp.sqrt(safe), 0.0)
