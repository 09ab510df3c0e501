"""The ledger: what was settled, who it was for, what it cost; and corrections of budgets."""

import json
import random
import signal
import sqlite3
import time
from decimal import Decimal

import pytest
from conftest import PATIENCE_S

MONEY = """
resources:
  big:
    price: given
    limits:
      - {unit: usd, amount: 100000, per: day, name: daily}
      - {unit: usd, amount: 100000, per: lifetime, name: ever}
      - {unit: usd, amount: 90000, per: lifetime, scope: tenant, exceed: refuse, name: each}
      - {unit: usd, amount: 90000, per: lifetime, scope: session, exceed: refuse, name: run}
  small:
    price: given
    limits:
      - {unit: usd, amount: 100000, per: lifetime, name: ever}
"""


def exact(answer):
    return json.loads(answer.text, parse_float=Decimal, parse_int=Decimal)


def rows(d, query, key=None):
    answer = d.get(f"/v1/usage?{query}", key=key)
    assert answer.status == 200, answer.text
    return {row["key"]: row for row in exact(answer)["rows"]}


def spend(d, usd="1", resource="big", usage=None, **fields):
    lease = d.lease(resource, load={"tokens": 10, "usd": float(usd)}, **fields)
    used = usage or {"input_tokens": 6, "output_tokens": 4, "usd": float(usd)}
    assert d.release(lease, usage=used).status == 200


def until_there(question):
    """Asks until the answer is not empty."""
    until = time.monotonic() + PATIENCE_S
    while not (answer := question()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.002)
    return answer


def limits(d, resource="big", key=""):
    seen = exact(d.get(f"/v1/resources/{resource}?scope_key={key}"))
    return {limit["limit"]: limit for limit in seen["limits"]}


def test_usage_adds_up_by_whatever_is_asked(daemon):
    d = daemon(MONEY)
    spend(d, "0.5", tenant="a", session="s1", labels={"team": "red"})
    spend(d, "0.25", tenant="b", session="s1", labels={"team": "blue"})
    spend(d, "0.125", tenant="a", resource="small")
    assert {k: row["cost_usd"] for k, row in rows(d, "by=tenant").items()} == {"a": Decimal("0.625"), "b": Decimal("0.25")}
    assert {k: row["calls"] for k, row in rows(d, "by=resource").items()} == {"big": 2, "small": 1}
    assert {k: row["calls"] for k, row in rows(d, "by=session").items()} == {None: 1, "s1": 2}
    assert {k: row["calls"] for k, row in rows(d, "by=label:team").items()} == {None: 1, "red": 1, "blue": 1}
    (day,) = rows(d, "by=day").values()
    assert day["tokens"] == 30 and day["input_tokens"] == 18 and day["output_tokens"] == 12
    assert rows(d, "by=hour&since=1h&tenant=b")[next(iter(rows(d, "by=hour")))]["calls"] == 1


def test_parts_of_tokens_and_refusals_are_told_apart(daemon):
    d = daemon(MONEY)
    usage = {"input_tokens": 10, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 30, "output_tokens": 5}
    spend(d, usage={**usage, "cost": 0.5})
    refused = d.lease("big", load={"tokens": 10, "usd": 1})
    d.release(refused, status=429)
    (row,) = rows(d, "by=model").values()
    assert (row["input_tokens"], row["cache_read_tokens"], row["output_tokens"]) == (10, 20, 5)
    assert row["cache_write_5m_tokens"] == 30 and row["calls"] == 2 and row["errors"] == 1
    assert {k for k in rows(d, "by=outcome")} == {"ok", "wait"}


def test_pages_of_usage_go_on_where_they_ended(daemon):
    d = daemon(MONEY)
    for tenant in ("a", "b", "c"):
        spend(d, tenant=tenant)
    seen, after = [], ""
    while after is not None:
        page = d.get("/v1/usage?by=tenant&limit=1" + (f"&after={after}" if after else "")).json
        seen += [row["key"] for row in page["rows"]]
        after = page["next"]
    assert seen == ["a", "b", "c"]


@pytest.mark.parametrize(
    "query",
    ["by=nothing", "by=label:", "since=yesterday", "until=2026-13-01", "limit=0", "limit=1001", f"tenant={'x' * 129}"],
)
def test_a_question_that_makes_no_sense_is_refused(daemon, query):
    answer = daemon(MONEY).get("/v1/usage?" + query)
    assert answer.status == 400 and answer.code == "invalid_request"


