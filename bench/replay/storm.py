"""The stormy hour: what happens in it, the stage, and what came of each way.

Three ways to call play the same hour at the same time, each against a pretend provider of its own with the same
script: for a while half the quota is gone, for a minute the provider is overloaded, and then another program eats
a share of the key. One session runs away before that, and one in the midst of it; each has a budget.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from replay.measure import quantile
from replay.play import LEAD_S, MODEL, Process, fetch
from replay.storm_ways import FALLBACK, Part
from replay.trace import MINUTE_S

PICOUSD = 1_000_000_000_000
WORKERS = 4  # of each way
SESSION_CALLS = 20
THIN = 6  # every so many calls of the trace are played
STEP_S = 15  # recovery is judged in steps of the provider's time …
SERVED_SHARE = 0.95  # … by this share of the calls that came in one …
SERVED_S = 15.0  # … and were served within this


@dataclass(frozen=True)
class Trouble:
    name: str
    begin_min: int
    end_min: int
    rule: str  # what the script of the pretend provider says
    model: str = ""  # whose quota it is; "": the provider's as a whole


@dataclass(frozen=True)
class Runaway:
    """A session to which every so many calls belong for a while."""

    name: str
    begin_min: int
    end_min: int
    every: int


@dataclass(frozen=True)
class Storm:
    """The provider's limits per minute of its own, its troubles, and the budget of a session."""

    rpm: int = 100
    tpm: int = 135_000
    concurrency: int = 64
    minute_s: float = 4.0  # the real length of the provider's minute
    guard_s: float = 2.25  # in the provider's time
    latency: str = "lognormal:400ms,0.5,12ms"
    admission_delay: str = "uniform:0ms,8ms"
    seed: int = 1
    patience_min: float = 5.0  # nobody waits longer for an answer, whatever the way
    budget_usd: float = 0.5  # of each session
    runaways: tuple = (Runaway("early", 1, 8, 2), Runaway("late", 20, 50, 10))
    troubles: tuple = (
        Trouble("half the quota gone", 8, 18, "quota 50%", MODEL),
        Trouble("overloaded", 27, 28, "status 529"),
        Trouble("30 % eaten by others", 38, 50, "others 30%", MODEL),
    )

    @property
    def factor(self):
        return MINUTE_S / self.minute_s

    @property
    def budget_picousd(self):
        return round(self.budget_usd * PICOUSD)

    @property
    def script(self):
        """The troubles as the provider's rules. Its time begins a little before the trace."""

        def at(minute):
            return f"{round(minute * MINUTE_S + LEAD_S * self.factor)}s"

        return ";".join(
            f"time {at(t.begin_min)}-{at(t.end_min)}{' model ' + t.model if t.model else ''}: {t.rule}"
            for t in self.troubles
        )


def sessions_of(calls, storm):
    """Each call with the session it is of."""

    def session(i, call):
        for r in storm.runaways:
            if i % r.every == 0 and r.begin_min * MINUTE_S <= call.at_s < r.end_min * MINUTE_S:
                return r.name
        return f"s{i // SESSION_CALLS}"

    return [(call, session(i, call)) for i, call in enumerate(calls)]


# --- The stage. ---


def _provider_command(binary, storm):
    return [
        *(binary, "mock", "--listen", "127.0.0.1:0", "--profile", "openai", "--trouble", storm.script),
        *("--rpm", storm.rpm, "--tpm", storm.tpm, "--concurrency", storm.concurrency),
        *("--model", f"{FALLBACK}:rpm={storm.rpm},tpm={storm.tpm}"),
        *("--minute", f"{round(storm.minute_s * 1000)}ms", "--latency", storm.latency),
        *("--admission-delay", storm.admission_delay, "--seed", storm.seed),
    ]


