"""Ten minutes of recorded traffic against a strict provider: with and without coordination.

Eight worker processes with OpenAI's SDK play the same trace four ways; the provider is `sluice mock`.
Prints a table, and draws docs/demo.svg (or what --svg names).

    python bench/demo.py --binary build/sluice
"""

import argparse
import sys
import time
from pathlib import Path

from replay.chart import draw
from replay.measure import measure
from replay.play import Scene, Stage
from replay.report import TITLES, busy, losses, magnified, setting, table
from replay.trace import fluid_drain_s, read_trace
from replay.ways import WAYS

MINUTES = 10
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=Path("build/sluice"), help="build/sluice")
    parser.add_argument("--svg", type=Path, default=Path("docs/demo.svg"), help="where the picture goes (docs/demo.svg)")
    parser.add_argument("--only", choices=WAYS, help="one way alone")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"how much of the trace ({MINUTES})")
    options = parser.parse_args()

    began = time.monotonic()
    calls = read_trace("azure_conv", options.minutes)
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
        options.svg.write_text(draw(outcomes, SCENE))
        print(f"Drawn in {options.svg}. ", end="")
    print(f"All of it took {time.monotonic() - began:.0f} s.")
    coordinated = outcomes[-1]
    if coordinated.way != "sluice":
        return 0
    print(magnified(coordinated, SCENE))
    print(busy(coordinated, SCENE), end="")
    return 0 if verdict(coordinated) else 1


if __name__ == "__main__":
    sys.exit(main())
