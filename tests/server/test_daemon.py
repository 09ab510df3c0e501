"""Starting, reloading and leaving."""

import http.client
import json
import resource
import signal
import socket
import sqlite3
import subprocess

import pytest

from conftest import PATIENCE_S, SMALL, binary


def refused(tmp_path, *arguments):
    done = subprocess.run(
        [binary(), "serve", *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE_S
    )
    assert done.returncode != 0
    return done.stderr


def test_without_a_configuration_it_says_how_to_name_one(tmp_path):
    said = refused(tmp_path)
    assert "-c FILE" in said and "etc/example.yaml" in said


def test_a_configuration_with_an_error_is_named_by_file_and_line(tmp_path):
    (tmp_path / "bad.yaml").write_text("resources:\n  chat: {rmp: 5}\n")
    said = refused(tmp_path, "-c", "bad.yaml")
    assert "bad.yaml:2" in said and "rpm" in said


@pytest.mark.parametrize("option", [["--durability", "some"], ["--log-level", "loud"], ["--what"], ["x"]])
def test_options_that_make_no_sense_are_refused(tmp_path, option):
    assert "sluice serve --help" in refused(tmp_path, *option)


def test_help_has_examples():
    done = subprocess.run([binary(), "serve", "--help"], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0 and "Examples:" in done.stdout


def test_an_address_beyond_this_machine_needs_keys(daemon):
    d = daemon("listen: 0.0.0.0:0\n" + SMALL, listening=False)
    assert d.wait() == 1
    d.wait_log(r"--insecure")


def test_insecure_says_that_it_may_do_without(daemon):
    d = daemon("listen: 0.0.0.0:0\n" + SMALL, "--insecure", listening=False)
    d.port = int(d.wait_log(r"listening on 0\.0\.0\.0:(\d+)").group(1))
    assert d.acquire().status == 200


def test_two_daemons_on_one_store_are_one_too_many(daemon):
    daemon()
    second = daemon(listening=False)
    assert second.wait() == 1
    second.wait_log(r"the store cannot be opened")


def test_an_address_in_use_is_refused(daemon):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        d = daemon(SMALL, "--listen", f"127.0.0.1:{port}", listening=False)
        assert d.wait() == 1
        d.wait_log(r"cannot listen")


def test_it_listens_on_a_unix_socket(daemon, tmp_path):
    path = tmp_path / "s.sock"
    d = daemon(SMALL, "--listen", f"unix:{path}", listening=False)
    d.wait_log(r"listening on unix:")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(str(path))
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: sluice\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_an_older_file_is_no_obstacle_to_other_options(daemon, tmp_path):
    d = daemon(SMALL, "--store", str(tmp_path / "other.db"), "--durability", "process")
    d.lease()
    assert (tmp_path / "other.db").exists() and not (tmp_path / "sluice.db").exists()


def test_durability_none_keeps_nothing(daemon, tmp_path):
    d = daemon(SMALL, "--durability", "none")
    assert d.release(d.lease()).status == 200
    d.wait_log(r"nothing is kept")
    assert not (tmp_path / "sluice.db").exists()


def test_a_spent_budget_is_still_spent_when_its_leases_are_long_forgotten(daemon, tmp_path):
    budget = "{unit: usd, amount: 1, scope: session, per: lifetime, exceed: refuse, name: budget}"
    config = f"resources: {{chat: {{price: given, limits: [{budget}]}}}}\n"
    d = daemon(config)
    lease = d.lease(session="s", load={"usd": 0.9})
    assert d.release(lease, usage={"usd": 0.9}).status == 200
    assert d.stop() == 0
    with sqlite3.connect(tmp_path / "sluice.db") as store:
        store.execute("DELETE FROM sheet")  # as pruning does after a while
    store.close()
    d = daemon(config)
    refused = d.acquire(session="s", load={"usd": 0.2})
    assert refused.status == 402 and refused.json["error"]["limit"] == "budget"
    assert d.acquire(session="s", load={"usd": 0.1}).status == 200
    assert d.acquire(session="another", load={"usd": 0.9}).status == 200


def test_a_budget_that_counts_something_else_is_a_new_one(daemon):
    config = "resources: {{chat: {{price: given, limits: [{{unit: {}, amount: 1, scope: session, per: lifetime, exceed: refuse, name: b}}]}}}}\n"
    call = {"session": "s", "load": {"usd": 0.9}}
    for unit in ("usd", "requests"):
        d = daemon(config.format(unit))
        assert d.release(d.lease(**call), usage={"usd": 0.9}).status == 200
        assert d.acquire(**call).status == 402
        assert d.stop() == 0
    assert daemon(config.format("requests")).acquire(**call).status == 402


def test_a_damaged_row_is_all_that_a_refused_start_speaks_of(daemon, tmp_path):
    d = daemon()
    d.lease(resource="wide")
    d.lease(resource="wide")
    assert d.stop() == 0
    with sqlite3.connect(tmp_path / "sluice.db") as store:
        for seq, member, value in [(1, 9, 1), (2, 10, 99)]:  # due as soon as it is read; no priority
            store.execute(f"UPDATE sheet SET records = json_replace(records, '$[0][{member}]', {value}) WHERE seq = {seq}")
    store.close()
    d = daemon(listening=False)
    assert d.wait() != 0
    log = "".join(d.log)
    assert "cannot be read back" in log and "damaged" in log
    assert "could not be written" not in log


def test_sigterm_tells_those_in_line_to_come_back_and_leaves_in_order(daemon):
    d = daemon()
    d.lease()
    waiting = d.later()
    d.waiting(1)
    d.signal(signal.SIGTERM)
    answer = waiting()
    assert answer.status == 503 and answer.code == "shutting_down"
    assert int(answer.headers["Retry-After"]) >= 1
    assert d.wait() == 0
    d.wait_log(r"left")


def test_sigterm_answers_every_line_of_an_array(daemon):
    d = daemon()
    d.lease()
    connection = d.connect()
    body = json.dumps([{"resource": "chat"} for _ in range(150)])
    connection.request("POST", "/v1/acquire", body, {"Content-Type": "application/json"})
    d.waiting(150)
    d.signal(signal.SIGTERM)
    lines = [json.loads(line) for line in connection.getresponse().read().splitlines()]
    assert len(lines) == 150
    assert {line["error"]["code"] for line in lines} == {"shutting_down"}
    connection.close()
    assert d.wait() == 0


def test_a_second_signal_leaves_at_once(daemon):
    d = daemon("server: {drain_timeout: 1h}\n" + SMALL)
    with d.socket() as silent:
        # A listener that does not read would hold the drain up.
        silent.sendall(b"POST /v1/acquire HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n")
        d.signal(signal.SIGINT)
        d.wait_log("draining")
        d.signal(signal.SIGINT)
        assert d.wait() == 0


def test_sighup_applies_a_changed_configuration(daemon):
    d = daemon()
    d.lease()
    waiting = d.later()
    d.waiting(1)
    d.write_config(SMALL.replace("amount: 1, name", "amount: 2, name"))
    d.signal(signal.SIGHUP)
    assert waiting().status == 200
    d.wait_log(r"changed: chat\.concurrency from 1 to 2 slots")
    d.wait_log(r"reloaded ")


def test_sighup_with_an_error_keeps_what_was(daemon):
    d = daemon()
    d.write_config("resources: {chat: {rmp: 5}}\n")
    d.signal(signal.SIGHUP)
    d.wait_log(r"reload refused")
    assert d.acquire().status == 200


def test_sighup_says_what_needs_a_restart(daemon):
    d = daemon()
    d.write_config("store: elsewhere.db\n" + SMALL)
    d.signal(signal.SIGHUP)
    d.wait_log(r"needs a restart")
    d.wait_log(r"reloaded ")


def test_a_removed_resource_is_unknown_after_a_reload(daemon):
    d = daemon()
    d.lease("wide")
    d.write_config(SMALL[: SMALL.index("  wide:")])
    d.signal(signal.SIGHUP)
    d.wait_log(r"changed: resource wide is gone")
    assert d.acquire("wide").code == "unknown_resource"


def fail_writes(d, fail):
    """The store meets a full disk, by a limit on the size of files."""
    limit = (1, resource.RLIM_INFINITY) if fail else (resource.RLIM_INFINITY,) * 2
    resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, limit)


def test_a_full_disk_stops_grants_and_loses_nothing(daemon):
    d = daemon()
    kept = d.lease("wide", load=5)
    fail_writes(d, True)
    answer = d.acquire("wide", load=7)
    assert answer.status == 503 and answer.code == "store_failed"
    assert int(answer.headers["Retry-After"]) >= 1
    d.wait_log(r"the store cannot be written")
    ready = d.get("/readyz")
    assert ready.status == 503 and ready.code == "store_failed"
    assert d.get("/healthz").status == 200
    assert d.release(kept).code == "store_failed"
    assert d.post("/v1/renew", {"lease": kept}).code == "store_failed"
    (line,) = d.post("/v1/acquire", [{"resource": "wide", "id": "x"}]).lines
    assert line["status"] == 503 and line["id"] == "x" and line["error"]["code"] == "store_failed"
    assert [lease["lease"] for lease in d.get("/v1/leases").json["leases"]] == [kept]
    fail_writes(d, False)
    d.wait_log(r"the store can be written again")
    assert d.release(kept, usage={"tokens": 3}).json["settled"]["tokens"] == 3
    assert d.get("/readyz").status == 200
    assert d.acquire("wide").status == 200


def test_a_connection_that_stays_open_does_not_hold_a_shutdown_up(daemon):
    d = daemon()
    idle = d.connect()
    idle.request("GET", "/healthz")
    idle.getresponse().read()
    assert d.stop() == 0
    with pytest.raises((http.client.HTTPException, OSError)):
        idle.request("GET", "/healthz")
        idle.getresponse()
    idle.close()
