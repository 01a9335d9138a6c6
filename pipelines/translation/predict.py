"""From texts to translations with a run folder. Starts without Keras and TensorFlow."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count, islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipelines.translation.pieces import PairCodec, Source
from toolkit.artifact import Artifact
from toolkit.data.codec import END, START, UNKNOWN
from toolkit.data.rows import text_column
from toolkit.data.sentences import join_sentences
from toolkit.errors import COPY_AGAIN, ArtifactError, expect, intact
from toolkit.kernels import prediction, search
from toolkit.runtime import Runtime
from toolkit.search import Candidates, Hypothesis, SearchSettings, beam_search, greedy
from toolkit.threads import Pool

NAME = "translation"
PIECES, FACTS = "pieces.json", "translation.json"
SETTINGS = {"beam": 100, "length_penalty": 10, "coverage_penalty": 10, "block_ngrams": 20}  # of a search; at most
WINDOW = 2048  # texts read ahead and sorted by length, so that batches hold little padding
BATCH_ROWS, BATCH_PIECES = 128, 4096  # bounds of one search, which bound the memory


Known = dict[str, np.ndarray]  # what a member carries from step to step
CARRIED: tuple[str, ...] = ("memory", "keys", "lengths", "copies", "state")


class Translation(NamedTuple):
    """A translated text.

    Args:
        score: what the search ranked it by.
        pieces, source_pieces, weights: what was written and read, and the attention between them (target, source).
        others: further translations with their scores, best first.
        truncated: whether the end of the text was not read.
        finished: whether it ended by itself, and not at the most pieces that it may have.
    """

    text: str
    score: float
    pieces: list[str]
    source_pieces: list[str]
    weights: np.ndarray | None
    others: list[tuple[str, float]]
    truncated: bool
    finished: bool = True


class Facts(NamedTuple):
    """How a run translates unless told otherwise; `split`: long sources are translated in parts; `header`: names stand
    above the columns of tables."""

    settings: SearchSettings
    replace_unknown: bool
    split: bool
    source_column: str
    header: bool

    @classmethod
    def from_json(cls, value: Any, where: str) -> "Facts":
        """What training wrote.

        Raises:
            ArtifactError: anything that it cannot have written.
        """
        with intact("these settings are damaged", where):
            search = value["search"]
            numbers = {name: search[name] for name in SETTINGS}
            within = all(0 <= numbers[name] <= most for name, most in SETTINGS.items())
            expect(within, "its search is beyond reason")
            whole = {name: int(numbers[name]) for name in ("beam", "block_ngrams")}
            settings = SearchSettings(best=1, **{**numbers, **whole})
            split = {"truncate": False, "split": True}[value["long_sources"]]
            column = str(value["source_column"])
            header = bool(value.get("header", not column.isdecimal()))
            return cls(settings, bool(search["replace_unknown"]), split, column, header)


GREEDY = SearchSettings(beam=1, length_penalty=0.0, coverage_penalty=0.0, block_ngrams=0, best=1)
NOTHING = Translation("", 0.0, [], [], None, [], False)


class Member(NamedTuple):
    """The two graphs of a run, and where kernels compute them, the decoder's output layer and its step."""

    encoder: Runtime
    decoder: Runtime
    output: search.OutputLayer | None
    stepper: search.DecoderStep | None

    @classmethod
    def load(cls, encoder: bytes, decoder: bytes) -> "Member":
        graph = Runtime(decoder, name="decoder.onnx")
        return cls(Runtime(encoder, name="encoder.onnx"), graph, *_kernels(graph))

    def best(self, inputs: Known, k: int) -> Known:
        """Scores and best (rows, k), and what else a step gives."""
        if not self.output or k > search.MOST:
            return self.step(inputs, k, "scores", "best")
        if self.stepper:
            known = (inputs[name] for name in ("tokens", "state", "memory", "keys", "lengths"))
            after, weights = self.stepper.step(*known)
            found = {"hidden": after[:, -self.stepper.units :], "next_state": after, "weights": weights}
        else:
            found = self.step(inputs, 0, "hidden")
        scores, best = self.output.best(found["hidden"], min(k, self.output.vocab))
        return {**found, "scores": scores, "best": best}

    def step(self, inputs: Known, k: int, *outputs: str) -> Known:
        """These outputs, the next state, and weights where there is attention."""
        inputs = {**inputs, "k": np.array([k], np.int32)}
        wanted = [*outputs, "next_state", *(["weights"] if "weights" in self.decoder.outputs else [])]
        return self.decoder.run({name: inputs[name] for name in self.decoder.inputs}, wanted)


