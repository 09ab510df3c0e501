"""Ten minutes of recorded traffic against a strict provider: with and without coordination.

Eight worker processes with OpenAI's SDK play the same trace four ways; the provider is `sluice mock`.
Prints a table, and draws docs/demo.svg (or what --svg names).

    python bench/demo.py --binary build/sluice

`--scene storm` plays an hour in which the provider loses half its quota for a while, is overloaded for a minute, and
shares the key with another program, three ways at once; it draws docs/storm.svg.
"""

import argparse
import sys
import time
from pathlib import Path

from replay.chart import draw
from replay.measure import measure
from replay.play import Scene, Stage
from replay.report import TITLES, busy, losses, magnified, setting, table
from replay.storm import THIN, Storm, StormStage, measure_storm, sessions_of
from replay.storm_report import draw_storm, storm_losses, storm_setting, storm_table
from replay.storm_ways import STORM_WAYS
from replay.trace import fluid_drain_s, read_trace
from replay.ways import WAYS

MINUTES = 10
STORM_MINUTES = 60
SCENE = Scene(
    rpm=500,
    tpm=350_000,
    concurrency=64,
    minute_s=4.5,
    guard_ms=90,
    latency="lognormal:400ms,0.5,12ms",
    admission_delay="uniform:0ms,8ms",
    seed=1,
)
USED_SHARE_MIN = 0.97


def verdict(outcome):
    """Whether coordination did what is promised of it."""
    return outcome.refused == 0 and outcome.lost == 0 and outcome.used_share >= USED_SHARE_MIN


WASTED_SHARE_MAX = 0.005


def weathered(outcome):
    """Whether coordination did in the storm what is promised of it."""
    return outcome.lost == 0 and outcome.over_usd == 0 and outcome.wasted_share <= WASTED_SHARE_MAX


def play_storm(options, began):
    storm = Storm(minute_s=options.minute_s) if options.minute_s else Storm()
    minutes = options.minutes or STORM_MINUTES
    calls = sessions_of(read_trace("azure_conv", minutes)[::THIN], storm)
    ways = [options.only] if options.only else list(STORM_WAYS)
    print(storm_setting(calls, storm), flush=True)
    stage = StormStage(options.binary.resolve(), storm, ways)
    try:
        played = stage.play(calls)
    finally:
        stage.close()
    outcomes = [measure_storm(way, *played[way], storm) for way in ways]
    print("\n" + storm_table(outcomes, storm) + "\n\n" + storm_losses(outcomes), end="")
    if not options.only:
        svg = options.svg or Path("docs/storm.svg")
        svg.write_text(draw_storm(outcomes, storm))
        print(f"Drawn in {svg}. ", end="")
    print(f"All of it took {time.monotonic() - began:.0f} s.")
    ours = [outcome for outcome in outcomes if outcome.way == "sluice"]
    return 0 if all(weathered(outcome) for outcome in ours) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=Path("build/sluice"), help="build/sluice")
    parser.add_argument("--scene", choices=("calm", "storm"), default="calm", help="which of the two (calm)")
    parser.add_argument("--svg", type=Path, help="where the picture goes (docs/demo.svg, docs/storm.svg)")
    parser.add_argument("--only", choices=sorted({*WAYS, *STORM_WAYS}), help="one way of the scene alone")
    parser.add_argument("--minutes", type=float, help=f"how much of the trace ({MINUTES}; in the storm {STORM_MINUTES})")
    parser.add_argument("--minute-s", type=float, help="real length of the provider's minute in the storm (4 s)")
    options = parser.parse_args()
    began = time.monotonic()
    if options.only and options.only not in (STORM_WAYS if options.scene == "storm" else WAYS):
        parser.error(f"{options.only} is no way of this scene")
    return play_storm(options, began) if options.scene == "storm" else play_calm(options, began)


def play_calm(options, began):
    calls = read_trace("azure_conv", options.minutes or MINUTES)
    fluid_s = fluid_drain_s(calls, SCENE.rpm, SCENE.tpm)
    print("Azure's conversation trace, " + setting(calls, SCENE, fluid_s), flush=True)
    outcomes = []
    stage = Stage(options.binary.resolve(), SCENE)
    try:
        for way in [options.only] if options.only else WAYS:
            print(f"  playing: {TITLES[way]} …", file=sys.stderr, flush=True)
            fates, stats = stage.play(way, calls)
            outcomes.append(measure(way, calls, fates, stats, SCENE))
    finally:
        stage.close()
    print("\n" + table(outcomes) + "\n\n" + losses(outcomes))
    if not options.only:
        svg = options.svg or Path("docs/demo.svg")
        svg.write_text(draw(outcomes, SCENE))
        print(f"Drawn in {svg}. ", end="")
    print(f"All of it took {time.monotonic() - began:.0f} s.")
    coordinated = outcomes[-1]
    if coordinated.way != "sluice":
        return 0
    print(magnified(coordinated, SCENE))
    print(busy(coordinated, SCENE), end="")
    return 0 if verdict(coordinated) else 1


if __name__ == "__main__":
    sys.exit(main())
