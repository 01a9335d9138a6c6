"""Learning rates as functions of the step."""

import math


def learning_rate(step: int, *, peak: float, schedule: str, warmup: float, total: int) -> float:
    """The learning rate of a step, counted from 0.

    Rises linearly over the first `warmup * total` steps, then stays (constant) or falls to zero at `total` along a
    line (linear) or half a cosine (cosine; Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5).
    """
    rising = warmup * total
    if step < rising:
        return peak * min((step + 1) / rising, 1)
    done = (step - rising) / max(total - rising, 1)
    match schedule:
        case "constant":
            return peak
        case "linear":
            return peak * max(1 - done, 0)
        case "cosine":
            return peak * (1 + math.cos(math.pi * min(done, 1))) / 2
    raise ValueError(f"schedule is {schedule!r}, expected constant, linear or cosine.")
