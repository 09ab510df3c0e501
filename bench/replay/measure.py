"""What came of a way, in the provider's time.

A line stands while a call has come and is neither admitted nor given up; the first GRACE_S of a
call's wait do not count, as no coordination can do away with the way from its caller to the
provider's judgement. The share of the quota used while a line stands is the time average, over all
moments with a line, of the tokens that the provider has admitted in its last minute, over its limit.
"""

from dataclasses import dataclass

from replay.trace import MINUTE_S, fluid_drain_s

GRACE_S = 0.1  # of real time


@dataclass(frozen=True)
class Outcome:
    way: str
    calls: int
    refused: int  # 429s that the provider answered
    lost: int  # calls that nobody served
    errors: dict  # what lost calls met: name → (number, the last one's words)
    used_share: float  # of the tokens, while a line stood
    line_s: float  # how long one stood
    wait_p50_s: float
    wait_p99_s: float
    wait_max_s: float
    drain_s: float  # to the last admission
    fluid_s: float
    delay_ms: tuple  # from the permission to call to the judgement, real: median, 99th, most
    curve: list  # (minutes, share used) each provider's second
    refusals: list  # (minutes, number) each provider's second


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


def line_intervals(fates, grace_s):
    """When a line stood, as disjoint intervals in order."""
    spans = []
    for fate in fates:
        begin = fate["came_s"] + grace_s
        end = fate.get("admitted_s", fate.get("lost_s"))
        if end > begin:
            spans.append((begin, end))
    joined = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    return joined


def used_steps(fates, minute_s):
    """The tokens in the provider's last minute as steps (moment, tokens from then on)."""
    changes = []
    for fate in fates:
        if "admitted_s" in fate:
            changes.append((fate["admitted_s"], fate["tokens"]))
            changes.append((fate["admitted_s"] + minute_s, -fate["tokens"]))
    steps = [(float("-inf"), 0)]
    for moment, change in sorted(changes):
        steps.append((moment, steps[-1][1] + change))
    return steps


def average_over(steps, intervals):
    """The time average of a step function over intervals."""
    area = length = 0.0
    i = 0
    for begin, end in intervals:
        length += end - begin
        while i + 1 < len(steps) and steps[i + 1][0] <= begin:
            i += 1
        at = begin
        while at < end:
            until = min(end, steps[i + 1][0]) if i + 1 < len(steps) else end
            area += (until - at) * steps[i][1]
            at = until
            if at < end:
                i += 1
    return area / length if length else 0.0


def curve_of(steps, tpm, minute_s, until_s):
    """The share used, sampled each provider's second."""
    points = []
    i = 0
    second_s = minute_s / MINUTE_S
    for n in range(int(until_s / second_s) + 2):
        while i + 1 < len(steps) and steps[i + 1][0] <= n * second_s:
            i += 1
        points.append((n / MINUTE_S, steps[i][1] / tpm))
    return points


def refusals_of(stats, minute_s):
    """When the provider refused, by its own series."""
    series = stats["models"].get("gpt-4o", {}).get("series")
    if not series:
        return []
    step_s = series["step_ms"] / 1000
    moments = []
    for i, n in enumerate(series["refused"]):
        if n:
            moments.append((((i + 0.5) * step_s - stats["lead_s"]) / minute_s, n))
    return moments


def measure(way, calls, fates, stats, scene):
    factor = scene.factor
    served = [fate for fate in fates if "admitted_s" in fate]
    waits = [max(0.0, fate["admitted_s"] - fate["came_s"]) * factor for fate in served]
    delays = [(fate["admitted_s"] - fate["let_s"]) * 1000 for fate in served]
    errors = {}
    for fate in fates:
        if "error" in fate:
            name = fate["error"].split(":")[0]
            number, _ = errors.get(name, (0, ""))
            errors[name] = (number + 1, fate["error"])
    intervals = line_intervals(fates, GRACE_S)
    steps = used_steps(fates, scene.minute_s)
    drain_s = max((fate["admitted_s"] for fate in served), default=0.0)
    return Outcome(
        way=way,
        calls=len(fates),
        refused=stats["refused"],
        lost=len(fates) - len(served),
        errors=errors,
        used_share=average_over(steps, intervals) / scene.tpm,
        line_s=sum(end - begin for begin, end in intervals) * factor,
        wait_p50_s=quantile(waits, 0.5),
        wait_p99_s=quantile(waits, 0.99),
        wait_max_s=max(waits, default=0.0),
        drain_s=drain_s * factor,
        fluid_s=fluid_drain_s(calls, scene.rpm, scene.tpm),
        delay_ms=(quantile(delays, 0.5), quantile(delays, 0.99), max(delays, default=0.0)),
        curve=curve_of(steps, scene.tpm, scene.minute_s, drain_s),
        refusals=refusals_of(stats, scene.minute_s),
    )
