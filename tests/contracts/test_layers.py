"""What every layer must be able to do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from examples import make_decoder, make_encoder, make_transformer, randomize, sequences
from toolkit.layers import (
    AttentionDecoder,
    BahdanauAttention,
    DilatedEncoder,
    LuongAttention,
    ParallelDecoder,
    QuantileHead,
    SegmentedEncoder,
    SequencePooling,
    SubwordEmbedding,
    WordDropout,
    WordEmbedding,
)

FEATURES, UNITS = 4, 3
DEEP = dict(layers=2, bidirectional=True, residual=True, normalization="layer", dropout=0.2, variational=True)
PARALLEL = dict(cell="gru", layers=3, attend_from="bottom", input_feeding=False, residual=True, normalization="layer")
DILATED = dict(cell="gru", units=UNITS, layers=3, normalization="layer", dropout=0.2, variational=False)
LAYERS = {
    "encoder-lstm": lambda **policy: make_encoder(**DEEP, **policy),
    "encoder-gru": lambda **policy: make_encoder(**{**DEEP, "cell": "gru", "variational": False}, **policy),
    "encoder-rnn": lambda **policy: make_encoder(cell="rnn", **policy),
    "transformer": lambda **policy: make_transformer(layers=2, dropout=0.2, **policy),
    "pooling": lambda **policy: SequencePooling(kinds=["mean", "max", "attention"], **policy),
    "segments": lambda **policy: SegmentedEncoder(encoder=make_encoder(cell="gru", **policy), size=4, **policy),
    "transformer_segments": lambda **policy: SegmentedEncoder(encoder=make_transformer(**policy), size=4, **policy),
    "embedding": lambda **policy: WordEmbedding(rows=9, tuned=5, units=3, **policy),
    "subwords": lambda **policy: SubwordEmbedding(rows=7, per_word=3, buckets=6, units=3, **policy),
    "word_dropout": lambda **policy: WordDropout(rate=0.5, unknown_id=1, **policy),
    "attention-dot": lambda **policy: LuongAttention(kind="dot", **policy),
    "attention-general": lambda **policy: LuongAttention(kind="general", **policy),
    "attention-additive": lambda **policy: BahdanauAttention(units=5, **policy),
    "parallel_decoder": lambda **policy: ParallelDecoder(units=UNITS, **policy),
    "attention_decoder": lambda **policy: AttentionDecoder(units=UNITS, **policy),
    "recurrent_decoder-fed": lambda **policy: make_decoder(attention="bahdanau", layers=2, dropout=0.2, **policy),
    "recurrent_decoder-parallel": lambda **policy: make_decoder(**PARALLEL, **policy),
    "dilated": lambda **policy: DilatedEncoder(**DILATED, **policy),
    "quantiles": lambda **policy: QuantileHead(steps=2, levels=5, median=2, **policy),
}
LENGTHS = [8, 2, 0, 5]
every_layer = pytest.mark.parametrize("name", LAYERS)


def _arguments(name, time=8):
    random = np.random.default_rng(0)
    tokens = random.integers(0, 9, size=(len(LENGTHS), time)).astype(np.int32)
    match name:
        case "embedding" | "word_dropout":
            return [tokens]
        case "subwords":
            return [tokens, random.integers(0, 7, size=(2, 3)).astype(np.int32)]
    inputs, lengths = sequences(LENGTHS, time=time)
    queries = random.normal(size=(len(LENGTHS), time - 3, FEATURES)).astype(np.float32)
    state = random.normal(size=(len(LENGTHS), UNITS)).astype(np.float32)
    match name:
        case "attention-dot" | "attention-general" | "attention-additive":
            return [queries, inputs, lengths]
        case "parallel_decoder":
            return [queries, state]
        case "attention_decoder" | "recurrent_decoder-fed" | "recurrent_decoder-parallel":
            return [queries, state, inputs, lengths]
        case "quantiles" | "dilated":
            return [queries]
    return [inputs, lengths]


def _symbols(name):
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    match name:
        case "embedding" | "word_dropout":
            return [tokens]
        case "subwords":
            return [tokens, keras.Input((3,), dtype="int32", name="unknown_ngrams")]
    inputs, lengths = keras.Input((None, FEATURES), name="inputs"), keras.Input((), dtype="int32", name="lengths")
    queries, state = keras.Input((None, FEATURES), name="queries"), keras.Input((UNITS,), name="state")
    match name:
        case "attention-dot" | "attention-general" | "attention-additive":
            return [queries, inputs, lengths]
        case "parallel_decoder":
            return [queries, state]
        case "attention_decoder" | "recurrent_decoder-fed" | "recurrent_decoder-parallel":
            return [queries, state, inputs, lengths]
        case "quantiles" | "dilated":
            return [queries]
    return [inputs, lengths]


def _numbers(outputs):
    return [np.asarray(ops.convert_to_numpy(output), np.float32) for output in keras.tree.flatten(outputs)]


def _called(layer, name, **kwargs):
    return _numbers(layer(*(ops.convert_to_tensor(argument) for argument in _arguments(name)), **kwargs))


def _same(one, other):
    for expected, found in zip(one, other, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@every_layer
def test_config_makes_the_same_layer_again(name):
    layer = LAYERS[name](name="given")
    expected = _called(layer, name)
    copy = type(layer).from_config(layer.get_config())
    _called(copy, name)  # builds it
    copy.set_weights(layer.get_weights())
    _same(expected, _called(copy, name))
    assert copy.name == "given"
    assert copy.get_config() == layer.get_config()


@every_layer
def test_a_model_with_it_is_saved_and_loaded(name, tmp_path):
    symbols = _symbols(name)
    model = keras.Model(symbols, LAYERS[name]()(*symbols))
    randomize(model)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    _same(_numbers(model(_arguments(name))), _numbers(loaded(_arguments(name))))


@every_layer
def test_a_traced_function_takes_any_batch_and_time(name):
    layer = LAYERS[name]()
    shapes = [tf.TensorSpec(symbol.shape, symbol.dtype) for symbol in _symbols(name)]
    traced = tf.function(lambda *arguments: layer(*arguments), shapes)
    for time in (8, 12):
        arguments = _arguments(name, time)
        rows = [argument[:3] for argument in arguments]
        _same(_numbers(layer(*map(ops.convert_to_tensor, rows))), _numbers(traced(*rows)))


@every_layer
def test_promised_shapes_are_the_shapes_that_come(name):
    layer = LAYERS[name]()
    arguments = _arguments(name)
    promised = keras.tree.flatten(layer.compute_output_spec(*(keras.KerasTensor(a.shape, a.dtype) for a in arguments)))
    assert [tuple(spec.shape) for spec in promised] == [output.shape for output in _called(layer, name)]


@every_layer
def test_no_attribute_hides_what_pytorch_calls(name):
    layer = LAYERS[name]()
    _called(layer, name)
    torch_module = {
        "forward",
        "train",
        "eval",
        "apply",
        "to",
        "type",
        "half",
        "float",
        "double",
        "parameters",
        "buffers",
    }
    torch_module |= {"children", "modules", "state_dict", "zero_grad", "cpu", "cuda", "share_memory", "extra_repr"}
    assert (vars(layer).keys() | vars(type(layer)).keys()) & torch_module == set()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@every_layer
def test_half_precision_gives_finite_numbers_and_gradients_near_those_of_single_precision(name, policy):
    keras.utils.set_random_seed(1)  # whether an element is within a bound of rounding is not to depend on chance
    single = LAYERS[name]()
    expected = _called(single, name)
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        layer = LAYERS[name]()
        _called(layer, name)  # builds it
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    layer.set_weights(single.get_weights())
    arguments = [tf.constant(argument) for argument in _arguments(name)]
    with tf.GradientTape() as tape:
        outputs = layer(*arguments)
        loss = sum(ops.sum(ops.cast(output, "float32")) for output in keras.tree.flatten(outputs))
    for one, half in zip(expected, _numbers(outputs), strict=True):
        np.testing.assert_allclose(half, one, atol=0.05 if policy == "mixed_float16" else 0.1)  # bfloat16: 8 bits
    for gradient in tape.gradient(loss, [weight.value for weight in layer.trainable_weights]):
        assert np.isfinite(tf.convert_to_tensor(gradient)).all()


@pytest.mark.parametrize(
    "name", ["encoder-lstm", "transformer", "segments", "parallel_decoder", "attention_decoder", "quantiles"]
)
def test_a_layer_told_its_own_precision_gives_outputs_of_that(name):
    outputs = LAYERS[name](dtype="mixed_bfloat16")(*map(ops.convert_to_tensor, _arguments(name)))
    kinds = {keras.backend.standardize_dtype(output.dtype) for output in keras.tree.flatten(outputs)}
    assert kinds == {"bfloat16"}
