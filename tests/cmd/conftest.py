"""A coordinator for each test that wants one, and the command line pointed at it."""

import json
import os
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
listen: 127.0.0.1:0
store: {store}
resources:
  one: {{rpm: 100, tpm: 100k, concurrency: 1}}
  many: {{rpm: 100, tpm: 1000}}
"""


def binary():
    return os.environ.get("SLUICE_BINARY", str(ROOT / "build" / "sluice"))


class Coordinator:
    """A running `sluice serve` on a port the system chose."""

    def __init__(self, directory, config):
        path = directory / "sluice.yaml"
        path.write_text(config.format(store=directory / "sluice.db"))
        self.process = subprocess.Popen(
            [binary(), "serve", "-c", str(path), "--durability", "none"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        log = ""
        for line in self.process.stdout:
            log += line
            found = re.search(r"listening on (\S+)", line)
            if found:
                self.url = "http://" + found[1].removeprefix("http://")
                return
        raise AssertionError(log)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return json.load(answer)

    def leases(self):
        return self.get("/v1/leases")["leases"]

    def resource(self, name):
        return self.get("/v1/resources/" + name)

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=20)


@pytest.fixture
def start_coordinator(tmp_path):
    started = []

    def start(config=CONFIG):
        started.append(Coordinator(tmp_path, config))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def coordinator(start_coordinator):
    return start_coordinator()


class Command:
    """`sluice run` with a coordinator's address in the environment."""

    def __init__(self, url):
        self.binary = binary()
        self.environment = {**os.environ, "SLUICE_URL": url}
        self.environment.pop("SLUICE_API_KEY", None)

    def start(self, *arguments, stdin=None, **environment):
        return subprocess.Popen(
            [self.binary, "run", *arguments],
            env={**self.environment, **environment},
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments, **environment):
        process = self.start(*arguments, **environment)
        out, error = process.communicate(timeout=30)
        return subprocess.CompletedProcess(arguments, process.returncode, out, error)


@pytest.fixture
def run(coordinator):
    return Command(coordinator.url)


@pytest.fixture
def run_at():
    return Command
