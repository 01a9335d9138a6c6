"""`seqloom forecast` of one series, whole process, against a Keras process that loads a like network and predicts once.

    python benchmarks/forecast_cold_start.py RUN_FOLDER SERIES.csv [RUNS]

SERIES.csv is a series that the run can forecast, its value in the last column.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")

PEER = """
import sys, numpy as np, pandas, keras
values = pandas.read_csv(sys.argv[2]).iloc[:, -1].to_numpy("float32")
model = keras.models.load_model(sys.argv[1])
window = np.nan_to_num(values[-model.input_shape[1] * model.input_shape[2]:]).reshape(1, *model.input_shape[1:])
print(model.predict(window, verbose=0)[0, :3])
"""


def keras_model(folder: Path, path: Path) -> None:
    """A plain Keras GRU of the run's size, as a user of Keras would save it."""
    import keras

    from pipelines.forecasting.config import Config
    from toolkit.config import read_document, validate

    config = validate(read_document(folder / "config.yaml"), Config)
    plan = json.loads((folder / "plan.json").read_text())
    layers = [
        keras.Input((plan["history"] // plan["segment"], plan["segment"])),
        keras.layers.Dense(config.encoder.units, activation="relu"),
        keras.layers.GRU(config.encoder.units),
        keras.layers.Dense(plan["horizon"]),
    ]
    keras.Sequential(layers).save(path)


def main() -> None:
    from pairs import pair

    folder, series = Path(sys.argv[1]), Path(sys.argv[2])
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    with tempfile.TemporaryDirectory() as temporary:
        model, script = Path(temporary) / "peer.keras", Path(temporary) / "peer.py"
        keras_model(folder, model)
        script.write_text(PEER)
        ours = [str(Path(sys.executable).with_name("seqloom")), "forecast", str(series), "--model", str(folder)]
        theirs = [sys.executable, str(script), str(model), str(series)]
        first, second, ratio = pair(ours, theirs, runs)
    print(f"seqloom forecast one series  {first:.3f} s\nKeras load and predict       {second:.3f} s\nratio {ratio:.3f}")


if __name__ == "__main__":
    main()
