"""Where sentences end, and how their translations are put together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.sentences import join_sentences, split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["Good morning.", "How are you?", "I lost my keys!"],
        ["Mr. Smith lives in St. Louis.", "He likes it."],
        ["J. K. Rowling wrote it.", "So did I.", "She too."],
        ["Er kam am 3. Mai an.", "Das war 1999.", "Dann ging er."],
        ["Well... I think so.", "Yes!"],
        ['He said "no."', '"Why?"', "(So he left.)", "Then she did."],
        ["¿Cómo estás?", "¡Bien!", "¿Y usted?"],
        ["In the U.S. They live.", "Version 3.14 is out."],
        ["Yahoo! bought it.", "What?! no way."],
        ["Hello .", "How are you ?"],
        ["यह क्या है।", "मैं ठीक हूँ।"],
        ["no capitals here.", "nor here."],
        [". . ."],
        ["one"],
    ],
)
def test_sentences_end_where_people_would_say_so(sentences: list[str]):
    assert split_sentences(" ".join(sentences)) == sentences


def test_full_width_marks_need_no_blanks():
    assert split_sentences("今天天气很好。我们去公园吧！他说「好。」是的。") == [
        "今天天气很好。",
        "我们去公园吧！",
        "他说「好。」",
        "是的。",
    ]


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_a_blank_text_is_one_sentence(text: str):
    assert split_sentences(text) == [text]


@given(st.text(alphabet="aB1 .!?。」;'", max_size=40))
def test_nothing_of_a_text_is_lost(text: str):
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert join_sentences(sentences).split() == text.split() or "。" in text


def test_many_sentences_are_all_found():
    assert len(split_sentences("Hm. " * 100_000)) == 100_000
