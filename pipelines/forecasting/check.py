"""What a config would do, told before training."""

import numpy as np

from pipelines.forecasting.config import Config
from pipelines.forecasting.facts import YEARS, span_of
from pipelines.forecasting.fitting import LEAST_WINDOWS, batches_of, begin_network, training_cutoffs
from pipelines.forecasting.inputs import Plan
from pipelines.forecasting.prepare import Prepared, prepare
from toolkit.stanzas import STATES_PER_WEIGHT
from toolkit.training.members import memory_told, steps_told


def check(config: Config) -> dict[str, str]:
    """Facts by name, in reading order.

    Raises:
        SeqloomError: a file cannot be used, or the series are too short to test on, or for a network alone to learn.
    """
    prepared = prepare(config)
    plan, panel, splits = prepared.plan, prepared.panel, prepared.splits
    cutoffs = training_cutoffs(prepared, splits.training_ends)
    lengths = panel.lengths
    missing = sum(int(np.isnan(panel.history(k)).sum()) for k in range(len(panel)))
    span = span_of(plan.frequency, plan.season)
    facts = {
        "series": f"{len(panel):,}, {plan.frequency.title}, of {_range(lengths)} steps",
        "missing": f"{missing:,} of {int(lengths.sum()):,} values",
        "season": f"{plan.season:,} steps" + (f", a {span}" if span else "") if plan.season > 1 else "none",
        "horizon": f"{plan.horizon:,} steps",
        "windows": f"train {len(cutoffs):,}  validation {len(splits.validation):,}  test {len(splits.test):,}",
        "not tested": _untested(prepared),
    }
    if config.model.kind not in ("auto", "network"):
        return {**facts, "model": f"{config.model.kind} alone, nothing to train"}
    if config.model.kind == "auto" and len(cutoffs) < LEAST_WINDOWS:
        return {**facts, "model": f"simple methods; {len(cutoffs):,} windows to learn from are too few for a network"}
    network, _ = begin_network(config, prepared, cutoffs, member=0)
    parameters, batch = network.count_params(), batches_of(config, prepared)
    steps = max(min(len(cutoffs), config.training.windows) // batch, 1)
    pieces = plan.history // plan.segment
    kept = STATES_PER_WEIGHT * parameters + batch * config.encoder.floats_kept(pieces)
    return {
        **facts,
        "network reads": f"{plan.history:,} steps, in {pieces:,} segments of {plan.segment:,}",
        **({"calendar": _calendar(plan)} if plan.calendar else {}),
        "parameters": f"{config.model.members} x {parameters:,}",
        "memory": memory_told(kept),
        "steps an epoch": f"{steps:,} of {batch:,} windows, {steps_told(steps, config.training)}",
    }


def _range(lengths: np.ndarray) -> str:
    low, high = int(lengths.min()), int(lengths.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _calendar(plan: Plan) -> str:
    """What of it the network is told, or why that is nothing."""
    told = dict.fromkeys(name.removesuffix("_sin").removesuffix("_cos") for name in plan.calendar_names)
    if not plan.frequency.cycles:
        return f"nothing, for {plan.frequency.title} steps do not differ in it"
    return ", ".join(told) or f"nothing, for what there is to learn from is shorter than {YEARS} years"


def _untested(prepared: Prepared) -> str:
    missing = len(prepared.panel) - len(np.unique(prepared.splits.test.series))
    return f"{missing:,} series, which are too short" if missing else "none; every series has a test window"
