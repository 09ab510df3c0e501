"""Measures everything that has a target, next to what it is measured against, and writes docs/BENCHMARKS.md.

    python3 bench/run.py --build build-release            everything, in under ten minutes
    python3 bench/run.py --build build-release --quick    a look: one short round, nothing is written
    python3 bench/run.py --only core,sessions             some of it, nothing is written
    python3 bench/run.py --render                         the page again, from the results of the last run
"""

import argparse
import datetime
import json
import os
import sys
import time
from pathlib import Path

from suite import core, daemon, ledger, redis, waiting
from suite.machine import machine, processor_ticks, stolen_since, versions
from suite.place import ROOT, Failed, Place
from suite.report import page, rows_of, table

ROUNDS = 15  # short ones: a machine's speed may change by the second
HEAVY_ROUNDS = 3  # of what hardly varies and takes long
RESULTS = ROOT / "bench" / "results" / "latest.json"
PAGE = ROOT / "docs" / "BENCHMARKS.md"

# In the order of a round: what is compared stands side by side.
MEASUREMENTS = {
    "core": core.decide,
    "arrays": daemon.arrays,
    "redis_memory": redis.in_memory,
    "sluice_process": lambda place: daemon.decisions(place, "process"),
    "ceiling": daemon.ceiling,
    "pairs": daemon.pairs,
    "sluice_none": lambda place: daemon.decisions(place, "none"),
    "sluice_full": lambda place: daemon.decisions(place, "full"),
    "redis_always": redis.always,
    "disk": lambda place: core.disk(place, 2000),
    "handover_full": lambda place: daemon.handover(place, "full", 2000),
    "handover_process": lambda place: daemon.handover(place, "process", 2000),
    "parked": lambda place: waiting.parked(place, 10000),
    "line": lambda place: waiting.line(place, 100, 1000),
    "sessions": lambda place: core.sessions(place, 1000000),
    "ledger_cost": lambda place: ledger.cost(place, 64, 1600, 15),
    "ledger_cost_alone": lambda place: ledger.cost(place, 1, 300, 15),
    "journal": core.journal,
    "ledger_rows": lambda place: ledger.rows(place, 10_000_000, 30),
}
HEAVY = {"parked", "line", "sessions", "ledger_cost", "ledger_cost_alone"}
ONCE = {"journal", "ledger_rows"}


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build-release", help="a release build")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"runs of which the median counts ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="one short round; nothing is written")
    parser.add_argument("--only", help="names of measurements, with commas; nothing is written")
    parser.add_argument("--render", action="store_true", help="write the page from the last results")
    options = parser.parse_args()
    everything = [name for name in MEASUREMENTS if not (options.quick and name in ONCE)]
    options.names = options.only.split(",") if options.only else everything
    unknown = [name for name in options.names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"there is no {unknown[0]}; there are: {', '.join(MEASUREMENTS)}")
    return options


def turns(name, rounds):
    """In how many rounds a measurement takes part."""
    return 1 if name in ONCE else min(rounds, HEAVY_ROUNDS) if name in HEAVY else rounds


def measure(place, names, rounds_n):
    rounds = {name: [] for name in names}
    for number in range(rounds_n):
        for name in names:
            if number >= turns(name, rounds_n):
                continue
            began_s = time.monotonic()
            rounds[name].append(MEASUREMENTS[name](place))
            took_s = time.monotonic() - began_s
            print(f"  round {number + 1}: {name}, {took_s:.1f} s", file=sys.stderr, flush=True)
    return rounds


def run(options):
    place = Place(options.build.resolve(), seconds=1, warm_seconds=0.5)
    rounds_n = 1 if options.quick else options.rounds
    load_before = os.getloadavg()[0]
    ticks_before = processor_ticks()
    try:
        rounds = measure(place, options.names, rounds_n)
        place.fresh_directory()
        facts = {**machine(place.work), **versions(place.program("sluice"))}
    finally:
        place.clear()
    return {
        "date": datetime.date.today().isoformat(),
        "rounds_n": rounds_n,
        "seconds": place.seconds,
        "facts": {
            **facts,
            "load of the machine before": f"{load_before:.2f}",
            "processor time taken away by the machine's host": stolen_since(ticks_before),
        },
        "commands": place.commands,
        "rounds": rounds,
    }


def main():
    options = read_options()
    if options.render:
        PAGE.write_text(page(json.loads(RESULTS.read_text())))
        return 0
    try:
        results = run(options)
    except Failed as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return 1
    if not options.quick and not options.only:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        PAGE.write_text(page(results))
        print(f"written: {PAGE.relative_to(ROOT)}")
    rows = rows_of(results)
    print(table(rows))
    missed = sum(row.met is False for row in rows)
    print(f"{missed} of {sum(row.met is not None for row in rows)} targets missed", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
