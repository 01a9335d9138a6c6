"""`seqloom translate` of one sentence, whole process, against Keras loading a like network and predicting once.

python benchmarks/translate_cold_start.py RUN_FOLDER [RUNS]

The peer reads the sentence once and scores one target of the same length: less than a translation.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")

PEER = """
import sys, re, json, numpy as np, keras
ids = {piece: i for i, piece in enumerate(json.load(open(sys.argv[2]))["source"]["pieces"])}
words = re.findall(r"\\w+|[^\\w\\s]", open(sys.argv[3]).read())
tokens = np.array([[ids.get(word, 1) for word in words]], dtype="int32")
print(keras.models.load_model(sys.argv[1]).predict([tokens, tokens], verbose=0).argmax(-1))
"""


def keras_model(folder: Path, path: Path) -> None:
    """A plain Keras encoder-decoder of the run's size, as a user of Keras would save it."""
    import json

    import keras
    from keras import layers

    from pipelines.translation.config import Config
    from toolkit.config import read_document, validate

    config = validate(read_document(folder / "config.yaml"), Config)
    codec = json.loads((folder / "pieces.json").read_text(encoding="utf-8"))
    sizes = [len((codec[side] or codec["source"])["pieces"]) for side in ("source", "target")]
    cells = {"lstm": layers.LSTM, "gru": layers.GRU, "rnn": layers.SimpleRNN}
    source, target = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    memory = layers.Embedding(sizes[0], config.model.embedding)(source)
    for _ in range(config.encoder.layers):
        layer = cells[config.encoder.cell](config.encoder.units, return_sequences=True)
        memory = (layers.Bidirectional(layer) if config.encoder.bidirectional else layer)(memory)
    states = layers.Embedding(sizes[1], config.model.embedding)(target)
    for _ in range(config.decoder.layers):
        states = cells[config.decoder.cell](config.decoder.units, return_sequences=True)(states)
    memory = layers.Dense(config.decoder.units)(memory)
    states = layers.Concatenate()([states, layers.AdditiveAttention()([states, memory])])
    keras.Model([source, target], layers.Dense(sizes[1])(states)).save(path)


def main() -> None:
    from pairs import pair

    folder, runs = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory() as temporary:
        model, text, script = (Path(temporary) / name for name in ("peer.keras", "one.txt", "peer.py"))
        keras_model(folder, model)
        text.write_text("A man in an orange hat is staring at something.\n")
        script.write_text(PEER)
        ours = [str(Path(sys.executable).with_name("seqloom")), "translate", str(text), "--model", str(folder)]
        theirs = [sys.executable, str(script), str(model), str(folder / "pieces.json"), str(text)]
        first, second, ratio = pair(ours, theirs, runs)
    print(f"seqloom translate a sentence  {first:.3f} s")
    print(f"Keras load and predict        {second:.3f} s\nratio {ratio:.3f}")


if __name__ == "__main__":
    main()