def test_times_are_dates_milliseconds_or_how_long_ago(daemon):
    d = daemon(MONEY)
    spend(d)
    for since in ("2020-01-01T00:00:00Z", "1577836800000", "1h"):
        assert len(rows(d, f"since={since}")) == 1
    assert rows(d, "until=2020-01-01T00:00:00Z&since=0") == {}
    assert rows(d, "until=1h&since=24h") == {}


def test_without_a_store_there_is_no_ledger(daemon):
    d = daemon(MONEY, "--durability", "none")
    assert d.get("/v1/usage").status == 404


def test_a_session_is_summed_up_with_what_is_left_of_its_budgets(daemon):
    d = daemon(MONEY)
    spend(d, "0.5", session="run 1")
    spend(d, "0.25", session="run 1", resource="small")
    spend(d, "7", session="other")
    seen = exact(d.get("/v1/sessions/run%201"))
    assert seen["session"] == "run 1" and seen["calls"] == 2 and seen["cost_usd"] == Decimal("0.75")
    assert seen["first_ms"] <= seen["last_ms"] and seen["tokens"] == 20
    assert {m["model"] for m in seen["models"]} == {"big", "small"}
    (budget,) = seen["budgets"]
    assert budget["resource"] == "big" and budget["limit"] == "run"
    assert budget["used"] == Decimal("0.5") and budget["remaining"] == Decimal("89999.5")


def test_a_limit_of_a_pool_has_its_own_name_in_each_resource(daemon):
    wallet = "{unit: usd, amount: 1, per: day, shared: wallet, name: %s}"
    resources = [f"  {name}: {{price: given, limits: [{wallet % f'of-{name}'}]}}\n" for name in "ab"]
    d = daemon("resources:\n" + "".join(resources))
    d.lease("a", load={"usd": 0.9})
    for name in "ab":
        refused = d.acquire(name, load={"usd": 0.9}).json["error"]
        assert refused["limit"] == f"of-{name}"
        assert f"it asks for 0.9 USD, and limit `of-{name}` has 0.1 USD of 1 USD left" in refused["message"]
        assert [limit["limit"] for limit in d.resource(name)["limits"]] == [f"of-{name}"]
        corrected = d.post("/v1/budget", {"resource": name, "limit": f"of-{name}", "reset": True})
        assert corrected.status == 200 and corrected.json["limit"] == f"of-{name}"


@pytest.mark.parametrize("name", ["%", "a%2", "a%zz", "a%00b", "x" * 129])
def test_a_session_whose_name_is_none_is_refused(daemon, name):
    answer = daemon(MONEY).get("/v1/sessions/" + name)
    assert answer.status == 400 and answer.code == "invalid_request"


def test_a_session_of_which_nothing_is_known_has_used_nothing(daemon):
    seen = daemon(MONEY).get("/v1/sessions/new").json
    assert seen["calls"] == 0 and seen["models"] == [] and seen["first_ms"] is None
    assert seen["budgets"][0]["used"] == 0 and seen["budgets"][0]["remaining"] == 90000


def test_an_expiry_is_booked_and_a_late_settlement_takes_its_place(daemon):
    d = daemon(MONEY)
    lease = d.lease("big", load={"tokens": 10, "usd": 5}, lease_ms=1, tenant="a")
    found = until_there(lambda: rows(d, "by=tenant"))
    assert found["a"]["expired"] == 1 and found["a"]["cost_usd"] == 5
    assert d.release(lease, usage={"usd": 0.5, "tokens": 3}).json["late"] is True
    found = rows(d, "by=tenant")
    assert found["a"]["expired"] == 0 and found["a"]["calls"] == 1 and found["a"]["cost_usd"] == Decimal("0.5")
    assert limits(d)["ever"]["used"] == Decimal("0.5")


def check_day(d):
    """The same of a day, unless it ended meanwhile."""
    before = time.gmtime().tm_mday
    days = rows(d, "by=day&resource=big&since=0")
    used = limits(d)["daily"]["used"]
    if len(days) == 1 and before == time.gmtime().tm_mday == int(max(days)[-2:]):
        assert used == days[max(days)]["cost_usd"]


