"""Outcomes as a table."""

TITLES = {
    "uncoordinated": "uncoordinated, SDK retries",
    "window": "window + semaphore, 1/8 each",
    "buckets": "buckets, 80 % of 1/8 each",
    "sluice": "Sluice",
}
HEADS = ("", "429s", "lost", "quota used", "wait p50", "wait p99", "drained", "over the minimum")


def row_of(outcome):
    over = outcome.drain_s / outcome.fluid_s - 1
    return (
        TITLES[outcome.way],
        f"{outcome.refused:,}",
        f"{outcome.lost:,}",
        f"{outcome.used_share:.1%}",
        f"{outcome.wait_p50_s:.1f} s",
        f"{outcome.wait_p99_s:.1f} s",
        f"{outcome.drain_s / 60:.1f} min",
        f"{over:+.1%}" if outcome.lost == 0 else "(without the lost)",
    )


def table(outcomes):
    rows = [HEADS, *(row_of(outcome) for outcome in outcomes)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def losses(outcomes):
    """What lost calls met, one line for each way that lost any."""
    lines = []
    for outcome in outcomes:
        for name, (number, words) in sorted(outcome.errors.items()):
            said = "" if name == "RateLimitError" else f" ({words})"
            lines.append(f"{TITLES[outcome.way]} lost {number:,} to {name}{said}.\n")
    return "".join(lines)


def setting(calls, scene, fluid_s):
    minutes = calls[-1].at_s / 60
    demand = sum(call.tokens for call in calls) / minutes
    return (
        f"{len(calls):,} calls in {minutes:.1f} minutes, {demand / 1000:,.0f}k tokens a minute; the provider takes "
        f"{scene.tpm / 1000:,.0f}k tokens\nand {scene.rpm:,} requests a minute, {scene.concurrency} at once. "
        f"Even a fluid could not be through before minute {fluid_s / 60:.1f}."
    )


def magnified(outcome, scene):
    """What compression makes of delays."""

    def each(unit, scale):
        return ", ".join(f"{ms * scale:{unit}}" for ms in outcome.delay_ms)

    held = scene.guard_ms / 1000 / scene.minute_s
    return f"""\
Time is compressed {scene.factor:.0f} times, and so magnified is what is not compressed: from the grant to the provider's
judgement a call took {each(".0f", 1)} ms (median, 99th, most), which weigh as {each(".2f", scene.factor / 1000)} s would.
For that Sluice keeps its windows {scene.guard_ms} ms longer, {held:.1%} of the provider's minute, which costs as much of the
quota; in real time its 250 ms are 0.4 %."""


def busy(outcome, scene):
    """Said where calls were refused although they asked: whether the machine may be to blame."""
    most = outcome.delay_ms[2]
    if outcome.refused == 0 or most <= scene.guard_ms:
        return ""
    return (
        f"A call was {most:.0f} ms on its way, longer than the {scene.guard_ms} ms by which Sluice keeps its windows:\n"
        "this machine was too busy for what is tried here. Try again when nothing else runs."
    )
