"""A run saved as bytes, spread over seeds, or spread over devices is the same run."""

import io
import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from neuropil.cells import LIF, Noise
from neuropil.core import SEEDS, Chain, Managed, Network, run, start
from neuropil.plasticity import PairSTDP
from neuropil.synapses import Delay
from neuropil.wiring import Dense

N = 4


def plastic():
    """A noisy recurrent network with delays, whose weights learn: every kind of state there is."""
    edge = Chain(delay=Delay(3.0, N), wire=Dense(0.5 + 0.2 * jr.normal(jr.key(9), (N, N))))
    net = Network({"a": LIF(N, tau=5.0, noise=Noise(0.5, block=8))}, {"a>a": edge})
    reads = {"pre": "outputs.a", "post": "outputs.a"}
    return Managed(net, PairSTDP(N, N, 0.05, 0.05), "edges.a>a.parts.wire.weight", reads)


XS = {"a": jnp.full((30, N), 1.1)}


def cut(a, b):
    return jax.tree.map(lambda x: x[a:b], XS)


def unkeyed(tree):
    """Keys as the numbers they are made of, so that all leaves can be written."""
    isa = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda x: jr.key_data(x) if isa(x) else x, tree)


def rekeyed(tree, like):
    isa = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda x, m: jr.wrap_key_data(x) if isa(m) else x, tree, like)


def same(a, b):
    for one, other in zip(jax.tree.leaves(unkeyed(a)), jax.tree.leaves(unkeyed(b)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_resuming_through_bytes_is_bit_equal():
    system = plastic()
    begin = start(system, 1.0, jr.key(0))
    middle, first = run(system, begin, cut(0, 15))
    there, second = run(system, middle, cut(15, 30))
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, unkeyed(middle))
    raw = file.getvalue()
    like = start(system, 1.0, jr.key(77))  # another seed: everything must come from the bytes
    back = rekeyed(eqx.tree_deserialise_leaves(io.BytesIO(raw), unkeyed(like)), like)
    same(middle, back)
    again, once_more = run(system, back, cut(15, 30))
    same((there, second), (again, once_more))
    assert float(first["a"].sum()) > 0
    assert float(jnp.abs(there.state.theta - begin.state.theta).max()) > 1e-3


def test_seeds_under_vmap_are_the_seeds_one_by_one(x64):
    system = plastic()
    keys = jr.split(jr.key(5), 3)
    carries = jax.vmap(lambda k: start(system, 1.0, k), out_axes=SEEDS)(keys)
    xs = jax.tree.map(lambda x: x.astype(jnp.float64), XS)
    go = lambda c: run(system, c, xs)
    after, ys = jax.vmap(go, in_axes=(SEEDS,), out_axes=(SEEDS, 0))(carries)
    assert after.i.shape == ()
    for k in range(3):
        alone, y = go(start(system, 1.0, keys[k]))
        np.testing.assert_array_equal(ys["a"][k], y["a"])
        np.testing.assert_allclose(after.state.theta[k], alone.state.theta, atol=1e-12)


SHARDED = """
import jax, jax.numpy as jnp, jax.random as jr, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from neuropil.cells import LIF
from neuropil.core import Batched, Chain, run, start
from neuropil.wiring import Dense
assert jax.device_count() == 4
system = Batched(Chain(wire=Dense(jr.normal(jr.key(1), (6, 5))), cell=LIF(6, tau=5.0)), 8)
xs = jr.normal(jr.key(2), (20, 8, 5)) + 0.5
carry = start(system, 1.0, jr.key(0))
mesh = Mesh(np.array(jax.devices()), ("batch",))
place = lambda a, *axes: jax.device_put(a, NamedSharding(mesh, P(*axes)))
spread = jax.tree.map(lambda a: place(a, "batch"), carry.state)
there = type(carry)(place(carry.i), place(carry.dt), place(carry.key), spread)
after, ys = run(system, there, place(xs, None, "batch"))
assert len(ys.sharding.device_set) == 4 and not ys.sharding.is_fully_replicated
alone, zs = run(system, carry, xs)
np.testing.assert_array_equal(ys, zs)
for a, b in zip(jax.tree.leaves(after.state), jax.tree.leaves(alone.state), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)
assert 0 < float(zs.mean()) < 1
print("equal")
"""


def test_a_batch_over_four_devices_is_the_batch_on_one():
    flags = "--xla_force_host_platform_device_count=4"
    env = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", SHARDED], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "equal", done.stderr[-2000:]
