"""Vectors: every usual file gives the same numbers, damage is named with its place, and the cache is only a cache."""

import bz2
import gzip
import io
import lzma
import os
import pwd
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data import vector_files
from toolkit.data import vectors as module
from toolkit.data.vectors import WordVectors, build_matrix, coverage, load_vectors, neighbours, scaled, train_vectors
from toolkit.errors import DataError

WORDS = ["the", "naïve", "北京", "a-b", "1/2", "<unk>"]
MATRIX = np.random.default_rng(0).normal(size=(6, 20)).astype(np.float32)
TEXT = "".join(f"{word} {' '.join(map(repr, row.tolist()))}\n" for word, row in zip(WORDS, MATRIX, strict=True))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQLOOM_CACHE", str(tmp_path / "cache"))


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def keyed() -> KeyedVectors:
    vectors = KeyedVectors(MATRIX.shape[1])
    vectors.add_vectors(WORDS, MATRIX)
    return vectors


def same(vectors: WordVectors) -> bool:
    return vectors.words == WORDS and vectors.units == 20 and np.array_equal(vectors.matrix, MATRIX)


def refusal(path: str) -> str:
    with pytest.raises(DataError) as error:
        load_vectors(path)
    return str(error.value)


# Files


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".bz2", ".zip"])
def test_glove_text_is_read_packed_or_not(tmp_path, suffix):
    path = tmp_path / f"glove.txt{suffix}"
    match suffix:
        case ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("glove.txt", TEXT)
        case _:
            pack = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}[suffix]
            write(path, pack(TEXT.encode()))
    assert same(load_vectors(str(path)))


@pytest.mark.parametrize(("name", "binary"), [("w.txt", False), ("w.vec", False), ("w.bin", True), ("w.bin.gz", True)])
def test_what_gensim_writes_is_read(tmp_path, name, binary):
    keyed().save_word2vec_format(str(tmp_path / name), binary=binary)
    assert same(load_vectors(str(tmp_path / name)))


def test_a_binary_file_is_known_by_its_content_too(tmp_path):
    keyed().save_word2vec_format(str(tmp_path / "model.gz"), binary=True)
    assert same(load_vectors(str(tmp_path / "model.gz")))


def test_a_binary_file_with_a_line_break_after_each_vector_is_read(tmp_path):
    records = b"".join(f"{word} ".encode() + row.tobytes() + b"\n" for word, row in zip(WORDS, MATRIX, strict=True))
    assert same(load_vectors(write(tmp_path / "w.bin", b"6 20\n" + records)))


def test_the_blank_that_fasttext_leaves_at_the_end_of_a_line_is_no_number(tmp_path):
    assert same(load_vectors(write(tmp_path / "w.vec", "6 20\n" + TEXT.replace("\n", " \n"))))


def test_tabs_are_as_good_as_blanks_and_a_byte_order_mark_is_no_part_of_a_word(tmp_path):
    tabs = TEXT.replace(" ", "\t")
    for number, text in enumerate((tabs, "6\t20\n" + tabs, "\ufeff" + TEXT, "\ufeff6 20\n" + TEXT)):
        assert same(load_vectors(write(tmp_path / f"{number}.txt", text)))


def test_words_that_hold_blanks_are_split_from_the_right(tmp_path):
    spaced = TEXT.replace("a-b ", ". . . ").replace("1/2 ", "at name@domain.com ")
    assert load_vectors(write(tmp_path / "w.txt", spaced)).words[3:5] == [". . .", "at name@domain.com"]


def test_a_large_file_is_the_same_read_in_many_blocks(tmp_path, monkeypatch):
    keyed().save_word2vec_format(str(tmp_path / "w.bin"), binary=True)
    path = write(tmp_path / "w.txt", TEXT)
    monkeypatch.setattr(vector_files, "_BLOCK", 150)
    assert same(load_vectors(path)) and same(load_vectors(str(tmp_path / "w.bin")))


