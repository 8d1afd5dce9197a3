"""Worker of ei_network.py for BrainPy with brainevent's numba kernels; in its own environment."""

from __future__ import annotations

import json
from importlib.metadata import version

import _common as c
import _ei as e

options = e.options(__doc__, ["brainpy"])
c.pin()
import brainpy  # noqa: E402
import brainstate  # noqa: E402
import braintools  # noqa: E402
import brainunit as u  # noqa: E402
import jax.numpy as jnp  # noqa: E402

n, ne = options.cells, e.excitatory(options.cells)
brainstate.environ.set(dt=e.DT * u.ms)
brainstate.random.seed(1)
normal, S = braintools.init.Normal, u.siemens


class Net(brainstate.nn.Module):
    """The network as in BrainPy's own example."""

    def __init__(self):
        super().__init__()
        self.pop = brainpy.state.LIFRef(
            n,
            V_rest=e.REST * u.mV,
            V_th=e.THRESHOLD * u.mV,
            V_reset=e.RESET * u.mV,
            tau=e.TAU * u.ms,
            tau_ref=e.REFRACTORY * u.ms,
            R=1 * u.ohm,
            V_initializer=normal(*e.BEGIN["v"], unit=u.mV),
        )
        self.e = self.wire(ne, e.W_E, e.TAU_E, e.E_E, e.BEGIN["exc"])
        self.i = self.wire(n - ne, e.W_I, e.TAU_I, e.E_I, e.BEGIN["inh"])

    def wire(self, pre, weight, tau, reversal, begin):
        return brainpy.state.AlignPostProj(
            comm=brainstate.nn.EventFixedProb(
                pre, n, conn_num=e.SYNAPSES / n, conn_weight=weight * S
            ),
            syn=brainpy.state.Expon.desc(n, tau=tau * u.ms, g_initializer=normal(*begin, unit=S)),
            out=brainpy.state.COBA.desc(E=reversal * u.mV),
            post=self.pop,
        )

    def update(self, t):
        with brainstate.environ.context(t=t):
            s = self.pop.get_spike() != 0.0
            self.e(s[:ne])
            self.i(s[ne:])
            self.pop(0.0 * u.mA)
            return self.pop.get_spike().sum()


net = Net()
brainstate.nn.init_all_states(net)
states = net.states()
begin = {k: s.value for k, s in states.items()}
times_ms = jnp.arange(round(options.ms / e.DT)) * e.DT
rates = []


@brainstate.transform.jit
def run():
    return brainstate.transform.for_loop(lambda t: net.update(t * u.ms), times_ms).sum()


def once():
    for k, s in states.items():  # its clock is absolute: every run starts from the same state
        s.value = begin[k]
    rates.append(float(run()) / n / (options.ms / 1000))


first, times = c.clock(once, options.repeats)
print(
    json.dumps(
        {
            "library": f"BrainPy {version('brainpy')}, brainevent {version('brainevent')}",
            "first": first,
            "times": times,
            "rate": rates[-1],
            "synapses": n * int(e.SYNAPSES / n * n),
            "peak_gb": c.peak(),
        }
    )
)
