"""A pretend provider for each test that wants one: `provider("--rpm", "3")` starts it."""

import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def binary():
    return os.environ.get("SLUICE_BINARY", str(ROOT / "build" / "sluice"))


class Provider:
    """A running `sluice mock` on a port the system chose."""

    def __init__(self, arguments):
        self.process = subprocess.Popen(
            [binary(), "mock", "--listen", "127.0.0.1:0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line + self.process.stderr.read()
        self.url = line.split()[-1]

    def request(self, path, body=None, headers=None, timeout=20):
        """The status, headers and text of one request, whatever its status."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()

    def chat(self, **more):
        body = {"model": "m", "messages": [{"role": "user", "content": "four"}], "max_tokens": 9}
        headers = more.pop("headers", None)
        timeout = more.pop("timeout", 20)
        return self.request("/v1/chat/completions", {**body, **more}, headers, timeout)

    def stats(self):
        return json.loads(self.request("/mock/stats")[2])

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=20)
        error = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        assert code == 0, error


@pytest.fixture
def run_mock():
    """Runs `sluice mock` with arguments that let it end by itself."""

    def run(*arguments):
        return subprocess.run(
            [binary(), "mock", *arguments], capture_output=True, text=True, timeout=20, check=False
        )

    return run


@pytest.fixture
def provider():
    started = []

    def start(*arguments):
        started.append(Provider(arguments))
        return started[-1]

    yield start
    for one in started:
        one.stop()
