"""The PyTorch side of recurrent_step.py, which starts it."""

import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from workers import listen


class Network(nn.Module):
    """From Keras' weights: the embedding's where there is one, kernels and biases by direction, the dense layer's."""

    def __init__(self, weights: list[np.ndarray], cell: str):
        super().__init__()
        *weights, dense, bias = weights
        self.embedding = nn.Embedding.from_pretrained(torch.tensor(weights.pop(0)), False) if len(weights) % 3 else None
        units = weights[1].shape[0]
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        both = len(weights) == 6
        self.recurrent = kind(weights[0].shape[0], units, batch_first=True, bidirectional=both)
        for at, end in zip(range(0, len(weights), 3), ("", "_reverse"), strict=False):
            kernel, recurrent, biases = (self._arranged(array, cell) for array in weights[at : at + 3])
            biases = biases if cell == "gru" else np.stack([biases, np.zeros_like(biases)])
            values = {"weight_ih": kernel.T, "weight_hh": recurrent.T, "bias_ih": biases[0], "bias_hh": biases[1]}
            for name, value in values.items():
                getattr(self.recurrent, f"{name}_l0{end}").data = torch.tensor(value).contiguous()
        self.dense = nn.Linear(*dense.shape)
        self.dense.weight.data, self.dense.bias.data = torch.tensor(dense.T).contiguous(), torch.tensor(bias)

    @staticmethod
    def _arranged(array: np.ndarray, cell: str) -> np.ndarray:
        if cell == "lstm":
            return array
        z, r, h = np.split(array, 3, axis=-1)
        return np.concatenate([r, z, h], axis=-1)

    def forward(self, inputs: Tensor, lengths: Tensor, role: str) -> Tensor:
        steps = self.embedding(inputs) if self.embedding else inputs
        if role == "packed":
            steps = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
            state = self.recurrent(steps)[1][0]
            return self.dense(state[0])
        outputs, state = self.recurrent(steps)
        if self.recurrent.bidirectional:
            state = state[0] if isinstance(state, tuple) else state
            return self.dense(torch.cat([state[0], state[1]], -1))
        return self.dense(outputs[torch.arange(len(lengths)), lengths - 1])


def main(folder: Path, threads: int, role: str) -> None:
    torch.set_num_threads(threads)
    questions, answer = listen()
    answer("ready")
    for question in questions:
        if isinstance(question, str):
            stored = np.load(folder / "batches.npz")
            names = ("inputs", "targets", "lengths", "batch")
            inputs, targets, lengths, size = (torch.tensor(stored[name]) for name in names)
            targets = targets if targets.is_floating_point() else targets.long()
            order = torch.argsort(lengths) if role == "bucketed" else torch.arange(len(lengths))
            batches = []
            for rows in torch.split(order, int(size)):
                longest = int(lengths[rows].max()) if role == "bucketed" else inputs.shape[1]
                batches.append((inputs[rows, :longest].contiguous(), lengths[rows].long(), targets[rows]))
            cell = "gru" if "gru" in question else "lstm"
            network = Network(list(np.load(folder / "weights.npz").values()), cell)
            optimizer = torch.optim.Adam(network.parameters(), 1e-3, eps=1e-7)
            loss = F.mse_loss if targets.is_floating_point() else F.cross_entropy
            losses = [loss(network(x, n, role), y) for x, n, y in batches]
            torch.stack(losses).mean().backward()
            matrices = [weight.grad for name, weight in network.named_parameters() if "bias" not in name]
            answer([float(torch.stack(losses).detach().mean()), *(float(matrix.norm()) for matrix in matrices)])
        else:
            started = time.perf_counter()
            for _ in range(question):
                for x, n, y in batches:
                    optimizer.zero_grad()
                    loss(network(x, n, role), y).backward()
                    optimizer.step()
            answer((time.perf_counter() - started) / question / len(batches))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
