"""The webhook: alerts posted to a real HTTP server, however that behaves, while the daemon goes on."""

import http.server
import json
import queue
import socket
import threading

import pytest
from test_looking import metric

SECRET = "hunter2hunter2"
CONFIG = (
    "alerts: {webhook: '%s'}\n"
    "resources: {chat: {limits: ["
    "{unit: requests, amount: 2, per: lifetime, scope: tenant, warn_at: 50%%, exceed: refuse, name: each}]}}\n"
)
PATIENCE_S = 30


class Hook:
    """An HTTP server that answers what it is told to, and remembers what it was sent."""

    def __init__(self):
        self.taken = queue.Queue()
        self.answers = queue.Queue()  # statuses to answer first; None: not before `released`
        self.released = threading.Event()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.taken.put((self.path, self.headers, json.loads(body)))
                status = hook.answers.get() if not hook.answers.empty() else 200
                if status is None:
                    hook.released.wait(PATIENCE_S)
                    status = 200
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass  # whoever asked has left

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/hook?token={SECRET}"

    def next(self):
        return self.taken.get(timeout=PATIENCE_S)

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hook():
    one = Hook()
    yield one
    one.close()


def figure(d, name):
    return metric(d.get("/metrics").text, "sluice_webhook_" + name)


def until(d, name, value):
    d.until(lambda _: figure(d, name) == value)


def warn(d, tenant):
    """A warning of the tenant's budget."""
    d.release(d.lease(tenant=tenant))


def test_an_alert_is_posted_as_json(daemon, hook):
    d = daemon(CONFIG % hook.url)
    warn(d, "a")
    path, headers, body = hook.next()
    assert path == f"/hook?token={SECRET}" and headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("sluice/")
    assert body["alert"] == "budget_warn" and body["resource"] == "chat" and body["scope_key"] == "a"
    assert body["text"] == body["message"] == "resource chat: 1 requests of 2 requests of limit each (a) are used"
    until(d, "posted_total", 1)
    assert figure(d, "waiting") == 0 and figure(d, "dropped_total") == 0


def test_what_fails_is_tried_again_and_in_order(daemon, hook):
    hook.answers.put(503)
    d = daemon(CONFIG % hook.url)
    warn(d, "a")
    warn(d, "b")
    assert [hook.next()[2]["scope_key"] for _ in range(3)] == ["a", "a", "b"]
    until(d, "posted_total", 2)
    assert figure(d, "failures_total") == 1
    d.wait_log(r"the webhook did not take an alert: it answered 503; it is tried again")


def test_what_is_not_wanted_is_let_go(daemon, hook):
    hook.answers.put(404)
    d = daemon(CONFIG % hook.url)
    warn(d, "a")
    warn(d, "b")
    assert [hook.next()[2]["scope_key"] for _ in range(2)] == ["a", "b"]
    until(d, "posted_total", 1)
    assert figure(d, "dropped_total") == 1
    d.wait_log(r"the webhook did not take an alert: it answered 404; the alert is let go")


def test_a_webhook_that_hangs_holds_up_nobody_and_not_the_end(daemon, hook):
    hook.answers.put(None)
    d = daemon(CONFIG % hook.url)
    warn(d, "a")
    hook.next()
    assert d.acquire(tenant="b").status == 200
    assert d.stop() == 0
    assert not hook.released.is_set()


def test_the_backlog_is_bounded(daemon, hook):
    hook.answers.put(None)
    d = daemon(CONFIG % hook.url)
    for i in range(70):
        warn(d, f"t{i}")
    assert figure(d, "waiting") == 64 and figure(d, "dropped_total") == 6
    assert len([line for line in d.log if "too slow" in line]) == 1
    hook.released.set()
    until(d, "posted_total", 64)


def test_nobody_there_is_logged_without_the_address(daemon):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        d = daemon(CONFIG % f"http://127.0.0.1:{taken.getsockname()[1]}/hook?token={SECRET}")
        warn(d, "a")
        d.wait_log(r"the webhook did not take an alert: the other side: .*; it is tried again")
    assert SECRET not in "".join(d.log) and SECRET not in d.get("/metrics").text


def test_a_reload_turns_it_off_and_on(daemon, hook):
    d = daemon((CONFIG % hook.url).split("\n", 1)[1])
    warn(d, "a")
    d.write_config(CONFIG % hook.url)
    d.signal(1)
    d.wait_log(r"reloaded ")
    warn(d, "b")
    assert hook.next()[2]["scope_key"] == "b"
    until(d, "posted_total", 1)
    d.write_config((CONFIG % hook.url).split("\n", 1)[1])
    d.signal(1)
    d.wait_log(r"reloaded ", times=2)
    warn(d, "c")
    assert hook.taken.empty() and figure(d, "waiting") == 0
