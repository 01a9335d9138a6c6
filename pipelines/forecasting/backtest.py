"""The `backtest` command: what would have been forecast at past cutoffs, beside everything simple."""

from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.forecasting.config import Config
from pipelines.forecasting.data import read_splits
from pipelines.forecasting.evaluate import compare_run, last_windows
from pipelines.forecasting.leaderboard import Leaderboard, compare, join
from pipelines.forecasting.output import columns_of
from pipelines.forecasting.predict import Forecaster
from toolkit.errors import ConfigError


def backtest_with(
    path: str, model: Path, horizon: str | None, *, count: int, step: int | None, intervals: list[float] | None
) -> Leaderboard:
    """A trained run at the last cutoffs of each series.

    Raises:
        SeqloomError: the run or the file cannot be used, no series is long enough, or there is no such interval.
    """
    forecaster = Forecaster.load(model)
    columns_of(forecaster.plan.levels, intervals)  # before the work, not after it
    own = forecaster.plan.horizon
    if horizon is not None and forecaster.plan.frequency.steps(horizon) != own:
        raise ConfigError(f"{horizon}, but this run forecasts {own:,} steps.", where="--horizon", mend="Leave it out.")
    splits = last_windows(forecaster.read(path), own, count=count, step=step)
    return compare_run(model, forecaster, splits)


def backtest_anew(
    path: str,
    horizon: str | None,
    time: str | None,
    *,
    count: int,
    step: int | None,
    refit: bool,
    intervals: list[float] | None,
) -> Leaderboard:
    """Runs that are trained on what lies before the cutoffs: one before all of them, or one for each.

    Raises:
        SeqloomError: the file cannot be used, no series is long enough, or there will be no such interval.
    """
    from pipelines.forecasting.automatic import own_config, seconds_of
    from pipelines.forecasting.inspect import inspect

    seconds, look = seconds_of(time), inspect(Path(path))
    first = own_config(look, horizon, seconds)
    columns_of(tuple(first.model.quantiles), intervals)  # before the work, not after it
    ahead = look.panel.frequency.steps(str(first.horizon))
    step = step or ahead
    if not refit:
        return _run(own_config(look, horizon, seconds, test=ahead + (count - 1) * step, step=step))
    share = seconds / count
    drops = [number * step for number in reversed(range(count))]
    return join([_run(own_config(look, horizon, share, test=ahead, step=step, drop=drop)) for drop in drops])


def _run(config: Config) -> Leaderboard:
    """Train in a folder that does not stay."""
    from pipelines.forecasting.train import train

    with TemporaryDirectory() as folder:
        run = Path(folder, "run")
        train(config, run, resume=False)
        return compare(Forecaster.load(run), read_splits(config)[0])