def _config(storm, directory):
    """The defaults of a configuration, in the provider's time."""

    def scaled(seconds):
        return f"{max(1, round(seconds * 1000 / storm.factor))}ms"

    per = f"per: {scaled(60)}, guard: {scaled(storm.guard_s)}, headers: minute"
    return f"""
listen: 127.0.0.1:0
store: {directory}/sluice.db
resources:
  {MODEL}:
    provider: openai
    concurrency: {storm.concurrency}
    limits:
      - {{name: rpm, unit: requests, amount: {storm.rpm}, {per}}}
      - {{name: tpm, unit: tokens, amount: {storm.tpm}, {per}}}
      - {{name: session, unit: usd, amount: {storm.budget_usd}, per: lifetime, scope: session, exceed: refuse}}
    feedback: {{pause: {scaled(1)}, ramp: {scaled(10)}}}
    retry: {{backoff: {scaled(1)}, backoff_max: {scaled(60)}}}
    breaker: {{pause: {scaled(60)}, pause_max: {scaled(600)}}}
  warm-up: {{rpm: 1000}}
"""


def _fates_of(worker):
    """What a worker says when it is through."""
    line = worker.stdout.readline()
    if not line.startswith("["):
        raise RuntimeError(f"a worker ended with {worker.poll()}, saying {line[:200]!r}")
    return json.loads(line)


class StormStage:
    """A provider for each way, a coordinator for the one that asks it, and the workers."""

    def __init__(self, binary, storm, ways):
        self.binary = binary
        self.storm = storm
        self.directory = tempfile.TemporaryDirectory(prefix="sluice-storm-")
        self.processes = []
        self.providers = {}
        self.workers = {}
        try:
            self._open(ways)
        except BaseException:
            self.close()
            raise

    def _start(self, *command):
        process = Process(*command)
        self.processes.append(process)
        return process

    def _open(self, ways):
        config = Path(self.directory.name) / "sluice.yaml"
        config.write_text(_config(self.storm, self.directory.name))
        self.coordinator = self._start(self.binary, "serve", "-c", config)
        worker = str(Path(__file__).with_name("worker.py"))
        for way in ways:
            self.providers[way] = self._start(*_provider_command(self.binary, self.storm))
            command = [sys.executable, "-u", worker, self.providers[way].url + "/v1", self.coordinator.url]
            self.workers[way] = [
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                for _ in range(WORKERS)
            ]
        for workers in self.workers.values():
            for one in workers:
                if one.stdout.readline() != "ready\n":
                    raise RuntimeError("a worker did not start")

    def _order(self, way, calls, start):
        part = Part(
            model=MODEL,
            coordinator=self.coordinator.url,
            factor=self.storm.factor,
            patience_s=self.storm.patience_min * self.storm.minute_s,
            budget_picousd=self.storm.budget_picousd // WORKERS,
        )
        return {
            "storm": way,
            "part": asdict(part),
            "provider": self.providers[way].url + "/v1",
            "factor": self.storm.factor,
            "start": start,
            "calls": [(call.at_s, call.input_tokens, call.output_tokens, name) for call, name in calls],
        }

    def play(self, calls):
        """Plays the calls in all ways at once. For each its fates and the provider's counts."""
        for provider in self.providers.values():
            fetch(provider.url + "/mock/reset", {})
        start = time.time() + LEAD_S
        for way, workers in self.workers.items():
            for i, worker in enumerate(workers):
                order = self._order(way, calls[i::WORKERS], start)
                print(json.dumps(order), file=worker.stdin, flush=True)
        outcomes = {}
        for way, workers in self.workers.items():
            fates = [fate for worker in workers for fate in _fates_of(worker)]
            print(f"  through: {way}", file=sys.stderr, flush=True)
            outcomes[way] = (fates, fetch(self.providers[way].url + "/mock/stats"))
        return outcomes

    def close(self):
        """Ends every process."""
        for workers in self.workers.values():
            for worker in workers:
                worker.terminate()
                worker.communicate()
        for process in self.processes:
            process.stop()
        self.directory.cleanup()


