"""What a Transformer encoder gives, from a run's weights with NumPy alone."""

from collections.abc import Mapping

import numpy as np

Weights = Mapping[str, np.ndarray]


def transform(weights: Weights, layers: int, inputs: np.ndarray) -> np.ndarray:
    """What `toolkit.layers.TransformerEncoder` does with one sequence, which has no padding; its equations are there.

    Shapes: inputs (time, features) -> (time, units)
    """
    outputs = inputs.astype(np.float64)
    if "encoder/projection/kernel" in weights:
        outputs = _dense(weights, "encoder/projection", outputs)
    time, units = outputs.shape
    angles = np.arange(time)[:, None] * 10000.0 ** -(np.arange(units) // 2 * 2 / units)
    outputs = units**0.5 * outputs + np.where(np.arange(units) % 2 == 0, np.sin(angles), np.cos(angles))
    for i in range(layers):
        block = f"encoder/layer{i}"
        outputs = outputs + _attention(
            weights, f"{block}/attention", normed(weights, f"{block}/attention_norm", outputs)
        )
        hidden = _dense(weights, f"{block}/hidden", normed(weights, f"{block}/dense_norm", outputs))
        outputs = outputs + _dense(weights, f"{block}/projection", np.maximum(hidden, 0))
    return normed(weights, "encoder/norm", outputs)


def _attention(weights: Weights, name: str, inputs: np.ndarray) -> np.ndarray:
    """Shapes: inputs (time, units) -> the same."""
    queries, keys, values = (
        np.einsum("tu,uhs->hts", inputs, weights[f"{name}/{part}/kernel"]) + weights[f"{name}/{part}/bias"][:, None]
        for part in ("query", "key", "value")
    )
    scores = queries @ keys.transpose(0, 2, 1) / queries.shape[2] ** 0.5  # (heads, time, time)
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    heads = exponents / exponents.sum(axis=-1, keepdims=True) @ values
    last = f"{name}/attention_output"
    return np.einsum("hts,hsu->tu", heads, weights[f"{last}/kernel"]) + weights[f"{last}/bias"]


def _dense(weights: Weights, name: str, inputs: np.ndarray) -> np.ndarray:
    return inputs @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def normed(weights: Weights, name: str, inputs: np.ndarray) -> np.ndarray:
    """Layer normalisation by the weights of this name."""
    centred = inputs - inputs.mean(axis=1, keepdims=True)
    scale = np.sqrt(inputs.var(axis=1, keepdims=True) + 1e-5)
    return centred / scale * weights[f"{name}/gamma"] + weights[f"{name}/beta"]
