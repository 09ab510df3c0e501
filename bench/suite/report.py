"""The report: rows by their targets, and the page that docs/BENCHMARKS.md is, from page.md. Nothing
measured is typed in by hand: every figure comes from the run's results."""

import statistics
from dataclasses import dataclass
from pathlib import Path

TEMPLATE = Path(__file__).with_name("page.md")


@dataclass
class Row:
    what: str
    measured: str
    peer: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None  # None: there is no target

    def cells(self):
        verdict = "" if self.met is None else "yes" if self.met else "**no**"
        return [self.what, self.measured, self.peer, self.ratio, self.target, verdict]


class Medians:
    """Medians over the rounds, and rows made of them where all they need was measured."""

    def __init__(self, rounds):
        self.rounds = rounds

    def has(self, *names):
        return all(self.rounds.get(name) for name in names)

    def of(self, name, figure):
        return statistics.median(round[figure] for round in self.rounds[name])

    def knows(self, name, figure):
        return all(figure in round for round in self.rounds[name])


def per_s(n):
    return f"{n:,.0f}/s"


def ms(us):
    return f"{us / 1000:.2f} ms"


def compared(m, what, name, peer, peer_title, least=None, figure="decisions_per_s"):
    """A row that compares what was served in a second; judged where there is a least."""
    if not m.has(name, peer):
        return []
    ours, theirs = m.of(name, figure), m.of(peer, figure)
    ratio = ours / theirs
    target, met = ("", None) if least is None else (f"≥ {least:g} times", ratio >= least)
    return [Row(what, per_s(ours), f"{peer_title}: {per_s(theirs)}", f"{ratio:.2f}", target, met)]


def not_slower(m, what, name, peer, peer_title, judged):
    if not m.has(name, peer):
        return []
    ours, theirs = m.of(name, "p99_us"), m.of(peer, "p99_us")
    target, met = ("not above", ours <= theirs) if judged else ("", None)
    return [Row(what, ms(ours), f"{peer_title}: {ms(theirs)}", f"{ours / theirs:.2f}", target, met)]


def beside_books(m, ns, books):
    """The cells of the yardstick: what plain containers took for the same books in the same rounds."""
    if not m.knows("core", books):
        return "", ""
    books_ns = m.of("core", books)
    return f"GLib, the books alone: {books_ns:.0f} ns", f"{ns / books_ns:.2f}"


def core_rows(m):
    if not m.has("core"):
        return []
    idle, busy = m.of("core", "idle_ns"), m.of("core", "busy_ns")
    what = "core: acquire and settle, three stacked limits"
    with_line = "core: the same with 100,000 waiting and 100,000 entries a window"
    before = f"nobody waiting: {idle:.0f} ns"
    return [
        Row(what, f"{idle:.0f} ns", *beside_books(m, idle, "idle_books_ns"), "≤ 250 ns", idle <= 250),
        Row(with_line, f"{busy:.0f} ns", before, f"{busy / idle:.2f}", "≤ 2 × 250 ns", busy <= 500),
        Row("… beside its yardstick", f"{busy:.0f} ns", *beside_books(m, busy, "busy_books_ns")),
    ]


def daemon_rows(m):
    memory, always, ceiling = "Redis, in memory", "Redis, `appendfsync always`", "bare HTTP"
    return [
        *compared(m, "daemon, `durability: process`", "sluice_process", "redis_memory", memory, 1.3),
        *not_slower(m, "… its p99", "sluice_process", "redis_memory", memory, True),
        *compared(m, "daemon, `durability: full`", "sluice_full", "redis_always", always, 1.0),
        *not_slower(m, "… its p99", "sluice_full", "redis_always", always, False),
        *compared(m, "daemon, `process`, arrays of 64", "arrays", "redis_memory", memory, 5),
        *compared(m, "daemon, `durability: none`", "sluice_none", "ceiling", ceiling, 0.7),
        *compared(m, "daemon, `process`, acquire and release", "pairs", "ceiling", ceiling, 0.7, "answers_per_s"),
        *compared(m, "… leases that expire", "sluice_process", "ceiling", ceiling),
    ]


