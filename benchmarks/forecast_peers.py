"""Seconds of training that NeuralForecast's LSTM and GRU need for their best score on ETTh1, 96 hours ahead.

    PEER_PYTHON benchmarks/forecast_peers.py [STEPS [LSTM GRU]]

PEER_PYTHON is a Python with `neuralforecast` and `torch==2.13.0`, in an environment of its own; run it beside
`seqloom run benchmarks/etth1_96.yaml` on the same machine. Both see the same rows, z-scored by the training rows, and
choose the step on the same validation rows; the test scores are over all windows, stride 1, all seven channels.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MAE
from neuralforecast.models import GRU, LSTM

TRAIN, VALIDATION, TEST, HORIZON = 8640, 2880, 2880, 96
DATA = Path("../shared/data/ett/ETTh1.csv")
MODELS = {"LSTM": LSTM, "GRU": GRU}


def long_frame() -> pd.DataFrame:
    """The seven channels one after the other, in standard deviations of their training rows."""
    table = pd.read_csv(DATA, parse_dates=["date"]).iloc[: TRAIN + VALIDATION + TEST].set_index("date")
    table = (table - table.iloc[:TRAIN].mean()) / table.iloc[:TRAIN].std(ddof=0)
    frame = table.melt(ignore_index=False, var_name="unique_id", value_name="y").reset_index(names="ds")
    return frame[["unique_id", "ds", "y"]]


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    frame = long_frame()
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    for name in sys.argv[2:] or MODELS:
        model = MODELS[name](
            h=HORIZON,
            input_size=336,
            encoder_hidden_size=128,
            recurrent=False,
            loss=MAE(),
            learning_rate=1e-3,
            batch_size=7,
            windows_batch_size=256,
            max_steps=steps,
            val_check_steps=min(steps, 250),
            early_stop_patience_steps=5,
            scaler_type="standard",
            random_seed=1,
            enable_progress_bar=False,
            logger=False,
        )
        started = time.process_time(), time.perf_counter()
        forecast = NeuralForecast(models=[model], freq="h")
        scored = forecast.cross_validation(frame, val_size=VALIDATION, test_size=TEST, n_windows=None, step_size=1)
        error = scored[name] - scored["y"]
        print(
            f"{name}, {steps} steps at most: MSE {np.mean(error**2):.3f}  MAE {np.mean(np.abs(error)):.3f}"
            f"  {time.process_time() - started[0]:.0f} CPU s, {time.perf_counter() - started[1]:.0f} s, scoring too",
            flush=True,
        )


if __name__ == "__main__":
    main()
