"""The `encode` command: vectors of texts or series, their nearest neighbours, and a map. Starts without Keras."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.catalogue import pipeline_of, stage
from toolkit.artifact import check_outputs, write_output
from toolkit.errors import ConfigError
from toolkit.explanation import Vectors

FORMATS = (".npy", ".parquet")
BLOCK = 1024  # rows whose similarities are held at once


def encode(model: str | Path, path: str, column: str | None = None) -> Vectors:
    """Vectors of the texts or series of a file, as a run sees them.

    Raises:
        SeqloomError: the run or the file cannot be used, or the run gives no vectors.
    """
    return stage(pipeline_of(Path(model)), "explain").encode(model, path, column)


def command(
    model: Path, path: str, *, out: Path, column: str | None, neighbours: int | None, map_page: Path | None
) -> None:
    """Encode and write; neighbours go to standard output, a line of JSON a row."""
    if out.suffix.lower() not in FORMATS:
        raise ConfigError(f"its name should end in {' or '.join(FORMATS)}, which choose the format.", where=str(out))
    check_outputs([path], out, map_page)
    found = encode(model, path, column)
    write_output(out, _npy(found) if out.suffix.lower() == ".npy" else _parquet(found))
    if map_page:
        write_output(map_page, map_of(found))
    if neighbours:
        for source, near in zip(found.sources, nearest(found.vectors, neighbours), strict=True):
            shown = [{"source": found.sources[i], "text": found.texts[i], "cosine": round(c, 4)} for i, c in near]
            print(json.dumps({"source": source, "neighbours": shown}, ensure_ascii=False))


def nearest(vectors: np.ndarray, count: int) -> Iterator[list[tuple[int, float]]]:
    """For each row the others with the greatest cosine, greatest first; a row of zeros is like none.

    Shapes: vectors (rows, features)
    """
    unit = unit_rows(vectors)
    blank: np.ndarray = np.logical_not(unit.any(axis=1))
    for start in range(0, len(unit), BLOCK):
        cosines = unit[start : start + BLOCK] @ unit.T
        for row, similar in enumerate(cosines, start):
            similar[row], similar[blank] = -np.inf, -np.inf
            order = np.argsort(-similar, kind="stable")[: 0 if blank[row] else count]
            yield [(int(other), float(similar[other])) for other in order if np.isfinite(similar[other])]


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; those of zeros stay. Shapes: (rows, features) -> the same."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def plane(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """The first two principal components, and the share of the variance in them. Shapes: (rows, n) -> (rows, 2)."""
    centred = np.asarray(vectors - vectors.mean(axis=0), np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred)  # in rising order
    points = np.zeros((len(centred), 2))
    best = axes[:, ::-1][:, :2]
    points[:, : best.shape[1]] = centred @ best
    return points, float(values[::-1][:2].sum() / max(values.sum(), 1e-30))


def map_of(found: Vectors) -> str:
    """A page with all vectors in the plane."""
    from toolkit.gate_plots import map_figure
    from toolkit.report import Section, picture, render_report

    points, share = plane(unit_rows(found.vectors))
    names = found.texts if any(found.groups) else [*map(" ".join, zip(found.sources, found.texts, strict=True))]
    drawing = picture(map_figure(points, names, found.groups, share), "Vectors as points of the plane")
    rows, features = found.vectors.shape
    return render_report(
        title="A map of vectors",
        subtitle=f"{rows:,} vectors of {features:,} numbers",
        verdict=f"Vectors that point the same way lie together. This shows {100 * share:.0f} % of how they differ.",
        sections=[Section("Map", [drawing])],
    )


def _npy(found: Vectors) -> memoryview:
    buffer = io.BytesIO()
    np.save(buffer, found.vectors.astype(np.float32, copy=False), allow_pickle=False)
    return buffer.getbuffer()


def _parquet(found: Vectors) -> memoryview:
    import pyarrow
    import pyarrow.parquet

    flat = pyarrow.array(found.vectors.astype(np.float32, copy=False).ravel())
    vectors = pyarrow.FixedSizeListArray.from_arrays(flat, found.vectors.shape[1])
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"source": found.sources, "vector": vectors}), buffer)
    return buffer.getbuffer()
