"""The gradients of the kernel's operations, for TensorFlow."""

from typing import Any

import tensorflow as tf

from toolkit.kernels.libraries import SWITCH


def recurrence(operations: Any, operation: Any, d_outputs: Any, d_final: Any, _: Any) -> list[Any]:
    """All by its own operation."""
    outputs, _, saved = operation.outputs
    d_inputs, d_kernel, d_recurrent, d_bias, d_initial = operations.seqloom_recurrence_grad(
        *operation.inputs,
        outputs,
        saved,
        _nothing_if_zero(d_outputs),  # where only the final state is used
        d_final,
        cell=operation.get_attr("cell"),
        reverse=operation.get_attr("reverse"),
    )
    return [d_inputs, None, d_kernel, d_recurrent, d_bias, d_initial]


def decoder(operations: Any, operation: Any, d_outputs: Any, d_weights: Any, *_: Any) -> list[Any]:
    """Of what each step computes by its operation; of the weights, which all steps share, by one product each."""
    weights, before, after, queries = (operation.outputs[i] for i in (1, 2, 3, 5))
    additive = operation.get_attr("additive")
    d_inputs, d_initial, d_keys, d_energy, d_queries, d_combined, d_contexts = operations.seqloom_decoder_grad(
        *operation.inputs,
        *operation.outputs,
        _nothing_if_zero(d_outputs),
        _nothing_if_zero(d_weights),  # where nothing is copied
        cell=operation.get_attr("cell"),
        additive=additive,
    )
    of_query = [tf.zeros_like(each) for each in operation.inputs[7:10]]
    if additive:
        states = after[..., : queries.shape[-1] or tf.shape(queries)[-1]]
        of_query = [_of_matrix(states, d_queries), tf.reduce_sum(d_queries, [0, 1]), tf.reduce_sum(d_energy, 0)]
    return [
        d_inputs,
        None,
        _of_matrix(before, d_inputs),
        None,
        d_initial,
        tf.matmul(weights, d_contexts, transpose_a=True),
        d_keys,
        *of_query,
        _of_matrix(after, d_combined),
        tf.reduce_sum(d_combined, [0, 1]),
    ]


def softmax(operations: Any, operation: Any, *gradients: Any) -> list[Any]:
    """That of the logits by its own operation."""
    logits, ids = operation.inputs
    normalizer = operation.outputs[0]
    given = [tf.zeros_like(normalizer) if each is None else each for each in gradients]
    return [operations.seqloom_softmax_grad(logits, ids, normalizer, *given), None]


def refuse(operation: Any, *_: Any) -> None:
    """Raises: LookupError, as TensorFlow does where there is no gradient, with what to do."""
    raise LookupError(f"{operation.type} has no gradient: second derivatives need {SWITCH}=off, without the kernel.")


def _of_matrix(inputs: Any, d_outputs: Any) -> Any:
    """The gradient of W in inputs W. Shapes: (batch, time, n), (batch, time, m) -> (n, m)"""
    rows = [tf.reshape(each, [-1, tf.shape(each)[-1]]) for each in (inputs, d_outputs)]
    return tf.matmul(*rows, transpose_a=True)


def _nothing_if_zero(gradient: Any) -> Any:
    """An empty array in place of no gradient, or of the zeros that TensorFlow has for an output nobody read."""
    if gradient is not None and not tf.executing_eagerly() and gradient.op.type == "Fill":
        gradient = None if tf.get_static_value(gradient.op.inputs[1]) == 0 else gradient
    return tf.zeros((0, 0, 0)) if gradient is None else gradient
