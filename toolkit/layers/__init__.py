"""Keras layers for right-padded sequences with known lengths; they know no config, no data and no task."""

from toolkit.layers.embedding import SubwordEmbedding, WordDropout, WordEmbedding
from toolkit.layers.encoder import RecurrentEncoder
from toolkit.layers.pooling import SequencePooling
from toolkit.layers.segments import SegmentedEncoder

__all__ = [
    "RecurrentEncoder",
    "SegmentedEncoder",
    "SequencePooling",
    "SubwordEmbedding",
    "WordDropout",
    "WordEmbedding",
]
