"""Disks that are full, stores that cannot be used, and peers that do not take their answers."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess

import pytest

from conftest import SMALL


class Disk:
    """A file system of one megabyte."""

    def __init__(self, at):
        self.at = at
        self.ballast = at / "ballast"

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass

    def empty(self):
        self.ballast.unlink()

    def make_read_only(self):
        subprocess.run(["mount", "-o", "remount,ro", self.at], check=True)


@pytest.fixture
def disk(tmp_path):
    at = tmp_path / "disk"
    at.mkdir()
    mount = shutil.which("mount")
    if not mount or subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "none", at], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield Disk(at)
    subprocess.run(["umount", "-l", at], check=True)


def on(disk):
    return f"store: {disk.at}/sluice.db\n" + SMALL


def grant_until_refused(d):
    """The leases that were granted, and the answer that was none."""
    granted = []
    for _ in range(2000):
        answer = d.acquire("wide")
        if answer.status != 200:
            return granted, answer
        granted.append(answer.json["lease"])
    raise AssertionError("a full disk took them all")


def open_leases(d):
    page = d.get("/v1/leases?limit=1000").json
    assert page["next"] is None
    return [lease["lease"] for lease in page["leases"]]


def test_a_disk_that_is_full_for_real_stops_grants_and_goes_on_with_room(daemon, disk):
    d = daemon(on(disk))
    kept = d.lease("wide", load=5)
    disk.fill()
    granted, answer = grant_until_refused(d)
    assert answer.status == 503 and answer.code == "store_failed"
    assert "full" in answer.json["error"]["message"]
    assert int(answer.headers["Retry-After"]) >= 1
    d.wait_log(r"the store cannot be written: .* full; nothing is granted until it can")
    assert d.get("/readyz").code == "store_failed"
    assert d.acquire("wide").code == "store_failed"
    assert d.release(kept).code == "store_failed"
    assert open_leases(d) == [kept, *granted]
    disk.empty()
    d.wait_log(r"the store can be written again")
    assert d.release(kept, usage={"tokens": 3}).json["settled"]["tokens"] == 3
    more = d.lease("wide")
    assert d.stop() == 0
    d = daemon(on(disk))
    assert open_leases(d) == [*granted, more]


def test_a_start_leaves_a_small_disk_the_room_it_has(daemon, disk):
    d = daemon(on(disk), "--durability", "full")
    d.lease("wide")
    left = os.statvfs(disk.at)
    assert left.f_bavail * left.f_frsize > 500_000


def test_what_was_answered_before_the_disk_was_full_survives_a_kill(daemon, disk):
    d = daemon(on(disk))
    first = d.lease("wide")  # the store has taken the room that it begins with, or given it back
    disk.fill()
    granted, _ = grant_until_refused(d)
    d.signal(signal.SIGKILL)
    d.wait()
    disk.empty()
    d = daemon(on(disk))
    assert open_leases(d)[: 1 + len(granted)] == [first, *granted]


def test_a_start_on_a_full_disk_says_that_room_is_needed(daemon, disk):
    disk.fill()
    d = daemon(on(disk), listening=False)
    assert d.wait() == 1
    d.wait_log(r"the store cannot be opened: .*; make room there, and start again")


def test_a_start_on_a_read_only_disk_says_what_to_do(daemon, disk):
    disk.make_read_only()
    d = daemon(on(disk), listening=False)
    assert d.wait() == 1
    d.wait_log(r"cannot be opened for writing: Read-only file system; give `store` \(or --store\) a path that this user may write")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_start_on_a_store_of_somebody_else_says_what_to_do(daemon, tmp_path):
    daemon().stop()
    (tmp_path / "sluice.db").chmod(0o444)
    d = daemon(listening=False)
    assert d.wait() == 1
    d.wait_log(r"Permission denied; give `store` \(or --store\) a path that this user may write")


def test_the_second_daemon_on_a_store_names_the_first(daemon):
    first = daemon()
    lease = first.lease()
    second = daemon(listening=False)
    assert second.wait() == 1
    second.wait_log(
        rf"sluice\.db is held by another sluice \(process {first.process.pid}\); "
        r"stop that one, or give `store` \(or --store\) another path"
    )
    assert first.release(lease).status == 200


def change(path, sql):
    with sqlite3.connect(path) as store:
        store.executescript(sql)
    store.close()


def test_a_store_of_a_newer_version_is_refused_and_left_alone(daemon, tmp_path):
    assert daemon().stop() == 0
    change(tmp_path / "sluice.db", "PRAGMA user_version=99")
    before = (tmp_path / "sluice.db").read_bytes()
    d = daemon(listening=False)
    assert d.wait() == 1
    d.wait_log(r"has version 99 and this sluice knows up to \d+; start the newer sluice that wrote it")
    assert (tmp_path / "sluice.db").read_bytes() == before


def test_a_damaged_store_is_refused_with_the_remedy_and_left_alone(daemon, tmp_path):
    (tmp_path / "sluice.db").write_bytes(b"this was a store once " * 1000)
    before = (tmp_path / "sluice.db").read_bytes()
    d = daemon(listening=False)
    assert d.wait() == 1
    d.wait_log(r"is damaged .* was left as it is; to keep what can still be read: mv ")
    assert (tmp_path / "sluice.db").read_bytes() == before


def test_a_peer_that_reads_nothing_is_left_when_the_drain_is_over(daemon, tmp_path):
    path = tmp_path / "s.sock"
    # More than the system holds for a peer that does not read.
    labels = {str(i): "x" * 100 for i in range(4)}
    d = daemon(
        f"listen: [127.0.0.1:0, 'unix:{path}']\nserver: {{drain_timeout: 1s}}\n" + SMALL,
    )
    for _ in range(2):
        lines = d.post("/v1/acquire", [{"resource": "wide", "labels": labels}] * 500).lines
        assert [line["status"] for line in lines] == [200] * 500
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.connect(str(path))
        stuck.sendall(b"GET /v1/leases?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert stuck.recv(1)
        d.signal(signal.SIGTERM)
        d.wait_log(r"draining, at most 1000 ms")
        assert d.wait() == 0
        d.wait_log(r"leaving with 1 connections unfinished")
        d.wait_log(r"left")
