"""What can be seen: resources, metrics, events, health."""

import json
import re

import pytest

SCOPED = """
resources:
  "team/chat":
    model: m-1
    price: {input: 0, output: 0}
    limits:
      - {unit: requests, amount: 3, per: 1h, scope: tenant, name: each}
      - {unit: usd, amount: 2.5, per: day, name: daily}
"""


class Listener:
    """A subscriber to the event stream."""

    def __init__(self, d, query="", key=None):
        self.connection = d.connect()
        self.connection.request("GET", "/v1/events" + query, headers=d._headers(key))
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        assert self.answer.headers["Content-Type"] == "text/event-stream"
        assert self.answer.readline().startswith(b":")
        self.answer.readline()

    def next(self):
        kind = self.answer.readline().decode().removeprefix("event: ").strip()
        data = self.answer.readline().decode().removeprefix("data: ")
        assert self.answer.readline() == b"\n"
        return kind, json.loads(data)

    def close(self):
        self.connection.close()


def test_resources_are_listed_with_their_limits(daemon):
    d = daemon(SCOPED)
    listed = d.get("/v1/resources").json
    (one,) = listed["resources"]
    assert listed["now_ms"] > 1_700_000_000_000
    assert one["resource"] == "team/chat" and one["model"] == "m-1"
    limits = {limit["limit"]: limit for limit in one["limits"]}
    assert limits["daily"]["unit"] == "usd" and limits["daily"]["amount"] == 2.5
    assert limits["daily"]["window"] == "calendar" and limits["daily"]["per"] == "day"
    assert limits["each"]["scope"] == "tenant" and limits["each"]["per_ms"] == 3_600_000
    assert "used" not in limits["each"]


def test_a_scoped_limit_shows_the_counter_of_one_key(daemon):
    d = daemon(SCOPED)
    d.lease("team/chat", tenant="a b")
    shown = d.get("/v1/resources/team%2Fchat?scope_key=a%20b").json
    each = {limit["limit"]: limit for limit in shown["limits"]}["each"]
    assert each["scope_key"] == "a b" and each["used"] == 1 and each["remaining"] == 2
    assert each["counters"] == 1
    assert d.get("/v1/resources/team/chat").json["resource"] == "team/chat"


@pytest.mark.parametrize("path", ["%", "team%2", "team%zzchat", "team%2Fchat%00"])
def test_a_malformed_name_is_an_unknown_resource(daemon, path):
    assert daemon(SCOPED).get("/v1/resources/" + path).code == "unknown_resource"


@pytest.mark.parametrize("query", ["scope_key=%", "scope_key=a%2", "other=%zz", "scope_key=%00"])
def test_a_malformed_query_is_refused(daemon, query):
    answer = daemon(SCOPED).get("/v1/resources?" + query)
    assert answer.status == 400 and answer.code == "invalid_request"


def test_the_line_is_seen_with_what_holds_it(daemon):
    d = daemon()
    held = d.lease()
    waiting = d.later()
    seen = d.waiting(1)
    assert seen["line"]["held_by"] == ["concurrency"] and seen["line"]["away"] == 0
    d.release(held)
    assert waiting().status == 200
    assert d.resource()["granted"] == 2


def metric(text, name):
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))


def test_metrics_count_what_happened(daemon):
    d = daemon()
    d.release(d.lease(load=300), usage={"tokens": 100})
    d.acquire(load=2000)
    d.lease(load=50)
    answer = d.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    text = answer.text
    assert metric(text, 'sluice_granted_total{resource="chat"}') == 2
    assert metric(text, 'sluice_settled_total{resource="chat"}') == 1
    assert metric(text, 'sluice_refused_total{resource="chat",code="never_fits"}') == 1
    assert metric(text, 'sluice_leases{resource="chat"}') == 1
    assert metric(text, 'sluice_limit_amount{resource="chat",limit="tpm",unit="tokens"}') == 1000
    assert metric(text, 'sluice_limit_used{resource="chat",limit="tpm",unit="tokens"}') == 150
    assert metric(text, 'sluice_limit_held{resource="chat",limit="concurrency",unit="slots"}') == 1
    assert metric(text, "sluice_journal_batches_total") >= 3
    assert metric(text, "sluice_journal_failing") == 0
    assert metric(text, "sluice_http_requests_total") >= 4
    assert metric(text, "process_resident_memory_bytes") > 0
    assert re.search(r'^sluice_build_info\{version="[\d.]+"\} 1$', text, re.M)


def test_metrics_name_the_state_of_each_resource(daemon):
    d = daemon()
    d.release(d.lease())
    text = d.get("/metrics").text
    states = re.findall(r'^sluice_resource_state\{resource="chat",state="(\w+)"\} (\d)$', text, re.M)
    assert len(states) == 8 and [name for name, is_in in states if is_in == "1"] == ["ok"]
    assert metric(text, 'sluice_effective_rate{resource="chat"}') == 1
    assert metric(text, 'sluice_refusals_in_a_row{resource="chat"}') == 0
    assert metric(text, 'sluice_retries_total{resource="chat"}') == 0
    assert metric(text, 'sluice_answers_total{resource="chat",class="ok"}') == 1


def test_metrics_are_well_formed(daemon):
    d = daemon(SCOPED)
    d.lease("team/chat")
    described = set()
    for line in d.get("/metrics").text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in described and kind in ("counter", "gauge")
            described.add(name)
        elif not line.startswith("# HELP "):
            found = re.fullmatch(r'([a-z_]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? (\S+)', line)
            assert found and found.group(1) in described, line
            float(found.group(4))


