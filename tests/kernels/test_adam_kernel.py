"""Adam's step over rows gives what the paper's algorithm gives, in each instruction set and for tables of any width."""

import numpy as np
import pytest
import tensorflow as tf

from toolkit import kernels

operations, why = kernels.load()
used = why if operations else "off"
pytestmark = pytest.mark.skipif(operations is None, reason=f"there is no kernel: {why}")

BETA_1, BETA_2, EPSILON, RATE = 0.9, 0.999, 1e-7, 0.1
CONSTANTS = {"beta_1": BETA_1, "beta_2": BETA_2, "epsilon": EPSILON}
SIZES = [
    (1, 1, [0]),
    (7, 3, [5, 0, 5, 5]),
    (300, 100, [17, 3, 17, 299, 0, 3, 17]),
    (40, 64, []),
    (5, 33, [4, 3, 2, 1, 0]),
]


def _case(rows, width, named):
    random = np.random.default_rng(rows)
    table, m = random.normal(size=(2, rows, width)).astype(np.float32)
    v = random.random((rows, width)).astype(np.float32)
    return [table, m, v], np.array(named, np.int32), random.normal(size=(len(named), width)).astype(np.float32)


def _step(arrays, named, values, lazy):
    variables = [tf.Variable(array) for array in arrays]
    once, sums = operations.seqloom_row_sums(named, values)
    operations.seqloom_adam(*(each.handle for each in variables), RATE, once, sums, lazy=lazy, **CONSTANTS)
    return [each.numpy() for each in variables]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_step_equals_the_algorithm_in_double_precision(size, lazy):
    arrays, named, values = _case(*size)
    table, m, v = (np.float64(array) for array in arrays)
    gradient = np.zeros_like(table)
    np.add.at(gradient, named, values)
    rows = np.unique(named) if lazy else np.arange(len(table))
    m[rows] = BETA_1 * m[rows] + (1 - BETA_1) * gradient[rows]
    v[rows] = BETA_2 * v[rows] + (1 - BETA_2) * gradient[rows] ** 2
    table[rows] -= RATE * m[rows] / (np.sqrt(v[rows]) + EPSILON)
    for found, expected in zip(_step(arrays, named, values, lazy), (table, m, v), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_rows_stand_once_in_the_order_in_which_they_come():
    once, sums = operations.seqloom_row_sums(np.array([4, 2, 4, 9, 2], np.int32), np.arange(10.0).reshape(5, 2))
    assert once.numpy().tolist() == [4, 2, 9]
    assert sums.numpy().tolist() == [[4, 6], [10, 12], [6, 7]]


@pytest.mark.parametrize("row", [-1, 2**30, 2**31 - 1])
def test_rows_that_no_table_has_are_refused(row):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"row {row} is not from 0"):
        operations.seqloom_row_sums(np.array([0, row], np.int32), np.ones((2, 3), np.float32))


def test_what_is_read_before_a_step_stays_what_it_was():
    arrays, named, values = _case(*SIZES[2])
    variables = [tf.Variable(array) for array in arrays]
    before = [each.read_value() for each in variables]
    handles = [each.handle for each in variables]
    operations.seqloom_adam(*handles, RATE, named[:1], values[:1], lazy=False, **CONSTANTS)
    for read, array in zip(before, arrays, strict=True):
        np.testing.assert_array_equal(read, array)


def many_rows():
    """Steps of tables of several widths."""
    for size in SIZES:
        yield from _step(*_case(*size), lazy=False)


def check_many_rows(found):
    for one, other in zip(found, many_rows(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "shape", "told"),
    [
        ([1, 1], (2, 4), "named twice"),
        ([5], (1, 4), "not in the table"),
        ([-1], (1, 4), "not in"),
        ([1], (1, 3), "are"),
    ],
)
def test_rows_and_values_that_do_not_fit_are_refused(rows, shape, told):
    variables = [tf.Variable(np.ones((5, 4), np.float32)) for _ in range(3)]
    handles, values = [each.handle for each in variables], np.ones(shape, np.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        operations.seqloom_adam(*handles, RATE, np.array(rows, np.int32), values, lazy=False, **CONSTANTS)
    wrong = tf.Variable(np.ones((5, 3), np.float32)).handle
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected floats"):
        operations.seqloom_adam(handles[0], wrong, handles[2], RATE, [1], np.ones((1, 4)), lazy=False, **CONSTANTS)