def disk_rows(m, p99):
    """What is left of that time for all but the disk."""
    if not m.has("disk"):
        return []
    disk = m.of("disk", "p99_us")
    peer = f"the disk alone, p99: {ms(disk)}, p50: {ms(m.of('disk', 'p50_us'))}"
    return [Row("… beside one commit of the disk alone", ms(p99), peer, f"{p99 / disk:.2f}")]


def waiting_rows(m):
    rows = []
    if m.has("parked"):
        each, count = m.of("parked", "bytes_each"), m.of("parked", "parked")
        what = f"memory of a parked request, {count:,.0f} connections"
        rows.append(Row(what, f"{each:.0f} bytes", "", "", "< 1,024 bytes", each < 1024))
    if m.has("line"):
        count, granted = m.of("line", "waiting"), m.of("line", "granted_in_order")
        each = m.of("line", "bytes_each")
        rows.append(Row(f"memory of a waiting request, {count:,.0f} in arrays", f"{each:.0f} bytes"))
        took = f"{granted:,.0f} in {m.of('line', 'all_ms'):.0f} ms"
        rows.append(Row("the window opens: granted in order", took, "", "", "all", granted == count))
    for durability in ("full", "process"):
        name = f"handover_{durability}"
        if m.has(name):
            p99 = m.of(name, "p99_us")
            what = f"a release reaches who waits, p99, `{durability}`"
            rows.append(Row(what, ms(p99), f"p50: {ms(m.of(name, 'p50_us'))}", "", "≤ 2 ms", p99 <= 2000))
            if durability == "full":
                rows += disk_rows(m, p99)
    return rows


def session_rows(m):
    if not m.has("sessions"):
        return []
    first, last = m.of("sessions", "first_kib"), m.of("sessions", "last_kib")
    what = f"a day of {m.of('sessions', 'sessions'):,.0f} sessions: memory at its end"
    peer = f"after a tenth of it: {first:,.0f} KiB"
    return [Row(what, f"{last:,.0f} KiB", peer, f"{last / first:.2f}", "≤ 1.02 times", last <= 1.02 * first)]


def ledger_rows(m):
    rows = []
    for name, which in (("ledger_cost", "64 connections"), ("ledger_cost_alone", "one connection")):
        if m.has(name):
            booked, cancelled = m.of(name, "booked_us"), m.of(name, "cancelled_us")
            what, peer = f"a pair released with usage, cost and ledger, {which}", f"cancelled: {cancelled:.0f} µs"
            ratio = booked / cancelled
            target, met = ("≤ 1.25 times", ratio <= 1.25) if name == "ledger_cost" else ("", None)
            rows.append(Row(what, f"{booked:.0f} µs", peer, f"{ratio:.2f}", target, met))
    if m.has("ledger_rows"):
        count, took = m.of("ledger_rows", "rows"), m.of("ledger_rows", "tenant_ms")
        what = f"a ledger of {count:,.0f} rows: usage of a day by tenant"
        peer = f"by session: {m.of('ledger_rows', 'session_ms'):.0f} ms"
        rows.append(Row(what, f"{took:.0f} ms", peer, "", "< 1,000 ms", took < 1000))
    return rows


def rows_of(results):
    m = Medians(results["rounds"])
    return [*core_rows(m), *daemon_rows(m), *waiting_rows(m), *session_rows(m), *ledger_rows(m)]


HEADS = ["what", "measured", "peer", "ratio", "target", "met"]


def table(rows):
    lines = [HEADS, ["---", "---:", "---:", "---:", "---", "---"], *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def page(results):
    facts = "\n".join(f"- {name}: {value}" for name, value in results["facts"].items() if value)
    journal = results["rounds"].get("journal")
    return TEMPLATE.read_text().format(
        date=results["date"],
        rounds=results["rounds_n"],
        seconds=results["seconds"],
        table=table(rows_of(results)),
        facts=facts,
        journal="\n```\n" + journal[0]["printed"].rstrip() + "\n```" if journal else " Not part of this run.",
        commands=commands(results["commands"]),
    )


def commands(by_name):
    shown = []
    for name, lines in by_name.items():
        shown += [f"# {name}: python3 bench/run.py --only {name}", *lines, ""]
    return "\n".join(shown).rstrip()