@given(
    st.lists(
        st.text(st.characters(exclude_characters=" ", exclude_categories=["Cs", "Cc", "Z"]), min_size=1), min_size=1
    )
)
def test_any_words_come_back_the_first_of_each(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("words") / "w.txt"
    path.write_text("".join(f"{word} {i} 0.5\n" for i, word in enumerate(words)), encoding="utf-8", newline="\n")
    vectors = load_vectors(str(path))
    assert vectors.words == list(dict.fromkeys(words))
    assert [int(number) for number in vectors.matrix[:, 0]] == [words.index(word) for word in vectors.words]


def test_only_the_first_words_are_read(tmp_path):
    path = write(tmp_path / "w.txt", "9 20\n" + TEXT)  # too few for its header, which only shows at the end
    vectors = load_vectors(path, max_words=2)
    assert vectors.words == WORDS[:2] and np.array_equal(vectors.matrix, MATRIX[:2])


def test_one_file_of_a_zip_is_chosen_by_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.writestr("w.50d.txt", "a 1 2\n")
        archive.writestr("w.100d.txt", TEXT)
    assert same(load_vectors(f"{tmp_path}/w.zip#w.100d.txt"))
    assert "holds w.50d.txt, w.100d.txt." in refusal(f"{tmp_path}/w.zip")


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_compact_format_keeps_its_type(tmp_path, dtype):
    words = np.frombuffer("\n".join(WORDS).encode(), np.uint8)
    np.savez_compressed(tmp_path / "w.npz", words=words, vectors=MATRIX.astype(dtype))
    vectors = load_vectors(str(tmp_path / "w.npz"), max_words=5)
    assert vectors.words == WORDS[:5] and vectors.matrix.dtype == dtype
    assert np.array_equal(vectors.matrix, MATRIX[:5].astype(dtype))


def test_the_first_of_equal_words_counts_in_the_compact_format_too(tmp_path):
    words = np.frombuffer(b"a\na\nb", np.uint8)
    np.savez(tmp_path / "w.npz", words=words, vectors=MATRIX[:3])
    vectors = load_vectors(str(tmp_path / "w.npz"))
    assert vectors.words == ["a", "b"] and np.array_equal(vectors.matrix, MATRIX[[0, 2]])


# Damage


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("\na-b ", "\na-b 0.5 "), ":4: found 21 numbers after the word, expected 20."),
        (lambda text: text.rsplit(" ", 2)[0], ":6: found 18 numbers after the word, expected 20."),
        (lambda text: text.replace("\na-b ", "\na-b x", 1), ":4: found 'x"),
        (lambda text: text.replace("\n", "\nb 1e999 " + "0 " * 18 + "0\n", 1), ":2: found '1e999', expected a number"),
        (lambda text: "10 20\n" + text, ": ends after 6 words, expected 10."),
        (lambda text: "6 19\n" + text, ":2: found 20 numbers after the word, expected 19."),
        (lambda text: "6 999999999\n" + text, ":1: found 6 vectors of 999999999 numbers, expected 1 to 10000"),
        (lambda text: "0 20\n", ":1: found 0 vectors of 20 numbers"),
        (lambda text: "", ":1: found an empty line"),
        (lambda text: "once upon a time\n", ":1: found 0 numbers after the word"),
        (lambda text: "<!DOCTYPE html>\n<p>Not found", ":1: found a web page, expected vectors. The download failed."),
        (lambda text: "\x80\x04\x95\0\0 pickle", ": found binary data without the header of word2vec."),
    ],
)
def test_damaged_text_is_named_with_its_place(tmp_path, change, told):
    path = write(tmp_path / "w.txt", change(TEXT))
    assert refusal(path).startswith(path + told)
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_a_nan_among_numbers_is_refused(tmp_path):
    assert ":2: found 'nan', expected a number" in refusal(write(tmp_path / "w.txt", "a 1 2\nb nan 2\n"))


def test_a_binary_file_that_is_cut_off_or_not_finite_is_refused(tmp_path):
    whole = b"6 20\n" + b"".join(b"w%d " % i + row.tobytes() for i, row in enumerate(MATRIX))
    assert "after 5 words, expected 6." in refusal(write(tmp_path / "a.bin", whole[:-1]))
    infinite = whole.replace(MATRIX[3].tobytes(), np.full(20, np.inf, np.float32).tobytes())
    assert "the vector of 'w3'" in refusal(write(tmp_path / "b.bin", infinite))


