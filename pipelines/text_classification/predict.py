"""From texts to labels with a run folder. Starts without Keras and TensorFlow."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toolkit.artifact import Artifact
from toolkit.data.rows import text_column
from toolkit.data.text import RESERVED, EncodedTexts, TextEncoder
from toolkit.errors import COPY_AGAIN, ArtifactError
from toolkit.evaluation.decisions import Policy
from toolkit.evaluation.linear import LinearMember
from toolkit.runtime import Runtime

NAME = "text_classification"
LINEAR, LINEAR_ARRAYS, CENTROIDS = "linear.json", "linear.safetensors", "centroids.npy"
DECISION = "decision.json"
WINDOW = 4096  # texts read ahead and sorted by length, so that batches hold little padding
BATCH_WORDS = 16_384  # of one call at most, which bounds the memory
CACHED_WORDS = 2880  # of one call, so that its states stay in a core's cache, unless it has too few rows
LEAST_ROWS = {False: 24, True: 64}  # of a call that is worth it, in ONNX Runtime and in the kernel


class Prediction(NamedTuple):
    """A decision on one text."""

    ids: tuple[int, ...]  # of the labels in the policy, most probable first; empty: none of them
    probabilities: np.ndarray  # (labels,)


class Scorer:
    """Texts to logits, through the exported graph.

    Args:
        graph: the bytes of model.onnx.
        vocabulary: the content of vocabulary.json.

    Attributes:
        linear: what is averaged with the networks, if anything.
    """

    def __init__(self, graph: bytes, vocabulary: dict[str, Any]):
        self.encoder = TextEncoder(**vocabulary)
        self.runtime = Runtime(graph)
        self.linear: LinearMember | None = None

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Shapes: -> logits (texts, labels); pooled features (texts, features)."""
        return self.start(texts)()

    def start(self, texts: Sequence[str]) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
        """Begin to score in the background; call what is returned to wait for the result."""
        encoded = self.encoder.encode(texts)
        lengths = encoded.lengths
        self.runtime.expect(int(lengths.sum()))
        order = np.argsort(lengths, kind="stable")
        batches = _batches(order, lengths[order], LEAST_ROWS[self.runtime.fused])
        futures = [self.runtime.pool.submit(self._run, encoded, rows) for rows in batches]
        # The linear model is computed while the networks run.
        combine = partial(self.linear.combine, self.linear.model.logits(texts)) if self.linear else None

        def finish() -> tuple[np.ndarray, np.ndarray]:
            parts = [future.result() for future in futures]
            back = np.argsort(order)
            logits, features = (np.concatenate([part[name] for part in parts])[back] for name in ("logits", "features"))
            return combine(logits) if combine else logits, features

        return finish

    def _run(self, encoded: EncodedTexts, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Whichever thread runs rows pads them too: one that padded all would hold up the others' next calls."""
        return self.runtime.run(self.encoder.inputs(encoded, rows))


def _batches(order: np.ndarray, lengths: np.ndarray, least: int) -> Iterator[np.ndarray]:
    """Cut rows that are sorted by length into batches of bounded size; of at least so many rows while memory lasts."""
    start, sizes = 0, lengths.tolist()
    for stop in range(1, len(order) + 1):
        words = (stop + 1 - start) * sizes[stop] if stop < len(order) else BATCH_WORDS + 1  # with one row more
        if words > BATCH_WORDS or (words > CACHED_WORDS and stop - start >= least):
            yield order[start:stop]
            start = stop


class Classifier:
    """A run folder, ready to classify.

    Raises:
        ArtifactError: the folder is damaged, unfinished or of another pipeline.
    """

    def __init__(self, folder: str | Path):
        artifact = Artifact(folder, NAME)
        self.text_column = str(artifact.manifest.get("text_column", "text"))
        self.header = artifact.manifest.get("header", not self.text_column.isdecimal()) is True
        with ThreadPoolExecutor(1) as reader:
            graph = reader.submit(artifact.read_bytes, "model.onnx")
            import onnxruntime  # noqa: F401  # which takes as long as a file with a table of words

            vocabulary = artifact.read_json("vocabulary.json")
            _check_vocabulary(vocabulary, str(artifact.folder / "vocabulary.json"))
        self.scorer = Scorer(graph.result(), vocabulary)
        self.policy = Policy.from_json(
            artifact.read_json(DECISION), _read_centroids(artifact), str(artifact.folder / DECISION)
        )
        self._check_graph(str(artifact.folder))
        self.scorer.linear = _read_linear(artifact, len(self.policy.labels))

    def classify(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """Decisions in the order of the texts; reads a window of texts at a time. A blank text gets no label.

        Raises:
            TypeError: it is given one text, whose characters would be texts.
        """
        if isinstance(texts, str):
            raise TypeError("found one text, expected a list of texts: classify([text]).")
        texts = iter(texts)
        window, finish = self._begin(texts)
        while window:
            following = self._begin(texts)  # its words are looked up while this window's network runs
            logits, features = finish()
            probabilities, decisions = self.policy.probabilities(logits), self.policy.decide(logits, features)
            for text, row, chosen in zip(window, probabilities, decisions, strict=True):
                yield Prediction(chosen if text.strip() else (), row)
            window, finish = following

    def column(self, asked: str | None) -> tuple[str, bool]:
        """The column of the texts in tables, and whether names stand above: those of training but for what is asked."""
        return text_column(asked, self.text_column, self.header)

    def _check_graph(self, where: str) -> None:
        """Refuse parts of different runs, before they answer nonsense."""
        runtime, inputs = self.scorer.runtime, {"tokens", "lengths"}
        inputs |= {"unknown_ngrams"} if self.scorer.encoder.buckets else set()
        labels = (runtime.outputs.get("logits") or [None])[-1]
        if set(runtime.inputs) != inputs or "features" not in runtime.outputs or labels != len(self.policy.labels):
            raise ArtifactError(
                f"model.onnx takes {', '.join(runtime.inputs)} and scores {labels} labels, expected"
                f" {', '.join(sorted(inputs))} and {len(self.policy.labels)} labels.",
                where=where,
                mend=f"Its files are of different runs. {COPY_AGAIN}",
            )

    def _begin(self, texts: Iterator[str]) -> tuple[list[str], Callable[[], tuple[np.ndarray, np.ndarray]]]:
        window = list(islice(texts, WINDOW))
        return window, self.scorer.start(window)


def _read_centroids(artifact: Artifact) -> np.ndarray | None:
    """The centres of the labels in a run that measures distances from them."""
    if CENTROIDS not in artifact.manifest["files"]:
        return None
    try:
        return np.lib.format.read_array(io.BytesIO(artifact.read_bytes(CENTROIDS)), allow_pickle=False)
    except ValueError as error:
        where = str(artifact.folder / CENTROIDS)
        raise ArtifactError(f"these centres cannot be read: {error}.", where=where) from error


def _read_linear(artifact: Artifact, labels: int) -> LinearMember | None:
    """The linear model of a run that has one."""
    if LINEAR not in artifact.manifest["files"]:
        return None
    arrays, where = artifact.read_weights(LINEAR_ARRAYS), str(artifact.folder / LINEAR)
    return LinearMember.from_json(artifact.read_json(LINEAR), arrays, labels, where)


def _check_vocabulary(vocabulary: Any, where: str) -> None:
    """Refuse what `prepare` cannot have written and what would take the machine's memory."""
    largest = {"max_tokens": 100_000, "multiple": 100_000, "buckets": 10_000_000}
    least = {"max_tokens": 1, "multiple": 1, "buckets": 0}
    names = signature(TextEncoder).parameters
    needed = {name for name, each in names.items() if each.default is each.empty}
    try:
        words = vocabulary["words"]
        fits = (
            needed <= vocabulary.keys() <= names.keys()
            and all(type(vocabulary.get(name, False)) is bool for name in ("lowercase", "punctuation", "capitals"))
            and all(type(vocabulary[name]) is int for name in largest)
            and all(least[name] <= vocabulary[name] <= most for name, most in largest.items())
            and tuple(words[:2]) == RESERVED
            and len(words) == len({word for word in words if isinstance(word, str)})
        )
    except (TypeError, KeyError, AttributeError):
        fits = False
    if not fits:
        raise ArtifactError("this is not a vocabulary.", where=where, mend=COPY_AGAIN)