# --- What came of it. ---


@dataclass(frozen=True)
class StormOutcome:
    way: str
    calls: int
    lost: int  # nobody served them, and no budget was in the way
    errors: dict  # what lost calls met: name → number
    fallback: int  # served by another model
    kept_back: int  # by the session's budget
    sent: int  # to the provider
    wasted: int  # of these, refused or failed
    caught: int  # of these, were on their way before any answer told of the trouble
    over_usd: float  # spent by sessions beyond their budgets
    recovery_s: tuple  # after each trouble; None: not before the next
    wait_p50_s: float
    wait_p99_s: float
    steps: list  # (minute, came, served in time, lost)

    @property
    def wasted_share(self):
        return self.wasted / self.sent if self.sent else 0.0


def _steps(fates, factor):
    """For each step of the provider's time: calls that came, of these served in time, and lost."""
    steps = {}
    for fate in fates:
        if "kept_back_s" in fate:
            continue
        counts = steps.setdefault(int(fate["came_s"] * factor / STEP_S), [0, 0, 0])
        took_s = (fate.get("admitted_s", float("inf")) - fate["came_s"]) * factor
        counts[0] += 1
        counts[1] += took_s <= SERVED_S
        counts[2] += "lost_s" in fate
    return steps


def _recovery_s(steps, begin_s, end_s):
    """How long after a trouble the calls that come are served again as they were: for two steps."""
    for step in range(int(begin_s / STEP_S), int(end_s / STEP_S)):
        two = [steps.get(step + i, (0, 0, 0)) for i in range(2)]
        if all(came == 0 or served >= SERVED_SHARE * came for came, served, _ in two):
            return step * STEP_S - begin_s
    return None


def _caught(fates, trouble, factor):
    """The calls that a trouble met before anybody could know of it: nothing calls them back."""
    begin_s, end_s = (minute * MINUTE_S / factor for minute in (trouble.begin_min, trouble.end_min))
    met = [(sent_s, known_s) for fate in fates for sent_s, known_s, _ in fate["refused"] if begin_s <= known_s < end_s]
    first_s = min((known_s for _, known_s in met), default=0.0)
    return sum(sent_s <= first_s for sent_s, _ in met)


def measure_storm(way, fates, stats, storm):
    factor = storm.factor
    served = [fate for fate in fates if "admitted_s" in fate]
    waits = [max(0.0, fate["admitted_s"] - fate["came_s"]) * factor for fate in served]
    steps = _steps(fates, factor)
    last_s = max(steps) * STEP_S
    ends = [t.end_min * MINUTE_S for t in storm.troubles]
    nexts = [t.begin_min * MINUTE_S for t in storm.troubles[1:]] + [last_s]
    errors = {}
    for fate in fates:
        if "lost_s" in fate:
            errors[fate["error"]] = errors.get(fate["error"], 0) + 1
    spent = {}
    for fate in served:
        spent[fate["session"]] = spent.get(fate["session"], 0) + fate["cost_picousd"]
    return StormOutcome(
        way=way,
        calls=len(fates),
        lost=sum("lost_s" in fate for fate in fates),
        errors=errors,
        fallback=sum(fate["model"] != MODEL for fate in served),
        kept_back=sum("kept_back_s" in fate for fate in fates),
        sent=stats["arrived"],
        wasted=stats["refused"] + stats["failed"],
        caught=sum(_caught(fates, t, factor) for t in storm.troubles),
        over_usd=sum(max(0, usd - storm.budget_picousd) for usd in spent.values()) / PICOUSD,
        recovery_s=tuple(_recovery_s(steps, end, until) for end, until in zip(ends, nexts, strict=True)),
        wait_p50_s=quantile(waits, 0.5),
        wait_p99_s=quantile(waits, 0.99),
        steps=[(step * STEP_S / MINUTE_S, *counts) for step, counts in sorted(steps.items())],
    )
