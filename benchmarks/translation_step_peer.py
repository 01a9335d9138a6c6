"""The PyTorch side of translation_step.py, which starts it."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from workers import listen

START, SIZE, UNITS = 2, 256, 256


class Translator(nn.Module):
    def __init__(self, pieces: int, bahdanau: bool):
        super().__init__()
        self.bahdanau = bahdanau
        self.source = nn.Embedding(pieces, SIZE)
        self.target = nn.Embedding(pieces, SIZE)
        self.encoder = nn.GRU(SIZE, UNITS, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * UNITS, 2 * UNITS)
        self.cell = nn.LSTMCell(SIZE + UNITS, UNITS)
        self.keys = nn.Linear(2 * UNITS, UNITS, bias=False)
        if bahdanau:
            self.query = nn.Linear(UNITS, UNITS)
            self.energy = nn.Linear(UNITS, 1, bias=False)
        self.combine = nn.Linear(3 * UNITS, UNITS)
        self.output = nn.Linear(UNITS, pieces)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        memory, final = self.encoder(self.source(source))
        h, c = torch.tanh(self.bridge(torch.cat([final[0], final[1]], -1))).chunk(2, -1)
        return memory, self.keys(memory), (h, c)

    def step(self, words: Tensor, states, fed: Tensor, memory: Tensor, keys: Tensor):
        """Shapes: words (sentences * beams, size), memory and keys (sentences, source, ...)."""
        h, c = self.cell(torch.cat([words, fed], -1), states)
        if self.bahdanau:
            queries = self.query(h).view(memory.shape[0], -1, 1, UNITS)
            scores = self.energy(torch.tanh(queries + keys[:, None])).squeeze(-1)
        else:
            scores = h.view(memory.shape[0], -1, UNITS) @ keys.transpose(1, 2)
        context = torch.softmax(scores, -1) @ memory
        fed = torch.tanh(self.combine(torch.cat([h, context.reshape(h.shape[0], -1)], -1)))
        return (h, c), fed

    def forward(self, source: Tensor, before: Tensor) -> Tensor:
        memory, keys, states = self.encode(source)
        fed, outputs = torch.zeros_like(states[0]), []
        for words in self.target(before).unbind(1):
            states, fed = self.step(words, states, fed, memory, keys)
            outputs.append(fed)
        return self.output(torch.stack(outputs, 1))

    def load(self, weights: Mapping[str, np.ndarray]) -> None:
        """Keras weights, whose gates come in PyTorch's order for an LSTM, and z before r for a GRU."""

        def swapped(array: np.ndarray) -> np.ndarray:
            z, r, h = np.split(array, 3, axis=-1)
            return np.concatenate([r, z, h], axis=-1)

        values = {"source.weight": weights["source_embedding/embeddings"]}
        values["target.weight"] = weights["target_embedding/embeddings"]
        for name, ending in (("forward", ""), ("backward", "_reverse")):
            part = f"encoder/layer0_{name}/gru_cell"
            values[f"encoder.weight_ih_l0{ending}"] = swapped(weights[f"{part}/kernel"]).T
            values[f"encoder.weight_hh_l0{ending}"] = swapped(weights[f"{part}/recurrent_kernel"]).T
            values[f"encoder.bias_ih_l0{ending}"], values[f"encoder.bias_hh_l0{ending}"] = map(
                swapped, weights[f"{part}/bias"]
            )
        cell = "decoder/layer0/lstm_cell"
        values["cell.weight_ih"] = weights[f"{cell}/kernel"].T
        values["cell.weight_hh"] = weights[f"{cell}/recurrent_kernel"].T
        values["cell.bias_ih"] = weights[f"{cell}/bias"]
        values["cell.bias_hh"] = np.zeros_like(weights[f"{cell}/bias"])
        for ours, theirs in (
            ("bridge", "decoder/bridge"),
            ("query", "decoder/attention/query"),
            ("keys", "decoder/attention/memory"),
            ("keys", "decoder/attention/projection"),
            ("energy", "decoder/attention/energy"),
            ("combine", "decoder/combine"),
            ("output", "output"),
        ):
            if f"{theirs}/kernel" in weights:
                values[f"{ours}.weight"] = weights[f"{theirs}/kernel"].T
            if f"{theirs}/bias" in weights:
                values[f"{ours}.bias"] = weights[f"{theirs}/bias"]
        self.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in values.items()})


@torch.inference_mode()
def beam_search(model: Translator, source: Tensor, steps: int, beam: int) -> tuple[Tensor, Tensor]:
    """The best hypothesis of each sentence after so many steps, of which none is END, and its log-probability.

    Shapes: source (sentences, source) -> (sentences, steps); (sentences,)
    """
    sentences = source.shape[0]
    memory, keys, states = model.encode(source)
    tokens, fed = torch.full((sentences, 1), START), torch.zeros_like(states[0])
    totals, texts = torch.zeros(sentences, 1), torch.zeros(sentences, 1, 0, dtype=torch.long)
    first = torch.arange(sentences)[:, None]
    for _ in range(steps):
        beams = tokens.shape[1]
        states, fed = model.step(model.target(tokens.flatten()), states, fed, memory, keys)
        scores = torch.log_softmax(model.output(fed), -1).view(sentences, beams, -1) + totals[:, :, None]
        pieces = scores.shape[-1]
        totals, best = scores.flatten(1).topk(beam)
        parents, tokens = best // pieces, best % pieces
        rows = (first * beams + parents).flatten()
        states, fed = (states[0][rows], states[1][rows]), fed[rows]
        texts = torch.cat([texts.gather(1, parents[:, :, None].expand(-1, -1, texts.shape[2])), tokens[:, :, None]], 2)
    return texts[:, 0], totals[:, 0]


def load(folder: Path, name: str, attention: str) -> Translator:
    weights = dict(np.load(folder / name))
    model = Translator(len(weights["source_embedding/embeddings"]), attention == "bahdanau")
    model.load(weights)
    return model


def train(folder: Path, attention: str) -> None:
    questions, answer = listen()
    batch = {name: torch.from_numpy(array).long() for name, array in np.load(folder / "batch.npz").items()}
    model = load(folder, "weights.npz", attention)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def loss() -> Tensor:
        logits = model(batch["source"], batch["before"])
        return F.cross_entropy(logits.flatten(0, 1), batch["after"].flatten(), label_smoothing=0.1)

    answer(loss().item())
    for steps in questions:
        started = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad()
            value = loss()
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            value.item()
        answer((time.perf_counter() - started) / steps)


def search(folder: Path, attention: str, beam: int) -> None:
    questions, answer = listen()
    model = load(folder, "sharper.npz", attention)
    source = torch.from_numpy(np.load(folder / "sources.npy")).long()
    answer([each.tolist() for each in beam_search(model, source, source.shape[1], beam)])
    for _ in questions:
        started = time.perf_counter()
        beam_search(model, source, source.shape[1], beam)
        answer(time.perf_counter() - started)


if __name__ == "__main__":
    folder, threads, attention, role = sys.argv[1:]
    torch.set_num_threads(int(threads))
    if role == "train":
        train(Path(folder), attention)
    else:
        search(Path(folder), attention, int(role))