def test_a_header_that_promises_too_much_takes_no_memory(tmp_path):
    path = write(tmp_path / "w.bin", b"999999999999 10000\nword " + bytes(5000))
    tracemalloc.start()
    assert "after 0 words, expected 999999999999." in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_a_compact_file_of_another_kind_is_refused(tmp_path):
    def saved(**arrays) -> str:
        np.savez(tmp_path / "w.npz", **arrays)
        return str(tmp_path / "w.npz")

    words = np.frombuffer(b"a\nb", np.uint8)
    assert "2 words for 6 vectors" in refusal(saved(words=words, vectors=MATRIX))
    assert "vectors.npy" in refusal(saved(words=words))
    assert "words of shape (2,) and type object" in refusal(
        saved(words=np.array(["a", {}], object), vectors=MATRIX[:2])
    )
    assert "type float64" in refusal(saved(words=words, vectors=np.zeros((2, 3))))
    assert "not finite" in refusal(saved(words=words, vectors=np.full((2, 3), np.nan, np.float32)))
    assert "cannot be read" in refusal(write(tmp_path / "w.npz", b"no archive"))


def test_a_compact_file_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 100)})
    words = io.BytesIO()
    np.save(words, np.frombuffer(b"a", np.uint8))
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("words.npy", words.getvalue())
        archive.writestr("vectors.npy", header.getvalue())
    assert "vectors of shape (1000000000000, 100)" in refusal(str(tmp_path / "w.npz"))


def test_a_missing_file_names_those_spelled_like_it(tmp_path):
    write(tmp_path / "glove.txt", TEXT)
    assert "Did you mean glove.txt?" in refusal(str(tmp_path / "glov.txt"))


# Names of gensim-data


def test_a_name_is_downloaded_and_read_without_running_its_code(tmp_path, monkeypatch, capsys):
    import gensim.downloader

    def load(name, return_path=False):
        assert name == "glove-wiki-gigaword-100" and return_path
        print("[====] 100%")
        return write(tmp_path / "downloaded.gz", gzip.compress(("6 20\n" + TEXT).encode()))

    monkeypatch.setattr(gensim.downloader, "load", load)
    assert same(load_vectors("glove-wiki-gigaword-100"))
    assert capsys.readouterr().out == ""  # where predictions go


def test_a_name_that_cannot_be_downloaded_says_what_to_do(monkeypatch):
    import gensim.downloader

    def load(name, return_path=False):
        raise ValueError("unable to read local cache")

    monkeypatch.setattr(gensim.downloader, "load", load)
    assert "Give the path of a vectors file" in refusal("glove-wiki-gigaword-100")


# The cache


def test_the_second_load_is_memory_mapped_and_does_not_parse(tmp_path, monkeypatch):
    path = write(tmp_path / "w.txt", TEXT)
    load_vectors(path)
    monkeypatch.setattr(module, "read_blocks", None)
    again = load_vectors(path)
    assert same(again) and isinstance(again.matrix, np.memmap)


def test_a_changed_file_is_parsed_anew(tmp_path):
    path = write(tmp_path / "w.txt", TEXT)
    load_vectors(path)
    write(tmp_path / "w.txt", TEXT.replace("the ", "THE "))
    os.utime(path, ns=(0, 1))
    assert load_vectors(path).words[0] == "THE"


@pytest.mark.parametrize("kind", ["npy", "txt"])
@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"\xff" + data])
def test_a_damaged_entry_is_rebuilt(tmp_path, kind, damage):
    path = write(tmp_path / "w.txt", TEXT)
    load_vectors(path)
    (entry,) = (tmp_path / "cache").glob(f"*.{kind}")
    entry.write_bytes(damage(entry.read_bytes()))
    assert same(load_vectors(path))
    assert [file.suffix for file in sorted((tmp_path / "cache").iterdir())] == [".npy", ".txt"]


def test_a_cache_that_cannot_be_written_only_warns(tmp_path, monkeypatch):
    path = write(tmp_path / "w.txt", TEXT)
    monkeypatch.setenv("SEQLOOM_CACHE", f"{path}/inside-a-file")
    with pytest.warns(UserWarning, match="cannot keep the parsed vectors"):
        assert same(load_vectors(path))


