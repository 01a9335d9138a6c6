"""The JoeyNMT side of joeynmt_pairs.py, which starts it."""

import importlib.metadata
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sacremoses import MosesTokenizer
from subword_nmt.apply_bpe import BPE
from subword_nmt.learn_bpe import learn_bpe
from workers import listen

SPECIALS = ("<unk>", "<pad>", "<s>", "</s>")
MERGES = 7900  # some of which leave no piece


def learn(folder: Path) -> None:
    """Joint sub-words, of what the Moses tokenizer makes of the training files, by subword-nmt."""
    lines = []
    for side in ("en", "de"):
        tokenize = MosesTokenizer(lang=side).tokenize
        text = (folder / f"train.{side}").read_text(encoding="utf-8")
        lines += [tokenize(line, return_str=True) for line in text.splitlines()]
    with (folder / "codes").open("w", encoding="utf-8") as stream, redirect_stderr(StringIO()):  # a progress bar
        learn_bpe(lines, stream, MERGES)
    with (folder / "codes").open(encoding="utf-8") as stream:
        split = BPE(stream).process_line
    counts = Counter(piece for line in lines for piece in split(line).split())
    pieces = [piece for piece, _ in counts.most_common(8000 - len(SPECIALS))]
    (folder / "pieces.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")


def settings(folder: Path) -> dict[str, Any]:
    """A JoeyNMT config."""
    side = {
        "level": "bpe",
        "tokenizer_type": "subword-nmt",
        "voc_file": str(folder / "pieces.txt"),
        "tokenizer_cfg": {"codes": str(folder / "codes"), "pretokenizer": "moses"},
    }
    network = {"embeddings": {"embedding_dim": 256, "dropout": 0.3}, "hidden_size": 256, "dropout": 0.3}
    decoder = {"rnn_type": "lstm", "attention": "bahdanau", "input_feeding": True, "init_hidden": "bridge"}
    data = {name: str(folder / name) for name in ("train", "dev", "test")}
    return {
        "name": "peer",
        "model_dir": str(folder / "theirs"),
        "use_cuda": False,
        "data": {**data, "src": {"lang": "en", **deepcopy(side)}, "trg": {"lang": "de", **deepcopy(side)}},
        "model": {
            "encoder": {"type": "recurrent", "rnn_type": "gru", "bidirectional": True, **network},
            "decoder": {"type": "recurrent", **decoder, "hidden_dropout": 0.3, **network},
        },
        "training": {
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "scheduling": "exponential",
            "decrease_factor": 1.0,
            "clip_grad_norm": 1.0,
            "label_smoothing": 0.1,
            "normalization": "tokens",
            "batch_size": 80,
            "batch_type": "sentence",
            "epochs": 1,
            "logging_freq": 10**6,
            "validation_freq": 10**6,
        },
        "testing": {"beam_size": 5, "beam_alpha": 1.0, "batch_size": 100, "batch_type": "sentence"},
    }


class Timed:
    """The batches of training, which come as questions ask for them, epoch after epoch."""

    def __init__(self, batches: Any, questions: Iterator[Any], answer: Any):
        self.batches, self.questions, self.answer = batches, questions, answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batches, name)

    def __iter__(self) -> Iterator[Any]:
        epochs = (batch for _ in range(1000) for batch in self.batches)
        for seconds in iter(self.questions.__next__, None):
            started, count = time.perf_counter(), 0
            while time.perf_counter() < started + seconds:
                batch = next(epochs)
                yield batch
                count += batch.ntokens
            self.answer(float(count) / (time.perf_counter() - started))


def work(folder: Path) -> None:
    sys.modules.setdefault("importlib_metadata", importlib.metadata)  # which JoeyNMT imports and does not install
    from joeynmt.config import parse_global_args
    from joeynmt.prediction import predict, prepare
    from joeynmt.training import TrainManager

    questions, answer = listen()
    learn(folder)
    config = settings(folder)
    (folder / "theirs").mkdir()
    arguments = parse_global_args(config, rank=0, mode="train")
    model, train, dev, test = prepare(arguments, rank=0, mode="train")
    make_iter = train.make_iter
    train.make_iter = lambda **options: Timed(make_iter(**options), questions, answer)
    answer(float(np.mean([len(target) + 1 for target in train.get_list(lang="de", tokenized=True)])))
    same = {name: getattr(arguments, name) for name in ("model_dir", "device", "n_gpu", "autocast", "seed")}
    trainer = TrainManager(0, model, train_args=arguments.train, dev_args=arguments.test, **same)
    trainer.train_and_validate(train_data=train, valid_data=dev)

    def decode() -> list[list[str]]:
        options = {"compute_loss": False, "device": arguments.device, "args": arguments.test}
        return predict(model=model, data=test, autocast=arguments.autocast, n_gpu=0, **options)[3]

    answer(float(np.mean([len([piece for piece in each if piece not in SPECIALS]) for each in decode()])))
    for _ in questions:
        started = time.perf_counter()
        decode()
        answer(time.perf_counter() - started)


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    work(Path(sys.argv[2]))
