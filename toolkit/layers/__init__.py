"""Keras layers for right-padded sequences with known lengths; they know no config, no data and no task."""

from toolkit.layers.attention import BahdanauAttention, LuongAttention
from toolkit.layers.decoder import RecurrentDecoder
from toolkit.layers.dilated import DilatedEncoder
from toolkit.layers.embedding import SubwordEmbedding, WordDropout, WordEmbedding
from toolkit.layers.encoder import RecurrentEncoder
from toolkit.layers.encoders import Encoder, build_encoder
from toolkit.layers.forecast import AttentionDecoder, ParallelDecoder, QuantileHead
from toolkit.layers.pooling import SequencePooling
from toolkit.layers.segments import SegmentedEncoder
from toolkit.layers.smoothing import ExponentialSmoothing
from toolkit.layers.transformer import TransformerEncoder

__all__ = [
    "AttentionDecoder",
    "BahdanauAttention",
    "DilatedEncoder",
    "Encoder",
    "ExponentialSmoothing",
    "LuongAttention",
    "ParallelDecoder",
    "QuantileHead",
    "RecurrentDecoder",
    "RecurrentEncoder",
    "SegmentedEncoder",
    "SequencePooling",
    "SubwordEmbedding",
    "TransformerEncoder",
    "WordDropout",
    "WordEmbedding",
    "build_encoder",
]
