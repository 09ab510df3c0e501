"""Twenty minutes of recorded traffic through Sluice to a strict provider, in real time.

Eight worker processes with OpenAI's SDK play Azure's and Mooncake's conversation traces; the provider
is `sluice mock` with a network's delay before its judgement. Nothing is compressed, so this takes
about 50 minutes.

    python bench/real_run.py --binary build/sluice [--trace azure|mooncake] [--minutes 20]
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from replay.measure import measure
from replay.play import Scene, Stage
from replay.report import TITLES, busy, losses, setting, table
from replay.trace import fluid_drain_s, read_trace
from replay.ways import WAYS

MINUTES = 20
USED_SHARE_MIN = 0.99
OVER_FLUID_MAX = 0.02


@dataclass(frozen=True)
class Run:
    title: str
    trace: str
    scene: Scene


def scene_of(rpm, tpm):
    return Scene(
        rpm=rpm,
        tpm=tpm,
        concurrency=200,
        minute_s=60.0,
        guard_ms=250,
        latency="lognormal:400ms,0.5,12ms",
        admission_delay="uniform:0ms,100ms",
        seed=1,
    )


# About 85 % of what the traces ask for on average.
RUNS = {
    "azure": Run("Azure's conversation trace", "azure_conv", scene_of(500, 365_000)),
    "mooncake": Run("Mooncake's conversation trace", "mooncake_conversation", scene_of(500, 2_150_000)),
}


def promises(outcome):
    """What was promised, and whether it was kept."""
    over = outcome.drain_s / outcome.fluid_s - 1
    return [
        ("no call refused, none lost", outcome.refused == 0 and outcome.lost == 0),
        (f"at least {USED_SHARE_MIN:.0%} of the quota used while a line stood", outcome.used_share >= USED_SHARE_MIN),
        (f"drained within {OVER_FLUID_MAX:.0%} of the minimum", outcome.lost == 0 and over <= OVER_FLUID_MAX),
    ]


def play(run, ways, minutes, binary):
    calls = read_trace(run.trace, minutes)
    fluid_s = fluid_drain_s(calls, run.scene.rpm, run.scene.tpm)
    print(f"{run.title}, " + setting(calls, run.scene, fluid_s) + "\n", flush=True)
    outcomes = []
    for way in ways:
        stage = Stage(binary, run.scene)
        try:
            print(f"  playing: {TITLES[way]} …", file=sys.stderr, flush=True)
            fates, stats = stage.play(way, calls)
        finally:
            stage.close()
        outcomes.append(measure(way, calls, fates, stats, run.scene))
    print(table(outcomes) + "\n\n" + losses(outcomes))
    return outcomes


def report(outcome, scene):
    median, most_of, most = outcome.delay_ms
    used = f"{outcome.used_share:.2%} of the quota was used meanwhile"
    print(f"A line stood for {outcome.line_s / 60:.1f} minutes, and {used}. From the grant to the provider's")
    print(f"judgement: {median:.0f} ms (median), {most_of:.0f} ms (99th), {most:.0f} ms (most).")
    kept = True
    for words, good in promises(outcome):
        print(f"  {'kept' if good else 'BROKEN'}: {words}")
        kept = kept and good
    print(busy(outcome, scene), flush=True)
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=Path("build/sluice"), help="build/sluice")
    parser.add_argument("--trace", choices=RUNS, help="one trace alone")
    parser.add_argument("--way", choices=WAYS, action="append", help="these ways (sluice)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"how much of a trace ({MINUTES})")
    options = parser.parse_args()

    kept = True
    for name in [options.trace] if options.trace else RUNS:
        outcomes = play(RUNS[name], options.way or ["sluice"], options.minutes, options.binary.resolve())
        for outcome in outcomes:
            if outcome.way == "sluice":
                kept = report(outcome, RUNS[name].scene) and kept
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