def test_the_cache_stands_where_the_environment_says(tmp_path, monkeypatch):
    path = write(tmp_path / "w.txt", TEXT)
    monkeypatch.delenv("SEQLOOM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    load_vectors(path)
    assert len(list((tmp_path / "xdg" / "seqloom").glob("*.npy"))) == 1


def test_without_a_home_the_environment_must_say_where(tmp_path, monkeypatch):
    for name in ("SEQLOOM_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with pytest.raises(DataError, match=r"no home folder .* Set SEQLOOM_CACHE"):
        load_vectors(write(tmp_path / "w.txt", TEXT))


# Training


SENTENCES = [
    ["red", "apple", "sweet"],
    ["red", "cherry", "sweet"],
    ["old", "engine", "loud"],
    ["new", "engine", "loud"],
]


@pytest.mark.parametrize("method", ["word2vec", "fasttext"])
def test_training_is_the_same_in_another_process(method):
    code = f"""
import sys
from toolkit.data.vectors import train_vectors
vectors = train_vectors({SENTENCES!r} * 5, method={method!r}, units=8, epochs=2, min_count=2, seed=3)
sys.stdout.buffer.write(" ".join(vectors.words).encode() + vectors.matrix.tobytes())
"""
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    options = {"method": method, "units": 8, "epochs": 2, "min_count": 2}
    own = train_vectors(iter(SENTENCES * 5), **options, seed=3)
    assert other.stdout == " ".join(own.words).encode() + own.matrix.tobytes()
    assert not np.array_equal(own.matrix, train_vectors(SENTENCES * 5, **options, seed=4).matrix)


def test_training_brings_words_of_like_contexts_together():
    random = np.random.default_rng(0)
    topics = [[f"{topic}{i}" for i in range(20)] for topic in ("a", "b")]
    sentences = [random.choice(topics[i % 2], 8).tolist() for i in range(600)]
    vectors = train_vectors(sentences, method="word2vec", units=10, epochs=10, min_count=1, seed=0)
    assert all(near.startswith("a") for near, _ in neighbours(vectors, "a0", 15))


def test_training_keeps_only_frequent_words():
    vectors = train_vectors([*SENTENCES, ["red"]], method="word2vec", units=4, epochs=1, min_count=3, seed=0)
    assert vectors.words == ["red"]
    with pytest.raises(DataError, match="no word occurs 9 times"):
        train_vectors(SENTENCES, method="fasttext", units=4, epochs=1, min_count=9, seed=0)


# Vocabularies


def english() -> WordVectors:
    """Words whose vector is the mean of those of their stem and their ending."""
    random = np.random.default_rng(0)
    parts = {part: random.normal(size=16) for part in [*STEMS, *ENDINGS]}
    words = [stem + ending for stem in STEMS for ending in ENDINGS]
    return WordVectors(words, np.array([parts[s] + parts[e] for s in STEMS for e in ENDINGS], np.float32))


STEMS = ["walk", "talk", "jump", "paint", "climb", "laugh", "listen", "wander", "gather", "borrow"]
ENDINGS = ["ing", "ers", "able", "ment"]


def test_a_word_takes_its_own_vector_or_that_of_its_lower_case(tmp_path):
    vectors = WordVectors(["apple", "Bush", "bush"], np.eye(3, dtype=np.float16))
    matrix, found = build_matrix(["Bush", "APPLE", "bush", "zzz"], vectors, seed=0)
    assert found.tolist() == [True, True, True, False] and matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix[:3], np.eye(3)[[1, 0, 2]])


def test_a_word_without_a_vector_is_predicted_from_its_parts():
    whole = english()
    hidden = ["walkers", "listening", "climbable", "gatherment"]
    kept = [row for row, word in enumerate(whole.words) if word not in hidden]
    vectors = WordVectors([whole.words[row] for row in kept], whole.matrix[kept])
    matrix, found = build_matrix(hidden, vectors, seed=0)
    true = whole.matrix[[whole.index[word] for word in hidden]]

    def cosine(guess):
        return np.sum(guess * true, axis=1) / np.linalg.norm(guess, axis=1) / np.linalg.norm(true, axis=1)

    assert not found.any()
    assert cosine(matrix).mean() > 0.7 > 2 * cosine(np.broadcast_to(vectors.matrix.mean(axis=0), true.shape)).mean()


def test_a_word_like_no_other_is_random_by_its_seed_and_finite():
    vectors = english()
    words = ["北京", "Ω", ""]
    with np.errstate(all="raise"):
        first, again, other = (build_matrix(words, vectors, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.isfinite(first).all() and not np.allclose(first, other) and not np.allclose(first[0], first[1])


@pytest.mark.parametrize("number", [0.0, 1.0, 1e38])
@pytest.mark.filterwarnings("ignore:overflow")
def test_vectors_that_cannot_be_scaled_are_refused(number):
    matrix = np.full((3, 4), number, np.float32) * [[1], [1], [-1 if number > 1 else 1]]
    with pytest.raises(DataError, match=r"vectors\.source: .* expected a finite one above 0"):
        scaled(matrix.astype(np.float32), "vectors.source")


def test_one_known_word_or_no_unknown_one_is_enough():
    vectors = WordVectors(["one"], np.ones((1, 3), np.float32))
    assert np.isfinite(build_matrix(["two", "ones"], vectors, seed=0)[0]).all()
    assert build_matrix([], vectors, seed=0)[0].shape == (0, 3)


def test_held_out_words_of_real_vectors_are_predicted_better_than_by_their_mean():
    sample = Path(__file__).parents[2] / "configs" / "samples" / "glove.6B.100d.10k.npz"
    vectors = load_vectors(str(sample))
    hidden = np.arange(5000, 10_000, 25)
    kept = np.setdiff1d(np.arange(10_000), hidden)
    known = WordVectors([vectors.words[row] for row in kept], vectors.matrix[kept])
    guess, _ = build_matrix([vectors.words[row] for row in hidden], known, seed=0)
    true = vectors.matrix[hidden].astype(np.float32)

    def cosine(guess):
        return float(np.mean(np.sum(guess * true, 1) / np.linalg.norm(guess, axis=1) / np.linalg.norm(true, axis=1)))

    assert cosine(guess) > 0.1 + cosine(np.broadcast_to(known.matrix.astype(np.float32).mean(axis=0), true.shape))


def test_coverage_counts_types_and_tokens_and_names_the_most_frequent_without():
    vectors = WordVectors(["a", "b"], np.eye(2, dtype=np.float32))
    counts = {"a": 6, "B": 1, "x": 1, "y": 2, **{f"z{i}": 0 for i in range(20)}}
    found = coverage(counts, vectors)
    assert found["types"] == pytest.approx(2 / 24) and found["tokens"] == pytest.approx(0.7)
    assert found["missing"][:2] == ["y", "x"] and len(found["missing"]) == 10
    assert coverage({}, vectors) == {"types": 0.0, "tokens": 0.0, "missing": []}


# Neighbours


PLANE = WordVectors(
    ["east", "north", "north-east", "west", "a - b"],
    np.array([[2, 0], [0, 3], [1, 1], [-1, 0], [0, -1]], np.float32),
)


def test_neighbours_are_ranked_by_cosine_without_the_word_itself():
    assert neighbours(PLANE, "east", 2) == [("north-east", pytest.approx(0.5**0.5)), ("north", pytest.approx(0))]
    assert [word for word, _ in neighbours(PLANE, "East", 99)] == ["north-east", "north", "a - b", "west"]
    assert neighbours(PLANE, "east", 0) == []


def test_words_are_added_and_subtracted_at_length_one():
    assert neighbours(PLANE, "east + north", 1) == [("north-east", pytest.approx(1))]
    assert neighbours(PLANE, "north - east", 1) == [("west", pytest.approx(0.5**0.5))]
    assert neighbours(PLANE, "a - b", 1)[0][0] in ("east", "west")  # a word, for it is one of the words


def test_an_unknown_word_names_those_spelled_like_it():
    with pytest.raises(DataError, match=r"'nort' has no vector\. Did you mean north"):
        neighbours(PLANE, "east - nort")


def test_loading_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_vectors(write(tmp_path / "w.txt", "6 20\n" + TEXT.replace("a-b", ". .")))
