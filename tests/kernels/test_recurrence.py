"""A recurrent layer of the prediction kernel gives what the papers' equations give, in each instruction set."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import reference
from toolkit.cells import CELLS
from toolkit.kernels import prediction
from toolkit.kernels.prediction import KINDS
from toolkit.kernels.recurrence import Recurrence

library, used = prediction.load()
pytestmark = pytest.mark.skipif(library is None, reason=f"there is no kernel: {used}")

# Sums of two bfloat16 are rounded more, which an rnn magnifies.
CLOSE = {"rnn": 2e-4, "lstm": 5e-5, "gru": 5e-5} if used == "amx" else dict.fromkeys(KINDS, 1e-5)

SHAPES = [  # units, features and lengths: odd ones, whole vectors and panels, one row, more rows than go together
    (1, 3, [4]),
    (5, 1, [3, 0, 6, 1, 6]),
    (33, 20, [2, 0, 5]),
    (64, 8, list(itertools.islice(itertools.cycle([3, 0, 6, 1, 5]), 200))),
]


def _weights(cell, units, features, directions):
    random = np.random.default_rng(units)
    width, scale = len(CELLS[cell].blocks) * units, min(0.4, 2 / units**0.5)
    shapes = [(features, width), (units, width), (2, width) if cell == "gru" else (width,)]
    return [[random.normal(0, scale, shape).astype(np.float32) for shape in shapes] for _ in range(directions)]


def _case(cell, units, features, lengths, directions, *, started):
    """A layer's weights, and what it is run with."""
    random = np.random.default_rng(1)
    inputs = random.normal(size=(max(lengths) + 1, len(lengths), features)).astype(np.float32)
    initial = random.normal(size=(CELLS[cell].states, directions, len(lengths), units)).astype(np.float32)
    given = (inputs, np.array(lengths, np.int32), *([initial] if started else []))
    return _weights(cell, units, features, directions), given


def _expected(cell, weights, inputs, lengths, initial=None):
    """In double precision, each row and direction alone."""
    time, batch, _ = inputs.shape
    units, weights = len(weights[0][1]), [[np.float64(each) for each in direction] for direction in weights]
    outputs = np.zeros((time, len(weights), batch, units))
    final = np.zeros((CELLS[cell].states, len(weights), batch, units)) if initial is None else np.float64(initial)
    for direction, row in itertools.product(range(len(weights)), range(batch)):
        states = tuple(final[:, direction, row])
        steps = range(lengths[row])
        for step in reversed(steps) if direction else steps:
            states = reference.STEPS[cell](weights[direction], inputs[step, row], states)
            outputs[step, direction, row] = states[0]
        final[:, direction, row] = states
    return outputs, final


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}x{len(shape[2])}")
@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("started", [False, True])
def test_states_equal_the_equations_in_double_precision(cell, shape, directions, started):
    weights, given = _case(cell, *shape, directions, started=started)
    layer = Recurrence(cell, weights)
    outputs, final = layer.run(*given)
    for found, expected in zip((outputs, final), _expected(cell, weights, *given), strict=True):
        assert found.dtype == np.float32 and found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=CLOSE[cell])
    nothing, alone = layer.run(*given, outputs=False)
    assert nothing is None
    np.testing.assert_array_equal(alone, final)


def _many():
    """Of each cell the name, weights, and what the layer is run with: more rows than go together."""
    return [(cell, *_case(cell, 37, 21, [9, 3, 0, 7, 5] * 40, 2, started=True)) for cell in KINDS]


def many_rows():
    for cell, weights, given in _many():
        yield from Recurrence(cell, weights).run(*given)


def check_many_rows(arrays):
    right = itertools.chain.from_iterable(_expected(cell, weights, *given) for cell, weights, given in _many())
    for found, expected in zip(arrays, right, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("cell", KINDS)
def test_what_stands_in_the_padding_changes_nothing(cell):
    weights, (inputs, lengths) = _case(cell, 9, 3, [3, 0, 6, 1], 2, started=False)
    layer = Recurrence(cell, weights)
    outputs, final = layer.run(inputs, lengths)
    inputs[np.arange(len(inputs))[:, None] >= lengths] = np.nan
    for one, other in zip((outputs, final), layer.run(inputs, lengths), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_row_is_the_same_in_any_company_layout_and_thread():
    weights, (inputs, lengths) = _case("lstm", 24, 7, [5, 9, 2, 9, 7] * 30, 2, started=False)
    layer = Recurrence("lstm", weights)
    outputs, _ = layer.run(inputs, lengths)
    rows = [slice(0, 1), slice(3, 17), slice(50, 149)] * 8
    with ThreadPoolExecutor(4) as pool:
        parts = pool.map(lambda some: layer.run(np.asfortranarray(inputs[:, some]), lengths[some])[0], rows)
        for some, found in zip(rows, parts, strict=True):
            np.testing.assert_allclose(found, outputs[:, :, some], atol=1e-6)


def test_no_rows_and_no_steps_give_none():
    layer = Recurrence("gru", _weights("gru", 5, 3, 2))
    for time, batch in ((4, 0), (0, 3), (0, 0)):
        outputs, final = layer.run(np.ones((time, batch, 3), np.float32), np.zeros(batch, np.int32))
        assert outputs.shape == (time, 2, batch, 5) and final.shape == (1, 2, batch, 5) and not final.any()


def test_shapes_and_lengths_that_do_not_fit_are_refused():
    weights, (inputs, lengths, initial) = _case("lstm", 5, 3, [4, 2], 1, started=True)
    ((kernel, recurrent, bias),) = weights
    for wrong in ((kernel, recurrent, bias[:-1]), (kernel, recurrent[:-1], bias), (kernel[:, 1:], recurrent, bias)):
        with pytest.raises(ValueError, match="expected"):
            Recurrence("lstm", [wrong])
    with pytest.raises(ValueError, match="one or two directions"):
        Recurrence("lstm", weights * 3)
    layer = Recurrence("lstm", weights)
    for given in (
        (inputs[:, :, 1:], lengths),
        (inputs[0], lengths),
        (inputs, lengths[1:]),
        (inputs, lengths + 2),
        (inputs, lengths - 3),
        (inputs, lengths, initial[1:]),
    ):
        with pytest.raises(ValueError, match="expected"):
            layer.run(*given)