class Ensemble:
    """The step of one run, or of several whose probabilities are averaged."""

    def __init__(self, members: Sequence[Member]):
        self.members = members
        self.alone = len(members) == 1

    def start(self, inputs: Known) -> list[Known]:
        """What each member knows of its sentences. Shapes: state (sentences, 1, n), others (sentences, ...)."""
        states: list[Known] = []
        for member in self.members:
            state = member.encoder.run({name: inputs[name] for name in member.encoder.inputs})
            state["state"] = state["state"][:, None]
            known = {**inputs, **state}
            states.append({name: known[name] for name in CARRIED if name in known})
        return states

    def step(self, tokens: np.ndarray, state: list[Known], k: int) -> Candidates:
        found = []
        for member, known in zip(self.members, state, strict=True):
            feeds = {
                "tokens": tokens.ravel().astype(np.int32),
                **known,
                "state": known["state"].reshape(tokens.size, -1),
            }
            found.append(member.best(feeds, k) if self.alone else member.step(feeds, 1, "log_probabilities"))
        scores, best = (found[0]["scores"], found[0]["best"]) if self.alone else _best_of_mean(found, k)
        after = [
            {**known, "state": each["next_state"].reshape(*tokens.shape, -1)}
            for known, each in zip(state, found, strict=True)
        ]
        looked = [each["weights"] for each in found if "weights" in each]  # a run without attention has none
        mean = looked[0] if len(looked) == 1 else np.mean(looked, axis=0) if looked else None
        weights = None if mean is None else mean.reshape(*tokens.shape, -1)
        return Candidates(scores.reshape(*tokens.shape, -1), best.reshape(*tokens.shape, -1), after, weights)

    def select(self, state: list[Known], sentences: np.ndarray, beams: np.ndarray) -> list[Known]:
        whole = len(sentences) == len(state[0]["state"])
        return [
            {
                name: array[sentences[:, None], beams] if name == "state" else array if whole else array[sentences]
                for name, array in known.items()
            }
            for known in state
        ]