def test_events_tell_what_happens(daemon):
    d = daemon()
    listener = Listener(d)
    lease = d.lease(load=300, tenant="t", id="i")
    kind, event = listener.next()
    assert kind == "granted" and event["lease"] == lease and event["resource"] == "chat"
    assert event["tenant"] == "t" and event["id"] == "i" and event["held"]["tokens"] == 300
    d.release(lease, usage={"tokens": 5})
    kind, event = listener.next()
    assert kind == "settled" and event["settled"]["tokens"] == 5 and event["late"] is False
    d.acquire(load=5000)
    kind, event = listener.next()
    assert kind == "refused" and event["code"] == "never_fits" and event["limit"] == "tpm"
    d.lease(lease_ms=1)
    assert listener.next()[0] == "granted"
    assert listener.next()[0] == "expired"
    listener.close()


def test_events_can_be_chosen_by_resource_and_kind(daemon):
    d = daemon()
    by_resource = Listener(d, "?resource=wide")
    by_kind = Listener(d, "?kind=settled,expired")
    d.lease("chat")
    wide = d.lease("wide")
    d.release(wide)
    assert by_resource.next()[1]["lease"] == wide
    kind, event = by_kind.next()
    assert kind == "settled" and event["lease"] == wide
    by_resource.close()
    by_kind.close()


def test_events_of_an_unknown_kind_are_refused(daemon):
    answer = daemon().get("/v1/events?kind=granted,nonsense")
    assert answer.status == 400 and answer.code == "invalid_request"


def test_a_reload_is_an_event(daemon):
    import signal

    d = daemon()
    listener = Listener(d, "?kind=config")
    d.signal(signal.SIGHUP)
    kind, event = listener.next()
    assert kind == "config" and event["config"] == "applied"
    listener.close()


def test_a_budget_that_is_nearly_used_up_is_an_alert(daemon):
    d = daemon(
        "resources: {chat: {limits: "
        "[{unit: tokens, amount: 100, per: lifetime, name: total, warn_at: 80%}]}}\n"
    )
    listener = Listener(d, "?kind=alert")
    d.release(d.lease(load=90), usage={"tokens": 90})
    kind, event = listener.next()
    assert kind == "alert" and event["alert"] == "budget_warn" and event["limit"] == "total"
    d.wait_log(r"alert budget_warn")
    listener.close()


def test_listeners_are_bounded(daemon):
    d = daemon()
    listeners = [Listener(d) for _ in range(64)]
    answer = d.get("/v1/events")
    assert answer.status == 503 and answer.code == "over_cap"
    for listener in listeners:
        listener.close()


def test_a_listener_that_does_not_keep_up_is_cut_off_and_holds_nobody_up(daemon):
    d = daemon()
    with d.socket() as deaf:
        deaf.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        many = [{"resource": "wide", "tenant": "t" * 128, "id": "x"} for _ in range(1024)]
        for turn in range(200):
            for i, request in enumerate(many):
                request["id"] = f"{turn}.{i}.".ljust(128, "x")
            lines = d.post("/v1/acquire", many).lines
            d.post("/v1/release", [{"lease": line["lease"]} for line in lines])
            if metric(d.get("/metrics").text, "sluice_listeners_cut_total") == 1:
                break
        else:
            raise AssertionError("it was never cut off")
    assert d.acquire("wide").status == 200


def test_health_and_the_front_door(daemon):
    d = daemon()
    assert d.get("/healthz").text == "ok\n"
    assert d.get("/readyz").text == "ready\n"
    front = d.get("/")
    assert front.status == 200 and "/v1/acquire" in front.text


def test_head_is_answered_without_a_body(daemon):
    d = daemon()
    answer = d.request("HEAD", "/v1/resources")
    assert answer.status == 200 and answer.text == ""
    assert int(answer.headers["Content-Length"]) > 0
    stream = d.request("HEAD", "/v1/events")
    assert stream.status == 200 and stream.headers["Content-Type"] == "text/event-stream"


def test_leases_are_listed_page_by_page_though_they_end_meanwhile(daemon):
    d = daemon()
    first, second, third = (d.lease("wide") for _ in range(3))

    def page(after):
        seen = d.get(f"/v1/leases?limit=1&after={after}").json
        return [one["lease"] for one in seen["leases"]], seen["next"]

    assert page("") == ([first], first)
    assert page(first) == ([second], second)
    assert d.release(second).status == 200
    assert page(second) == ([third], None)


def test_a_settlement_over_what_was_asked_is_an_alert(daemon):
    d = daemon("resources: {chat: {limits: [{unit: tokens, amount: 100, per: lifetime, name: total}]}}\n")
    listener = Listener(d, "?kind=alert")
    d.release(d.lease(load=90), usage={"tokens": 130})
    kind, event = listener.next()
    assert kind == "alert" and event["alert"] == "overrun" and event["limit"] == "total"
    listener.close()


def test_scopes_are_named_and_a_lease_names_its_parent(daemon):
    d = daemon(
        "resources: {chat: {limits: ["
        "{unit: requests, amount: 9, per: 1h, scope: model},"
        "{unit: tokens, amount: 9, per: 1h, scope: 'label:team'}]}}\n"
    )
    assert [limit["scope"] for limit in d.resource()["limits"]] == ["model", "label"]
    parent = d.lease(load=1)
    child = d.lease(load=1, parent=parent)
    listed = {lease["lease"]: lease for lease in d.get("/v1/leases").json["leases"]}
    assert listed[child]["parent"] == parent and "parent" not in listed[parent]


def test_a_shutdown_ends_the_streams_of_events(daemon):
    d = daemon()
    listener = Listener(d)
    assert d.stop() == 0
    assert listener.answer.read() == b""
    listener.close()
