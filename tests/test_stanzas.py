"""What a stanza says of an encoder before there is one."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.forecasting.config import ForecastEncoder
from pipelines.translation import config as translation
from toolkit.config import dump
from toolkit.layers import build_encoder
from toolkit.stanzas import EncoderConfig

SHAPES: list[dict[str, Any]] = [
    {},
    {"bidirectional": False},
    {"bidirectional": "first"},
    {"bidirectional": "first", "layers": 2},
    {"layers": 3, "cell": "gru"},
    {"cell": "transformer", "layers": 2},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_width_is_that_of_the_layer(shape: dict[str, Any]) -> None:
    stanza = EncoderConfig(units=6, **shape)
    assert stanza.width == build_encoder(**stanza.model_dump(), name="encoder").width


@pytest.mark.parametrize("stanza", [EncoderConfig, ForecastEncoder])
def test_a_transformer_ignores_defaults_and_its_config_is_read_back(stanza: type[EncoderConfig]) -> None:
    given = stanza(cell="transformer", units=8)
    assert "transformer" in dump(given) and stanza.model_validate(given.model_dump()) == given
    assert stanza(cell="transformer", bidirectional=True, residual=True, normalization="layer").cell == "transformer"


@pytest.mark.parametrize("bidirectional", [False, "first"])
def test_a_transformer_that_is_told_to_read_from_one_end_is_refused(bidirectional: bool | str) -> None:
    with pytest.raises(ValidationError, match="a transformer reads from both ends"):
        EncoderConfig.model_validate({"cell": "transformer", "bidirectional": bidirectional})


def test_a_key_of_an_encoder_leaves_the_others_as_they_are_without_it() -> None:
    given = translation.Config.model_validate(
        {"pipeline": "translation", "data": {"train": "a.csv"}, "encoder": {"layers": 2}}
    )
    assert (given.encoder.cell, given.encoder.units) == ("gru", 256)
    assert given.encoder.model_copy(update={"layers": 1}) == translation.TranslationEncoder()


def test_what_training_keeps_grows_with_the_square_of_the_steps_of_a_transformer_alone() -> None:
    recurrent, transformer = EncoderConfig(units=64), EncoderConfig(cell="transformer", units=64)
    assert recurrent.floats_kept(2000) == 10 * recurrent.floats_kept(200)
    assert 10 * transformer.floats_kept(200) < transformer.floats_kept(2000) < 100 * transformer.floats_kept(200)
