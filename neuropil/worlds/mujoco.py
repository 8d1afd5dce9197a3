"""The swimmer in MuJoCo, with any number of links; needs the extra `agents`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from neuropil.agents.outcome import Box, Outcome
from neuropil.worlds import swimmer as body
from neuropil.worlds.host import _outcome, needed

STEP = 0.002  # s, the Control Suite's
INNER = 15  # steps in a tick of 30 ms


def swimmer_xml(links: int) -> str:
    """The body of `worlds.Swimmer` for MuJoCo: boxes in a fluid, hinges with soft limits, motors.

    >>> swimmer_xml(3).count("<motor")
    2

    ValueError for fewer than 2 links.
    """
    if links < 2:
        raise ValueError(f"swimmer_xml: links = {links}; a joint needs 2")
    x, y, z = body.THIN / 2, body.LENGTH / 2, body.TALL / 2
    geom = f'<geom type="box" size="{x} {y} {z}" mass="{body.MASS}" rgba="0.2 0.5 0.8 1"/>'
    limit, inner = np.degrees(body.joint_limit(links)), ""
    for k in reversed(range(1, links)):
        hinge = f'<joint name="joint{k}" class="bend" range="{-limit} {limit}"/>'
        inner = f'<body name="link{k}" pos="0 {body.LENGTH} 0">{hinge}{geom}<site name="s{k}"/>{inner}</body>'
    free = "".join(
        f'<joint name="root{n}" type="{kind}" axis="{axis}" pos="0 {-y} 0"/>'
        for n, kind, axis in (
            ("x", "slide", "1 0 0"),
            ("y", "slide", "0 1 0"),
            ("z", "hinge", "0 0 1"),
        )
    )
    motors = "".join(
        f'<motor joint="joint{k}" gear="{body.GEAR}" ctrllimited="true" ctrlrange="-1 1"/>'
        for k in range(1, links)
    )
    senses = "".join(f'<velocimeter site="s{k}"/><gyro site="s{k}"/>' for k in range(links))
    return f"""<mujoco model="swimmer">
  <option timestep="{STEP}" density="3000"><flag contact="disable"/></option>
  <default><default class="bend"><joint type="hinge" axis="0 0 1" pos="0 {-y} 0" limited="true"
    armature="{body.ARMATURE}" solreflimit=".05 1" solimplimit="0 .8 .1"/></default></default>
  <worldbody>
    <light pos="0 0 2"/><geom type="plane" size="5 5 .1" pos="0 0 -.05" rgba=".9 .9 .9 1"/>
    <body name="link0">{free}{geom}<site name="s0"/>
      <camera name="above" mode="trackcom" pos="0 0 1.2" xyaxes="1 0 0 0 1 0"/>{inner}</body>
  </worldbody>
  <actuator>{motors}</actuator>
  <sensor>{senses}</sensor>
</mujoco>"""


class MujocoSwimmer:
    """n swimmers in MuJoCo, as `worlds.Swimmer` in observation, action and reward, for `worlds.live`.

    An episode is cut off after `limit` ticks of 30 ms (15 inner steps of 2 ms).

    ImportError where MuJoCo is missing, ValueError for numbers that make no sense; both before anything runs.
    """

    def __init__(self, links: int = 6, n: int = 1, seed: int = 0, limit: int = 1000):
        os.environ.setdefault("MUJOCO_GL", "egl")  # read when MuJoCo is imported
        self.mujoco = needed("mujoco", "MujocoSwimmer")
        if n < 1 or limit < 1:
            raise ValueError(f"MujocoSwimmer: n = {n}, limit = {limit}; both at least 1")
        self.model = self.mujoco.MjModel.from_xml_string(swimmer_xml(links))
        self.data = [self.mujoco.MjData(self.model) for _ in range(n)]
        self.links, self.n, self.limit = links, n, limit
        self.actions = Box(links - 1)
        self.rng = np.random.default_rng(seed)

    def begin(self) -> Outcome:
        """The outcome with which the first episode of every world begins."""
        self.t, self._over = np.zeros(self.n, int), np.zeros(self.n, bool)
        for data in self.data:
            self._reset(data)
        no = np.zeros(self.n, bool)
        return _outcome(self._seen(), np.zeros(self.n), no, no, ~no)

    def _reset(self, data: Any) -> None:
        self.mujoco.mj_resetData(self.model, data)
        data.qpos[2] = self.rng.uniform(-np.pi, np.pi)
        limit = body.joint_limit(self.links)
        data.qpos[3:] = self.rng.uniform(-limit, limit, self.links - 1)
        self.mujoco.mj_forward(self.model, data)

    def _seen(self) -> np.ndarray:
        rows = []
        for data, t in zip(self.data, self.t, strict=True):
            moving = data.sensordata.reshape(self.links, 6)[:, [0, 1, 5]]
            rows.append(np.concatenate([data.qpos[3:], moving.ravel(), [0.03 * t]]))
        return np.stack(rows)

    def step(self, actions: Any) -> Outcome:
        """The outcome of an action in every world."""
        first, actions = self._over, np.clip(np.asarray(actions), -1, 1)
        for k, data in enumerate(self.data):
            if first[k]:
                self._reset(data)
                self.t[k] = 0
                continue
            data.ctrl[:] = actions[k]
            self.mujoco.mj_step(self.model, data, INNER)
            self.mujoco.mj_forward(self.model, data)  # sensors of the state now, not a step ago
            self.t[k] += 1
        seen = self._seen()
        speed = -seen[:, self.links]  # along the head, second of its three velocities
        reward = np.where(first, 0.0, np.clip(speed / body.SPEED, 0.0, 1.0))
        cut = ~first & (self.t >= self.limit)
        self._over = cut
        return _outcome(seen, reward, np.zeros(self.n, bool), cut, first)

    def picture(self, size: tuple[int, int] = (320, 240)) -> np.ndarray | None:
        """The first swimmer from above, (height, width, 3) uint8; None where MuJoCo finds no renderer.

        Set `MUJOCO_GL=egl` before the first use on a machine without a display (done here where unset).
        """
        try:
            renderer = self.mujoco.Renderer(self.model, size[1], size[0])
        except Exception:  # every back end raises what it likes where there is no driver
            return None
        with renderer:
            renderer.update_scene(self.data[0], camera="above")
            return renderer.render().copy()
