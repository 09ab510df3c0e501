"""Where a run takes place: the programs it starts, and a directory on a disk for what they write."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30


class Failed(Exception):
    """A measurement that could not be made; its words say why."""


class Place:
    """The build that is measured, and how long each load lasts."""

    def __init__(self, build, seconds, warm_seconds):
        self.build = build
        self.seconds = seconds
        self.warm_seconds = warm_seconds
        self.work = build / "bench-work"
        self.commands = {}

    def program(self, name):
        return str(self.build / ("sluice" if name == "sluice" else f"bench/{name}"))

    def fresh_directory(self):
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        return self.work

    def clear(self):
        shutil.rmtree(self.work, ignore_errors=True)

    def note(self, name, command):
        """Keeps the command that a measurement ran, as somebody at the root would type it."""
        shown = command.replace(str(self.build), shown_path(self.build))
        noted = self.commands.setdefault(name, [])
        if shown not in noted:
            noted.append(shown)


def shown_path(path):
    """A path from the root where it lies below it; of another directory, only the name."""
    try:
        return str(Path(path).resolve().relative_to(ROOT))
    except ValueError:
        return Path(path).name


def run(command):
    """Runs a command to its end and returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Failed(f"{Path(command[0]).name}: {done.stderr.strip()[:400] or done.returncode}")
    return done.stdout


class Running:
    """A program in the background. `with` ends it."""

    def __init__(self, command, directory, ready):
        self.log = directory / "log"
        self.command = command
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=subprocess.STDOUT)
        try:
            self.found = self._await(ready)
        except Failed:
            self.stop()
            raise

    def _await(self, ready):
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and self.process.poll() is None:
            found = ready(self.log.read_text(errors="replace"))
            if found:
                return found
            time.sleep(0.02)
        raise Failed(f"{Path(self.command[0]).name} did not start: {self.log.read_text(errors='replace')[-400:]}")

    def rss_kib(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise Failed("the process has no memory to speak of")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
