"""NeuralForecast's recurrent networks trained on ETTh1, 96 hours ahead, as `forecast_training.py` asks.

A worker (see `workers.py`): each question is a model's name, a learning rate, the most training steps, the steps
between two validations and whether numbers too small for a normal float become 0; each answer says after how many steps
the validation error was least, the seconds of training until then, and the test scores of that network. Both sides see
the same rows, z-scored by the training rows, and score every window of all channels.
"""

import copy
import sys
import time
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MAE
from neuralforecast.models import GRU, LSTM
from pytorch_lightning.callbacks import Callback
from workers import listen

TRAIN, VALIDATION, TEST, HORIZON = 8640, 2880, 2880, 96
DATA = Path("../shared/data/ett/ETTh1.csv")
MODELS = {"LSTM": LSTM, "GRU": GRU}
PATIENCE = 4  # validations without a better one


class Best(Callback):
    """Remembers the network of the least validation error, and the seconds of training steps alone until then.

    NeuralForecast trains with a copy of it, so what is found is the class's.
    """

    found: ClassVar[dict[str, float]] = {}

    def __init__(self) -> None:
        self.error, self.spent, self.began = np.inf, 0.0, 0.0
        self.state: dict[str, Any] = {}

    def on_train_batch_start(self, *_: Any) -> None:
        self.began = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        self.spent += time.perf_counter() - self.began

    def on_validation_end(self, trainer: Any, network: Any) -> None:
        error = float(trainer.callback_metrics["ptl/val_loss"])
        print(f"step {trainer.global_step}: validation {error:.4f}, {self.spent:.0f} s", file=sys.stderr, flush=True)
        if error < self.error:
            self.error = error
            Best.found = {"steps": trainer.global_step, "seconds": self.spent, "validation": error}
            self.state = copy.deepcopy(network.state_dict())

    def on_train_end(self, trainer: Any, network: Any) -> None:
        network.load_state_dict(self.state)


def long_frame() -> pd.DataFrame:
    """The seven channels one after the other, in standard deviations of their training rows."""
    table = pd.read_csv(DATA, parse_dates=["date"]).iloc[: TRAIN + VALIDATION + TEST].set_index("date")
    table = (table - table.iloc[:TRAIN].mean()) / table.iloc[:TRAIN].std(ddof=0)
    frame = table.melt(ignore_index=False, var_name="unique_id", value_name="y").reset_index(names="ds")
    return frame[["unique_id", "ds", "y"]]


def train(frame: pd.DataFrame, name: str, rate: float, steps: int, checked: int, flush: bool) -> dict[str, float]:
    torch.set_flush_denormal(flush)
    model = MODELS[name](
        h=HORIZON,
        input_size=336,
        encoder_hidden_size=128,
        loss=MAE(),
        learning_rate=rate,
        batch_size=7,
        max_steps=steps,
        val_check_steps=checked,
        early_stop_patience_steps=PATIENCE,
        scaler_type="standard",
        random_seed=1,
        callbacks=[Best()],
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
    )
    forecast = NeuralForecast(models=[model], freq="h")
    scored = forecast.cross_validation(frame, val_size=VALIDATION, test_size=TEST, n_windows=None, step_size=1)
    error = scored[name] - scored["y"]
    scores = {"mse": float(np.mean(error**2)), "mae": float(np.mean(np.abs(error)))}
    return {**Best.found, **scores}


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(sys.argv[1]))
    questions, answer = listen()
    frame = long_frame()
    answer("ready")
    for question in questions:
        answer(train(frame, *question))


if __name__ == "__main__":
    main()
