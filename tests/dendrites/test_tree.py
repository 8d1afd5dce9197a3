"""Trees: elimination against a dense solve, geometry, SWC files, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.dendrites import Tree, solve_tree

DRAW = np.random.default_rng(0)


def dense(parent, own, coupling):
    matrix = np.diag(np.asarray(own, float))
    for k, p in enumerate(parent):
        if p >= 0:
            for a, b in ((k, p), (p, k)):
                matrix[a, a] += coupling[k]
                matrix[a, b] -= coupling[k]
    return matrix


def random_tree(n):
    return (-1, *[int(DRAW.integers(max(0, k - 4), k)) for k in range(1, n)])


@pytest.mark.parametrize("parent", [random_tree(30), tuple(range(-1, 11)), (-1, *[0] * 7), (-1,)])
def test_elimination_on_a_tree_equals_a_dense_solve_and_its_gradient(parent, x64):
    n = len(parent)
    own, g, b, w = (jnp.asarray(DRAW.uniform(0.1, 2.0, n)) for _ in range(4))

    def ours(own, g, b):
        return jnp.vdot(w, solve_tree(parent, own, g, b))

    value, slopes = jax.jit(jax.value_and_grad(ours, (0, 1, 2)))(own, g, b)
    inverse = np.linalg.inv(dense(parent, own, np.asarray(g)))
    v, adjoint = inverse @ b, inverse @ w
    assert float(value) == pytest.approx(float(w @ v), rel=1e-12)
    np.testing.assert_allclose(slopes[2], adjoint, rtol=1e-10)
    np.testing.assert_allclose(slopes[0], -adjoint * v, rtol=1e-10)
    up = np.maximum(parent, 0)
    np.testing.assert_allclose(slopes[1], -(adjoint - adjoint[up]) * (v - v[up]), atol=1e-12)


def test_cost_is_linear_also_for_lopsided_trees():
    from neuropil.dendrites.hines import _rows

    long_and_bushy = (*range(-1, 49), *[0] * 50)  # a chain of 50, and 50 twigs on the root
    for parent in (long_and_bushy, tuple(range(-1, 99)), (-1, *[0] * 99), random_tree(100)):
        rows = _rows(parent)
        assert rows.size <= 2 * 100
        assert sorted(rows[rows >= 0]) == list(range(1, len(parent)))


def test_area_and_axial_conductance_of_unequal_cylinders():
    tree = Tree((-1, 0), [20.0, 100.0], [20.0, 2.0])
    np.testing.assert_allclose(tree.area(), [np.pi * 400, np.pi * 200], rtol=1e-6)
    ohm = 150 * (10e-4 / (np.pi * 100e-8) + 50e-4 / (np.pi * 1e-8))
    np.testing.assert_allclose(tree.axial(jnp.array(150.0)), [0, 1e6 / ohm], rtol=1e-6)


def test_star_and_distances():
    tree = Tree.star(2, 100.0, 1.0, 2, soma=10.0)
    assert tree.leaves == (2, 4)
    np.testing.assert_allclose(tree.path_length(), [0, 30, 80, 30, 80])
    assert tree.of_kind(1).tolist() == [1, 0, 0, 0, 0]


SWC = """# made by hand
1 1 0 0 0 10 -1
2 1 0 -10 0 10 1
3 1 0 10 0 10 1
4 3 10 0 0 1 1
5 3 60 0 0 1 4
6 3 60 40 0 0.5 5
7 4 60 -30 0 2 5   # another kind
"""


def test_swc_sphere_branches_and_taper(tmp_path):
    path = tmp_path / "cell.swc"
    path.write_text(SWC)
    tree = Tree.read_swc(path, longest=30.0)
    assert tree.parent == (-1, 0, 1, 2, 3, 2)
    assert tree.kind == (1, 3, 3, 3, 3, 4)
    np.testing.assert_allclose(tree.length, [20, 25, 25, 20, 20, 30])
    # the last two of kind 3 taper from 2 to 1 um; the other starts at its parent's radius
    np.testing.assert_allclose(tree.diameter, [20, 2, 2, 1.75, 1.25, 3])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 1 0 0 0 1\n", "line 1"),
        ("1 1 0 0 0 1 -1\n2 3 1 0 0 -1 1\n", "line 2"),
        ("1 1 0 0 0 1 -1\n2 3 1 0 0 1 7\n", "parent 7"),
        ("1 1 0 0 0 1 -1\n2 3 1 0 0 1 3\n3 3 2 0 0 1 2\n", "ring"),
        ("1 1 0 0 0 1 -1\n1 3 1 0 0 1 1\n", "twice"),
        ("1 1 0 0 0 1 -1\n2 1 0 0 0 1 -1\n", "2 points with parent -1"),
    ],
)
def test_files_that_are_no_tree_are_refused(text, says, tmp_path):
    path = tmp_path / "bad.swc"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        Tree.read_swc(path)


@pytest.mark.parametrize(
    ("parent", "length", "says"),
    [
        ((0, 0), 1.0, "begin with -1"),
        ((-1, 2, 0), 1.0, "come before"),
        ((-1, 0), [1.0, 2.0, 3.0], "length has shape"),
        ((-1, 0), 0.0, "positive"),
    ],
)
def test_what_is_no_tree_is_refused(parent, length, says):
    with pytest.raises(ValueError, match=says):
        Tree(parent, length, 1.0)
