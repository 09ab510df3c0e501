"""What the core does without a daemon, the journal without a core, and the disk alone."""

import json
import re

from .place import Failed, run


def decide(place):
    command = [place.program("core_decide"), "3"]
    place.note("core", " ".join(command))
    printed = run(command)
    found = [int(ns) for ns in re.findall(r": (\d+) ns", printed)]
    names = ["idle_ns", "idle_books_ns", "busy_ns", "busy_books_ns"]
    if len(found) != len(names):
        raise Failed(f"core_decide said: {printed[:300]}")
    return dict(zip(names, found, strict=True))


def sessions(place, count):
    command = [place.program("core_sessions"), str(count)]
    place.note("sessions", " ".join(command))
    day = json.loads(run(command))
    # What is remembered for a quarter of an hour is full long before the first tenth of a day is over.
    return {**day, "first_kib": day["rss_kib"][0], "last_kib": day["rss_kib"][-1]}


def journal(place):
    command = [place.program("journal_commit"), str(place.fresh_directory())]
    place.note("journal", f"{command[0]} .")
    return {"printed": run(command)}


def disk(place, times):
    command = [place.program("disk_commit"), "-n", str(times)]
    place.note("disk", " ".join([*command, "disk.tmp"]))
    return json.loads(run([*command, str(place.fresh_directory() / "disk.tmp")]))
