"""Arms of brainomni.py: tokenisers trained on some devices, and linear maps from seen to hidden sensors."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from neuropil.blocks import usage
from neuropil.core import System
from neuropil.core.random import fold, generator
from neuropil.papers.fit._brainomni_data import NEW, SEEN, Hearing, data, real
from neuropil.papers.fit._brainomni_judge import Linear, Network, judge
from neuropil.papers.fit._brainomni_net import Sensors, began, descent, untrained, update
from neuropil.worlds import datasets


class Omni(System):
    """One arm: a tick learns on the seen devices of a brain and is judged on all devices. The state is empty.

    `how`: "joint", "eeg", "meg" (the devices learned from), "index" (a table in place of descriptions of
    sensors), "untrained", or a linear map: "gp", "nearest", "minimum-norm". Every seed has a brain of its own,
    the same for all arms.
    """

    how: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)

    def init(self, dt, key):
        return jnp.zeros(())

    def step(self, state, x, tick):
        s = self.settings
        seed = int(generator(tick.key, "brain").integers(2**31))
        how = Hearing(s["hz"], s["snr"], s["degrees"], s["segments"])
        devices = data(s["sizes"], s["train"], s["test"], s["new"], how, seed)
        out = dict.fromkeys(("eeg_even", "meg_even", "eeg_all", "meg_all", "perplexity"), np.nan)
        out |= {"losses": np.full((s["steps"], 2), np.nan), "real": np.full(366, np.nan)}
        out["places"] = np.full((366, 4), np.nan)
        if self.how in ("gp", "nearest", "minimum-norm"):
            arm = Linear(self.how, devices, s["hz"])
            out |= judge(arm, devices, s["readout"])
        else:
            rows = np.split(np.arange(sum(s["sizes"])), np.cumsum(s["sizes"])[:-1])
            rows = dict(zip((*SEEN, *NEW), rows, strict=True))
            model, half, losses = self._learned(devices, rows, tick.key)
            arm = Network(model, rows)
            out |= judge(arm, devices, s["readout"])
            out["losses"][: len(losses)] = losses
            for kind, new in zip(("eeg", "meg"), NEW, strict=True):
                everything, _, codes = arm.read(new, devices[new], devices[new].test.x)
                out[f"{kind}_all"] = everything
                if self.how == kind:
                    early = Network(half, rows).channels(new, devices[new])
                    out[f"{kind}_even"] = np.nanmean(early)
                elif self.how == "joint":
                    out[f"{kind}_even"] = out[f"{kind}_new"]
            many = codes.shape[-1]
            each = [usage(jnp.asarray(codes[..., q]), s["codes"]).perplexity for q in range(many)]
            out["perplexity"] = np.mean(each)
        if s["real"] and self.how in ("joint", "gp") and datasets.available("neuromag-average"):
            device = real(how, seed)
            out["real"] = arm.channels("real", device)
            kinds = np.asarray(device.montage.kinds)[:, None]
            out["places"] = np.concatenate([np.asarray(device.montage.positions), kinds], 1)
        return state, {n: jnp.asarray(v, jnp.float32) for n, v in out.items()}

    def _learned(self, devices, rows, key):
        """The model, as it was after half the steps, and losses (step; loss, correlation)."""
        s = self.settings
        names = "width latents heads filters ratios lstm codes stages decay"
        sizes = {name: s[name] for name in names.split()}
        indexed = jnp.float32(self.how == "index")
        model = half = untrained(sizes, sum(s["sizes"]), fold(key, "weights"), indexed)
        mine = [n for n in SEEN if self.how not in ("eeg", "meg") or n.startswith(self.how)]
        sensors = {n: Sensors(devices[n].montage, jnp.asarray(rows[n])) for n in mine}
        first = jnp.asarray(devices[mine[0]].train.x[: s["batch"]])
        model = began(model, first, sensors[mine[0]], fold(key, "codes"))
        steps = 0 if self.how == "untrained" else s["steps"]
        memory = descent(s["learning_rate"], s["steps"]).init(model)
        losses = []
        rng = generator(key, "batches")
        for i in range(steps):
            name = mine[i % len(mine)]
            x = devices[name].train.x
            x = jnp.asarray(x[rng.integers(len(x), size=s["batch"])])
            step_key = jr.fold_in(fold(key, "steps"), i)
            model, memory, said = update(
                model, memory, x, sensors[name], step_key, s["learning_rate"], s["steps"]
            )
            losses.append((said.loss, said.pcc))
            half = model if i + 1 == s["steps"] // 2 else half
        return model, half, np.array(losses, float).reshape(-1, 2)
