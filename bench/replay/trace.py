"""Recorded traffic, what it asks for, and the least time in which a quota could serve it."""

import bisect
import csv
import math
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MINUTE_S = 60.0
OUTPUT_STEP = 64  # traces have no max_tokens: the output rounded up to the next of these


@dataclass(frozen=True)
class Call:
    at_s: float  # since the first call, in the trace's own time
    input_tokens: int
    output_tokens: int

    @property
    def max_tokens(self):
        return max(1, math.ceil(self.output_tokens / OUTPUT_STEP)) * OUTPUT_STEP

    @property
    def tokens(self):
        """What the provider reserves: the estimate of the prompt and the maximum of output."""
        return self.input_tokens + self.max_tokens


def read_trace(name, minutes):
    """The calls of the first minutes of data/traces/NAME.csv."""
    with open(ROOT / "data" / "traces" / f"{name}.csv", newline="") as file:
        calls = [
            Call(int(row["t_ms"]) / 1000, int(row["input_tokens"]), int(row["output_tokens"]))
            for row in csv.DictReader(file)
        ]
    return [call for call in calls if call.at_s < minutes * MINUTE_S]


def _drain_s(arrivals, amount):
    """When the last of the load could be admitted, were it divisible.

    In any minute at most `amount` is admitted, so what is admitted until T is at most what had
    arrived k minutes before T, plus k amounts, for each k. The load is through at the first T at
    which all of these reach the total.
    """
    at_s = []
    sums = []
    total = 0
    for moment, n in arrivals:
        total += n
        at_s.append(moment)
        sums.append(total)
    latest = at_s[-1]
    for k in range(1, math.ceil(total / amount) + 1):
        missing = total - k * amount
        if missing > 0:
            latest = max(latest, k * MINUTE_S + at_s[bisect.bisect_left(sums, missing)])
    return latest


def fluid_drain_s(calls, rpm, tpm):
    """The least time from the first call to the admission of the last, in the trace's time."""
    return max(
        _drain_s([(call.at_s, 1) for call in calls], rpm),
        _drain_s([(call.at_s, call.tokens) for call in calls], tpm),
    )
