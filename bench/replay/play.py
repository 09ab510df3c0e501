"""The stage: a pretend provider, a coordinator before it, and worker processes that play a trace."""

import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from replay.trace import MINUTE_S
from replay.worker import Share

MODEL = "gpt-4o"
WORKERS = 8
LEAD_S = 1.0  # between the order and the first call, so that every worker is there
START_S = 30  # a process that has not said where it listens by then is not coming


@dataclass(frozen=True)
class Scene:
    """The limits of the provider, per minute of its own, and how its time and the network behave."""

    rpm: int
    tpm: int
    concurrency: int
    minute_s: float  # the real length of the provider's minute
    guard_ms: int
    latency: str  # in the provider's time
    admission_delay: str  # in real time
    seed: int

    @property
    def factor(self):
        return MINUTE_S / self.minute_s


class Process:
    """A subcommand of the binary that says where it listens."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        log = ""
        for line in self.process.stdout:
            log += line
            found = re.search(r"listening on (?:http://)?(\S+)", line)
            if found:
                self.url = "http://" + found[1]
                return
        raise RuntimeError(f"{command[0]} {command[1]} did not start:\n{log}")

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=START_S)


def fetch(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=START_S) as answer:
        return json.load(answer)


def provider_command(binary, scene):
    return [
        *(binary, "mock", "--listen", "127.0.0.1:0", "--profile", "openai"),
        *("--rpm", scene.rpm, "--tpm", scene.tpm, "--concurrency", scene.concurrency),
        *("--minute", f"{round(scene.minute_s * 1000)}ms", "--latency", scene.latency),
        *("--admission-delay", scene.admission_delay, "--seed", scene.seed),
    ]


def coordinator_config(scene, directory):
    per = f"per: {round(scene.minute_s * 1000)}ms, guard: {scene.guard_ms}ms"
    return f"""
listen: 127.0.0.1:0
store: {directory}/sluice.db
resources:
  {MODEL}:
    provider: openai
    concurrency: {scene.concurrency}
    limits:
      - {{name: rpm, unit: requests, amount: {scene.rpm}, {per}}}
      - {{name: tpm, unit: tokens, amount: {scene.tpm}, {per}}}
  warm-up: {{rpm: 1000}}
"""


class Stage:
    def __init__(self, binary, scene):
        self.scene = scene
        self.directory = tempfile.TemporaryDirectory(prefix="sluice-replay-")
        self.processes = []
        self.workers = []
        try:
            self._open(binary)
        except BaseException:
            self.close()
            raise

    def _open(self, binary):
        config = Path(self.directory.name) / "sluice.yaml"
        config.write_text(coordinator_config(self.scene, self.directory.name))
        self.provider = Process(*provider_command(binary, self.scene))
        self.processes.append(self.provider)
        self.coordinator = Process(binary, "serve", "-c", config)
        self.processes.append(self.coordinator)
        worker = str(Path(__file__).with_name("worker.py"))
        for _ in range(WORKERS):
            self.workers.append(
                subprocess.Popen(
                    [sys.executable, "-u", worker, self.provider.url + "/v1", self.coordinator.url],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        for worker in self.workers:
            if worker.stdout.readline() != "ready\n":
                raise RuntimeError("a worker did not start")

    def _order(self, way, calls, start):
        share = Share(
            rpm=self.scene.rpm / WORKERS,
            tpm=self.scene.tpm / WORKERS,
            concurrency=self.scene.concurrency // WORKERS,
            minute_s=self.scene.minute_s,
            model=MODEL,
            coordinator=self.coordinator.url,
        )
        return {
            "way": way,
            "share": asdict(share),
            "provider": self.provider.url + "/v1",
            "factor": self.scene.factor,
            "start": start,
            "calls": [(call.at_s, call.input_tokens, call.output_tokens) for call in calls],
        }

    def play(self, way, calls):
        """Plays the calls, dealt out in turn to the workers. Their fates, and the provider's counts."""
        fetch(self.provider.url + "/mock/reset", {})
        start = time.time() + LEAD_S
        for i, worker in enumerate(self.workers):
            print(json.dumps(self._order(way, calls[i::WORKERS], start)), file=worker.stdin, flush=True)
        fates = [fate for worker in self.workers for fate in json.loads(worker.stdout.readline())]
        stats = fetch(self.provider.url + "/mock/stats")
        stats["lead_s"] = start - (time.time() - stats["elapsed_ms"] / 1000)
        return fates, stats

    def close(self):
        for worker in self.workers:
            worker.terminate()
            worker.communicate()
        for process in self.processes:
            process.stop()
        self.directory.cleanup()