def _best_of_mean(found: Sequence[Known], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best of the mean of probabilities. Shapes: -> scores, tokens (rows, k)."""
    logs = np.logaddexp.reduce([each["log_probabilities"] for each in found], axis=0) - np.log(len(found))
    k = min(k, logs.shape[1])
    best = np.argpartition(-logs, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(logs, best, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    return np.take_along_axis(logs, best, axis=1), best


class Searcher:
    """Texts to translations.

    Args:
        codec: of the texts.
        members: of one run, or of several that share their target's pieces.
    """

    def __init__(self, codec: PairCodec, members: Sequence[Member]):
        self.codec, self.ensemble = codec, Ensemble(members)
        self.pool = Pool()

    def translate(
        self, texts: Sequence[str], settings: SearchSettings, *, replace_unknown: bool = True, split: bool = False
    ) -> list[Translation]:
        """Translations in the order of the texts. A text without pieces stays empty.

        Args:
            split: translate the sentences of a text one by one where sources to learn from have fewer, and the parts of
                what is too long; else its end is not read.
        """
        if split:
            parts = [self.codec.cut(text) for text in texts]
            whole = self.translate([part for each in parts for part in each], settings, replace_unknown=replace_unknown)
            found = iter(whole)
            return [_joined([next(found) for _ in each]) for each in parts]
        limit = self.codec.limits[0]
        sources = self.codec.read(texts, limit + 1)
        longer = [len(source.ids) > limit for source in sources]
        sources = [source.cut(limit) for source in sources]
        return [
            self._translation(source, hypotheses, truncated, replace_unknown)
            for source, hypotheses, truncated in zip(sources, self.search(sources, settings), longer, strict=True)
        ]

    def search(self, sources: Sequence[Source], settings: SearchSettings) -> list[list[Hypothesis]]:
        """The best hypotheses of each source, in order; none for a source without pieces."""
        lengths = np.array([len(source.ids) for source in sources])
        for member in self.ensemble.members:
            member.encoder.expect(int(lengths.sum()))
        order = np.argsort(-lengths, kind="stable")  # the longest first, so that no core waits for them at the end
        batches = list(_batches(order, lengths[order], settings.beam))
        parts = self.pool.map(lambda rows: self._search([sources[row] for row in rows], settings), batches)
        found: list[list[Hypothesis]] = [[] for _ in sources]
        for rows, part in zip(batches, parts, strict=True):
            for row, hypotheses in zip(rows, part, strict=True):
                found[row] = hypotheses
        return found

    def _search(self, sources: Sequence[Source], settings: SearchSettings) -> list[list[Hypothesis]]:
        lengths = np.array([len(source.ids) for source in sources])
        state = self.ensemble.start(self.codec.inputs(sources, len(sources), int(lengths.max())))
        limits = self.codec.longest(lengths)
        if settings.beam == 1 and not settings.block_ngrams:
            alpha = settings.length_penalty
            return [[each] for each in greedy(self.ensemble, state, limits, start=START, end=END, alpha=alpha)]
        return beam_search(self.ensemble, state, limits, settings, start=START, end=END, lengths=lengths)

    def _translation(
        self, source: Source, hypotheses: list[Hypothesis], truncated: bool, replace_unknown: bool
    ) -> Translation:
        if not hypotheses:
            return NOTHING
        best, *others = hypotheses
        weights = None if best.weights is None else best.weights[:, : len(source.pieces)]
        join = self.codec.target.join
        pieces = self._pieces(source, best, replace_unknown)
        texts = {join(pieces): best.score}
        for other in others:  # several ways to write pieces may give one text
            texts.setdefault(join(self._pieces(source, other, replace_unknown)), other.score)
        (text, score), *rest = texts.items()
        return Translation(text, score, pieces, source.pieces, weights, rest, truncated, best.finished)

    def _pieces(self, source: Source, hypothesis: Hypothesis, replace_unknown: bool) -> list[str]:
        """What was written, unknown pieces replaced by the source's piece that was looked at most."""
        pieces = self.codec.write(source, hypothesis.tokens)
        if replace_unknown and hypothesis.weights is not None and UNKNOWN in hypothesis.tokens:
            looked = hypothesis.weights[:, : len(source.pieces)].argmax(axis=1)
            for place in np.flatnonzero(np.array(hypothesis.tokens) == UNKNOWN):
                pieces[place] = source.pieces[looked[place]]
        return pieces


def _batches(order: np.ndarray, lengths: np.ndarray, beam: int) -> Iterator[np.ndarray]:
    """Cut rows that are sorted by falling length into batches of bounded size; those without pieces are left out."""
    start, pieces = 0, max(BATCH_PIECES * 5 // max(beam, 5), 1)
    while start < len(order) and lengths[start]:
        stop = start + max(1, min(BATCH_ROWS, pieces // int(lengths[start])))
        stop = start + int(np.count_nonzero(lengths[start:stop]))
        yield order[start:stop]
        start = stop


class Translator:
    """A run folder, ready to translate; several are an ensemble.

    Attributes:
        settings: how it searches unless told otherwise.
        layout: whether a translation may have several lines.

    Raises:
        ArtifactError: a folder is damaged, unfinished, of another pipeline, or writes other pieces than the first.
    """

    def __init__(self, *folders: str | Path):
        runs = [_read_run(Path(folder)) for folder in folders]
        codec, self.facts, _ = runs[0]
        self.settings = self.facts.settings
        for folder, (other, _, _) in zip(folders, runs, strict=True):
            if replace(other, limits=codec.limits, growth=codec.growth) != codec:
                raise ArtifactError(
                    f"its pieces are not those of {folders[0]}, so their probabilities cannot be averaged.",
                    where=str(folder),
                    mend="Train the runs of an ensemble on the same pairs, with validation and test as files, since a"
                    " seed draws shares too; or train one run with model.members.",
                )
        self.searcher = Searcher(codec, [member for _, _, members in runs for member in members])
        self.shown, self.layout = codec.target.shown, bool(codec.target.indent)

    def column(self, asked: str | None) -> tuple[str, bool]:
        """The column of the texts in tables, and whether names stand above: those of training but for what is asked."""
        return text_column(asked, self.facts.source_column, self.facts.header)

    def translate(self, texts: Iterable[str], settings: SearchSettings | None = None) -> Iterator[Translation]:
        """Translations in the order of the texts; reads a window of texts at a time. A blank text stays empty.

        Raises:
            TypeError: it is given one text, whose characters would be texts.
        """
        if isinstance(texts, str):
            raise TypeError("found one text, expected a list of texts: translate([text]).")
        settings, facts, texts = settings or self.settings, self.facts, iter(texts)
        while window := list(islice(texts, WINDOW)):
            yield from self.searcher.translate(
                window, settings, replace_unknown=facts.replace_unknown, split=facts.split
            )


def _joined(parts: list[Translation]) -> Translation:
    """The translations of the parts of one text as one."""
    if len(parts) == 1:
        return parts[0]
    lists = [[(part.text, part.score), *part.others] for part in parts]
    ranks = range(max(map(len, lists)))  # best with best, and so on; of a part that has no more, its last
    best, *others = (
        (join_sentences(texts), sum(scores))
        for texts, scores in (zip(*(each[min(rank, len(each) - 1)] for each in lists), strict=True) for rank in ranks)
    )
    return Translation(
        *best,
        pieces=[piece for part in parts for piece in part.pieces],
        source_pieces=[piece for part in parts for piece in part.source_pieces],
        weights=None,
        others=others,
        truncated=any(part.truncated for part in parts),
        finished=all(part.finished for part in parts),
    )


def _read_run(folder: Path) -> tuple[PairCodec, Facts, list[Member]]:
    artifact = Artifact(folder, NAME)
    facts = Facts.from_json(artifact.read_json(FACTS), str(folder / FACTS))
    names = list(takewhile(lambda each: each[0] in artifact.manifest["files"], map(graph_names, count(1))))
    with ThreadPoolExecutor(1) as reader:
        graphs = [[reader.submit(artifact.read_bytes, name) for name in each] for each in names or [graph_names(1)]]
        import onnxruntime  # noqa: F401  # which takes as long as the files

        codec = PairCodec.from_json(artifact.read_json(PIECES), str(folder / PIECES))
        members = [Member.load(*(graph.result() for graph in each)) for each in graphs]
    for member in members:
        _check_graphs(member, codec, str(folder))
    if facts.settings.coverage_penalty and not any("weights" in member.decoder.outputs for member in members):
        raise ArtifactError("its search has a coverage penalty, which needs attention.", where=str(folder / FACTS))
    return codec, facts, members


def _kernels(decoder: Runtime) -> tuple[search.OutputLayer | None, search.DecoderStep | None]:
    """The output layer of a decoder and its step, where there is a kernel and the graph offers what they read."""
    names = ("output_kernel", "output_bias")
    if not {"hidden", *names} <= decoder.outputs.keys() or not prediction.load()[0]:
        return None, None
    cell = next((cell for cell in prediction.KINDS if f"{cell}_gates" in decoder.outputs), "")
    needed = ("words", f"{cell}_gates", "gates_bias", "combine_kernel", "combine_bias")
    asked = [name for name in ("query_kernel", "query_bias", "energy") if name in decoder.outputs]
    with intact("its weights do not fit one another", decoder.name):
        output = search.OutputLayer(*decoder.constants(*names))
        stepper = search.DecoderStep(cell, *decoder.constants(*needed, *asked)) if cell else None
        read = stepper.units if stepper else output.features
        fits = {output.features, decoder.outputs["hidden"][-1]} == {read}
        expect(fits, f"the output layer reads {output.features} numbers")
    return output, stepper


def graph_names(member: int) -> tuple[str, str]:
    """The files of a member's encoder and decoder, counted from 1."""
    number = "" if member == 1 else member
    return f"encoder{number}.onnx", f"decoder{number}.onnx"


def _check_graphs(member: Member, codec: PairCodec, where: str) -> None:
    """Take one step, lest parts of different runs answer nonsense."""
    source, expected = Source([len(codec.source.pieces) - 1], [""], [codec.target_size], [[]]), codec.target_size
    mend = f"Its files are of different runs. {COPY_AGAIN}"
    ensemble = Ensemble([member])
    try:
        state = ensemble.start(codec.inputs([source], 1, 1))
        found = ensemble.step(np.array([[START]]), state, expected + 2).tokens.shape[-1]
    except KeyError as error:
        raise ArtifactError(f"its graphs read {error}, which it does not have.", where=where, mend=mend) from error
    except ValueError as error:
        raise ArtifactError(f"its graphs do not fit one another: {error}.", where=where, mend=mend) from error
    if found - codec.copies != expected:
        raise ArtifactError(
            f"decoder.onnx writes {found - codec.copies} pieces, expected {expected}.", where=where, mend=mend
        )
