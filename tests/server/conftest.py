"""A real daemon for each test that wants one: `daemon(config)` starts it on a port the system chose."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SLOW = int(os.environ.get("SLUICE_TEST_SLOW", "1"))
PATIENCE_S = 20 * SLOW  # how long anything may take before a test gives up

SMALL = """
resources:
  chat:
    estimates: off
    limits:
      - {unit: slots, amount: 1, name: concurrency}
      - {unit: tokens, amount: 1000, per: 1h, name: tpm}
  wide:
    limits:
      - {unit: slots, amount: 100000, name: concurrency}
"""


def binary():
    return os.environ.get("SLUICE_BINARY", str(ROOT / "build" / "sluice"))


class Answer:
    """One HTTP answer, with its body read."""

    def __init__(self, status, headers, text):
        self.status = status
        self.headers = headers
        self.text = text

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def lines(self):
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def code(self):
        return self.json["error"]["code"]


class Daemon:
    """A running `sluice serve`. Its log is followed, so that a test can wait for words in it."""

    def __init__(self, directory, config, arguments=(), key=None):
        self.directory = directory
        self.config = directory / "sluice.yaml"
        self.key = key
        self.log = []
        self.heard = threading.Condition()
        self.ended = False
        self.write_config(config)
        self.process = subprocess.Popen(
            [binary(), "serve", "-c", str(self.config), *arguments],
            stderr=subprocess.PIPE,
            cwd=directory,
            text=True,
        )
        self.reader = threading.Thread(target=self._follow, daemon=True)
        self.reader.start()

    def write_config(self, config):
        head = ""
        if not re.search(r"^listen:", config, re.M):
            head += "listen: 127.0.0.1:0\n"
        if not re.search(r"^store:", config, re.M):
            head += f"store: {self.directory}/sluice.db\n"
        self.config.write_text(head + config)

    def _follow(self):
        for line in self.process.stderr:
            with self.heard:
                self.log.append(line)
                self.heard.notify_all()
        with self.heard:
            self.ended = True
            self.heard.notify_all()

    def wait_log(self, pattern, times=1):
        """The `times`-th line of the log that matches."""

        def found():
            return [m for m in (re.search(pattern, line) for line in self.log) if m]

        with self.heard:
            self.heard.wait_for(lambda: len(found()) >= times or self.ended, PATIENCE_S)
            assert len(found()) >= times, f"no {pattern!r} in the log:\n{''.join(self.log)}"
            return found()[times - 1]

    def wait_listening(self):
        self.port = int(self.wait_log(r"listening on 127\.0\.0\.1:(\d+)").group(1))
        return self

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def socket(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def _headers(self, key):
        key = self.key if key is None else key
        return {"Authorization": f"Bearer {key}"} if key else {}

    def request(self, method, path, body=None, key=None, headers=None):
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection = self.connect()
        try:
            sent = {**self._headers(key), **(headers or {})}
            if data is not None and "Content-Type" not in sent:
                sent["Content-Type"] = "application/json"
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body, **more):
        return self.request("POST", path, body, **more)

    def acquire(self, resource="chat", key=None, **fields):
        return self.post("/v1/acquire", {"resource": resource, **fields}, key=key)

    def lease(self, *arguments, **fields):
        answer = self.acquire(*arguments, **fields)
        assert answer.status == 200, answer.text
        return answer.json["lease"]

    def release(self, lease, key=None, **fields):
        return self.post("/v1/release", {"lease": lease, **fields}, key=key)

    def resource(self, name="chat", key=None):
        return self.get(f"/v1/resources/{name}", key=key).json

    def until(self, question, key=None):
        """Asks for a resource until the answer satisfies the question."""
        until = time.monotonic() + PATIENCE_S
        while not question(seen := self.resource(key=key)):
            assert time.monotonic() < until, f"it never came to that: {seen}"
            time.sleep(0.002)  # lets the threads of `later` go on
        return seen

    def waiting(self, n, key=None):
        """Returns once n requests stand in line."""
        return self.until(lambda seen: seen["line"]["waiting"] == n, key=key)

    def later(self, *arguments, **fields):
        """An acquire under way: call it for its answer."""
        answers = []

        def ask():
            answers.append(self.acquire(*arguments, **fields))

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()

        def result():
            thread.join(PATIENCE_S)
            assert answers, "no answer came"
            return answers[0]

        return result

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        code = self.process.wait(PATIENCE_S)
        self.reader.join(PATIENCE_S)
        return code

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()


@pytest.fixture
def daemon(tmp_path):
    """Starts daemons, and ends those that still run; each must end well."""
    daemons = []

    def start(config=SMALL, *arguments, key=None, listening=True):
        d = Daemon(tmp_path, config, arguments, key)
        daemons.append(d)
        return d.wait_listening() if listening else d

    yield start
    for d in daemons:
        if d.process.poll() is None:
            assert d.stop() == 0, "".join(d.log)
