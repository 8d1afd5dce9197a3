"""False findings and coverages of RSA in 1,000 simulated experiments each (slow); one of each by default."""

import numpy as np
import pytest

from neuropil.compare.calibration import SUBJECTS, cases, simulated
from neuropil.stats.calibration import measure


@pytest.mark.parametrize("over", ["both", "stimuli", "subjects"])
def test_what_is_new_in_each_experiment(over):
    models, subjects = simulated(np.random.default_rng(0), over)
    again, others = simulated(np.random.default_rng(1), over)
    assert models.shape == (2, 276)
    assert subjects.shape == (SUBJECTS, 276)
    assert np.array_equal(models, again) == (over == "subjects")
    assert not np.allclose(subjects, others)


def test_every_case_runs():
    for name, case in cases().items():
        if name not in ("rsa-better-fitted",) and case.kind == "rejects":
            assert isinstance(bool(case.experiment(np.random.default_rng(2))), bool)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, c in cases().items() if c.sound])
def test_the_promised_rate_is_kept(name):
    found = measure(cases()[name])
    assert found["kept"], found
