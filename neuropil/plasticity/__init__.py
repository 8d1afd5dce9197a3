"""Plasticity rules: slow systems that own a parameter of a faster one."""

from neuropil.plasticity.subspace import (
    OjaSubspace,
    lateral,
    orthogonal_part,
    orthonormal_rows,
    principal_angles,
    principal_rows,
    second_moment,
)

__all__ = [
    "OjaSubspace",
    "lateral",
    "orthogonal_part",
    "orthonormal_rows",
    "principal_angles",
    "principal_rows",
    "second_moment",
]
