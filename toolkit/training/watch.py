"""What a person sees while a model trains."""

import sys
from types import TracebackType

from toolkit.stanzas import TrainingConfig
from toolkit.training.checkpoints import Progress


class Watch:
    """A line for every epoch on standard error, and on a terminal a progress bar inside the epoch."""

    def __init__(self, training: TrainingConfig, steps: int):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.training, self.steps = training, steps
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=Console(file=sys.stderr), transient=True, disable=not sys.stderr.isatty())
        self.task = self.bar.add_task("", total=steps)

    def __enter__(self) -> "Watch":
        self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()

    def __call__(self, progress: Progress, step: int) -> None:
        if step:
            epoch = f"epoch {progress.epoch + 1}/{self.training.epochs}"
            self.bar.update(self.task, completed=step, description=epoch)
            return
        row = progress.history[-1]
        scores = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name not in ("epoch", "score"))
        best = "  *" if progress.best_epoch == progress.epoch - 1 else ""
        self._print(f"epoch {row['epoch']:>3}  {scores}{best}")
        if progress.waited >= self.training.patience and progress.epoch < self.training.epochs:
            self._print(f"training ends: no better epoch for {progress.waited} (training.patience)")

    def _print(self, text: str) -> None:
        self.bar.console.print(text, highlight=False, soft_wrap=True)