def check_sums(d, tenants, sessions):
    """Every budget says what the ledger says, to the last picodollar."""
    all_time = "since=0&limit=1000"
    by_resource = rows(d, f"by=resource&{all_time}")
    big = limits(d)
    assert big["ever"]["used"] == by_resource["big"]["cost_usd"]
    check_day(d)
    assert limits(d, "small")["ever"]["used"] == by_resource["small"]["cost_usd"]
    by_tenant = rows(d, f"by=tenant&resource=big&{all_time}")
    for tenant in tenants:
        assert limits(d, key=tenant)["each"]["used"] == by_tenant[tenant]["cost_usd"], tenant
    by_session = rows(d, f"by=session&resource=big&{all_time}")
    for session in sessions:
        budgets = exact(d.get(f"/v1/sessions/{session}"))["budgets"]
        assert budgets[0]["used"] == by_session[session]["cost_usd"], session


def settle_many(d, draw, n, tenants, sessions):
    """Random calls: most settle, some are refused, some expire, some of those settle late."""
    asked = [
        {
            "resource": draw.choice(["big", "big", "small"]),
            "load": {"tokens": 10, "usd": draw.randrange(10**12) / 10**12},
            "tenant": draw.choice(tenants),
            "session": draw.choice(sessions),
            "lease_ms": 1 if draw.random() < 0.05 else 600_000,
        }
        for _ in range(n)
    ]
    leases = [line["lease"] for line in d.post("/v1/acquire", asked).lines]
    ends = []
    for lease in leases:
        if draw.random() < 0.03:
            continue  # those with a short lease expire, the others stay open
        if draw.random() < 0.1:
            ends.append({"lease": lease, "status": 429})
        else:
            ends.append({"lease": lease, "usage": {"tokens": 7, "usd": draw.randrange(10**13) / 10**12}})
    settled = d.post("/v1/release", ends).lines
    assert all(line["status"] == 200 for line in settled)
    return sum(line["late"] for line in settled)


def test_the_ledger_equals_the_budgets_also_after_kill_9(daemon):
    tenants, sessions = [f"t{i}" for i in range(5)], [f"s{i}" for i in range(20)]
    draw = random.Random(7)
    d = daemon(MONEY)
    for _ in range(3):
        for _ in range(4):
            settle_many(d, draw, 300, tenants, sessions)
        check_sums(d, tenants, sessions)
        d.signal(signal.SIGKILL)
        d.wait()
        d = daemon(MONEY)
        check_sums(d, tenants, sessions)


def test_the_store_has_a_view_for_people(daemon, tmp_path):
    d = daemon(MONEY)
    spend(d, "1.5", tenant="a")
    with sqlite3.connect(tmp_path / "sluice.db") as store:
        assert store.execute("SELECT tenant, outcome, usd FROM usage").fetchall() == [("a", "ok", 1.5)]


def test_a_budget_is_given_back_in_part_or_as_a_whole(daemon):
    d = daemon(MONEY)
    spend(d, "8", tenant="a")
    given = d.post("/v1/budget", {"resource": "big", "limit": "daily", "give_back": 2.5}).json
    assert given["given_back"] == 2.5 and given["used"] == 5.5 and given["remaining"] == 99994.5
    given = d.post("/v1/budget", {"resource": "big", "limit": "each", "scope_key": "a", "reset": True}).json
    assert given["given_back"] == 8 and given["used"] == 0
    assert limits(d)["ever"]["used"] == 8
    assert rows(d, "by=tenant")["a"]["cost_usd"] == 8


def test_a_correction_survives_kill_9(daemon):
    d = daemon(MONEY)
    spend(d, "8")
    assert d.post("/v1/budget", {"resource": "big", "limit": "ever", "give_back": 3}).status == 200
    d.signal(signal.SIGKILL)
    d.wait()
    assert limits(daemon(MONEY))["ever"]["used"] == 5


@pytest.mark.parametrize(
    "body, code",
    [
        ({"resource": "none", "limit": "daily", "reset": True}, "unknown_resource"),
        ({"resource": "big", "limit": "none", "reset": True}, "invalid_request"),
        ({"resource": "big", "limit": "daily"}, "invalid_request"),
        ({"resource": "big", "limit": "daily", "give_back": 0}, "invalid_request"),
        ({"resource": "big", "limit": "daily", "give_back": -1}, "invalid_request"),
        ({"resource": "big", "limit": "daily", "give_back": 1, "reset": True}, "invalid_request"),
        ({"resource": "big", "limit": "daily", "scope_key": "a", "reset": True}, "invalid_request"),
        ({"resource": "big", "limit": "each", "reset": True}, "invalid_request"),
        ({"limit": "daily", "reset": True}, "invalid_request"),
    ],
)
def test_a_correction_of_nothing_is_refused(daemon, body, code):
    assert daemon(MONEY).post("/v1/budget", body).code == code
