"""What answers have taught outlasts the daemon: it is killed, another one starts on its store, and a provider that has said when to come back is not asked before."""

import sqlite3

import pytest

RESOURCE = "resources: {chat: {provider: openai, limits: [{unit: slots, amount: 10}]%s}}\n"
REFUSED = {"status": 429, "headers": {"retry-after": "60"}, "error": {"error": {"code": "rate_limit_exceeded"}}}
NO_MONEY = {"status": 429, "error": {"error": {"code": "insufficient_quota"}}}
DAY_OVER = {"status": 429, "headers": {"retry-after": "9000"}, "error": {"error": {"code": "rate_limit_exceeded", "message": "Limit: 500 requests per day (RPD)"}}}
OVERLOADED = {"status": 503}


def killed(d):
    d.signal(9)
    d.wait()
    return d


def state_of(d):
    state = d.resource()["state"]
    return {key: state[key] for key in state if key not in ("rate",)}


def start_again(daemon, d, config):
    killed(d)
    return daemon(config)


@pytest.mark.parametrize(
    "answer, name",
    [(REFUSED, "paused"), (NO_MONEY, "out_of_money"), (DAY_OVER, "day_over")],
)
def test_a_state_is_the_same_after_kill_9(daemon, answer, name):
    d = daemon(RESOURCE % "")
    d.release(d.lease(), **answer)
    before = state_of(d)
    assert before["name"] == name
    d = start_again(daemon, d, RESOURCE % "")
    assert state_of(d) == before
    assert d.acquire(wait_ms=0).code == "breaker_open"
    d.wait_log(rf"resource chat: still {name}")
    assert "sluice_restored_states 1" in d.get("/metrics").text


def test_a_breaker_that_opened_stays_open_after_kill_9_and_the_store_says_how_often_it_did(daemon):
    config = RESOURCE % ", breaker: {refusals: 1, pause: 1h}"
    d = daemon(config)
    d.release(d.lease(), **OVERLOADED)
    before = state_of(d)
    d = start_again(daemon, d, config)
    assert state_of(d) == before and before["name"] == "breaker_open"
    store = sqlite3.connect(d.directory / "sluice.db")
    assert store.execute("SELECT state, refusals, breaks FROM health").fetchall() == [("breaker_open", 0, 1)]
    store.close()


def test_a_resource_that_an_operator_has_reopened_is_well_after_kill_9(daemon):
    d = daemon(RESOURCE % "")
    d.release(d.lease(), **NO_MONEY)
    assert d.post("/v1/resources/chat/reopen", {}).status == 200
    d = start_again(daemon, d, RESOURCE % "")
    assert state_of(d)["name"] == "ok" and d.acquire(wait_ms=0).status == 200


def test_limits_that_a_provider_has_told_hold_after_kill_9(daemon):
    config = "resources: {chat: {provider: openai, limits: from_provider}}\n"
    told = {"x-ratelimit-limit-requests": "3", "x-ratelimit-remaining-requests": "2", "x-ratelimit-reset-requests": "20s"}
    d = daemon(config)
    d.release(d.lease(load=10), status=200, usage={"tokens": 10}, headers=told)
    d = start_again(daemon, d, config)
    rpm = next(limit for limit in d.resource()["limits"] if limit["limit"] == "rpm")
    assert rpm["amount"] == 3 and rpm["used"] == 1
    assert [d.acquire(load=10, wait_ms=0).status for _ in range(3)] == [200, 200, 429]
    assert "sluice_restored_learned 1" in d.get("/metrics").text


def test_a_release_that_is_repeated_after_kill_9_is_advised_the_same_but_for_its_place(daemon):
    d = daemon(RESOURCE % "")
    retried, fault = d.lease(), d.lease()
    before = d.release(retried, **REFUSED).json["advice"]
    given_up = d.release(fault, status=400, error={"error": {"message": "no"}}).json["advice"]
    d = start_again(daemon, d, RESOURCE % "")
    after = d.release(retried, **REFUSED).json["advice"]
    assert after["action"] == before["action"] == "retry" and "ticket" not in after
    assert 0 < after["after_ms"] <= before["after_ms"]
    assert d.release(fault, status=400).json["advice"] == given_up
    assert given_up["action"] == "give_up"
