"""A real coordinator and a real pretend provider, as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 20 * int(os.environ.get("SLUICE_TEST_SLOW", "1"))


def binary():
    return os.environ.get("SLUICE_BINARY", str(ROOT / "build" / "sluice"))


def reserve_port():
    """A socket that keeps a port, where nobody listens until a test starts something there. The system gives it to
    nobody else, and not to a caller as the near end of its connection either, which would connect it with itself."""
    reserve = socket.socket()
    reserve.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserve.bind(("127.0.0.1", 0))
    return reserve


class Program:
    """A subcommand that says where it listens."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [binary(), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.log = []
        listening = threading.Event()
        self._reader = threading.Thread(target=self._follow, args=(listening,), daemon=True)
        self._reader.start()
        assert listening.wait(PATIENCE_S) and self.port, "".join(self.log)

    def _follow(self, listening):
        self.port = None
        for line in self.process.stdout:
            self.log.append(line)
            found = re.search(r"listening on \S*:(\d+)", line)
            if found and self.port is None:
                self.port = int(found[1])
                listening.set()
        listening.set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code


class Coordinator(Program):
    """`sluice serve` with a configuration given as text."""

    def __init__(self, directory, config, port=0, also=None):
        path = directory / "sluice.yaml"
        listen = [f"127.0.0.1:{port}", *([also] if also else [])]
        path.write_text(f"listen: {json.dumps(listen)}\nstore: {directory}/sluice.db\n{config}")
        super().__init__("serve", "-c", str(path), "--durability", "process")

    def resource(self, name):
        return self.get(f"/v1/resources/{name}")

    def limit(self, name, limit):
        return next(x for x in self.resource(name)["limits"] if x["limit"] == limit)

    def waiting(self, name):
        return self.resource(name)["line"]["waiting"]


class Mock(Program):
    """`sluice mock`."""

    def __init__(self, *arguments):
        super().__init__("mock", "--listen", "127.0.0.1:0", *arguments)

    @property
    def stats(self):
        return self.get("/mock/stats")
