"""`seqloom classify` of one file, whole process, against a Keras process that loads the same network and predicts once.

python benchmarks/cold_start.py RUN_FOLDER [RUNS]
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")

PEER = """
import sys, re, json, numpy as np, keras
words = {w: i for i, w in enumerate(json.load(open(sys.argv[2]))["words"])}
text = open(sys.argv[3]).read().lower()
tokens = np.array([[words.get(w, 1) for w in re.findall(r"\\w+|[^\\w\\s]", text)]], dtype="int32")
print(keras.models.load_model(sys.argv[1]).predict(tokens, verbose=0).argmax())
"""


def keras_model(folder: Path, path: Path) -> None:
    """A plain Keras model of the run's size, as a user of Keras would save it."""
    import keras

    from pipelines.text_classification.config import Config
    from toolkit.artifact import read_weights
    from toolkit.config import read_document, validate

    config = validate(read_document(folder / "config.yaml"), Config)
    weights = read_weights(folder / "weights.safetensors")
    tables = [array.shape for name, array in weights.items() if "embedding" in name]
    labels = next(array.shape[1] for name, array in weights.items() if name.endswith("classifier/kernel"))
    cell = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "rnn": keras.layers.SimpleRNN}[config.encoder.cell]
    recurrent = [cell(config.encoder.units, return_sequences=True) for _ in range(config.encoder.layers)]
    if config.encoder.bidirectional:
        recurrent = [keras.layers.Bidirectional(layer) for layer in recurrent]
    layers = [
        keras.Input((None,), dtype="int32"),
        keras.layers.Embedding(sum(rows for rows, _ in tables), tables[0][1]),
        *recurrent,
        keras.layers.GlobalMaxPooling1D(),
        keras.layers.Dense(labels),
    ]
    keras.Sequential(layers).save(path)


def main() -> None:
    from pairs import pair

    folder, runs = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory() as temporary:
        model, text, script = (Path(temporary) / name for name in ("peer.keras", "one.txt", "peer.py"))
        keras_model(folder, model)
        text.write_text("Nine days and still no parcel. Can I have my money back?")
        script.write_text(PEER)
        ours = [str(Path(sys.executable).with_name("seqloom")), "classify", str(text), "--model", str(folder)]
        theirs = [sys.executable, str(script), str(model), str(folder / "vocabulary.json"), str(text)]
        first, second, ratio = pair(ours, theirs, runs)
    print(f"seqloom classify one file  {first:.3f} s\nKeras load and predict     {second:.3f} s\nratio {ratio:.3f}")


if __name__ == "__main__":
    main()
