"""From acquire to release: what a lease says, and how it ends."""

import pytest

from conftest import SMALL


def test_an_acquire_answers_with_a_lease_and_what_it_holds(daemon):
    answer = daemon().acquire(load=300)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    lease = answer.json
    assert lease["lease"].startswith("ls_") and len(lease["lease"]) == 19
    assert lease["resource"] == lease["model"] == "chat"
    assert lease["held"]["tokens"] == 300
    assert lease["held"]["requests"] == lease["held"]["slots"] == 1
    assert lease["waited_ms"] == 0 and lease["attempt"] == 1
    assert lease["expires_ms"] > 1_700_000_000_000


def test_what_a_lease_holds_is_seen_in_the_resource_and_among_the_leases(daemon):
    d = daemon()
    lease = d.lease(load=300, tenant="t", session="s", labels={"team": "a", "job": "x=y"}, id="i")
    limits = {limit["limit"]: limit for limit in d.resource()["limits"]}
    assert limits["concurrency"]["held"] == 1 and limits["concurrency"]["remaining"] == 0
    assert limits["tpm"]["remaining"] == 700
    (seen,) = d.get("/v1/leases").json["leases"]
    assert seen["lease"] == lease and seen["held"]["tokens"] == 300
    assert (seen["tenant"], seen["session"], seen["id"]) == ("t", "s", "i")
    assert seen["labels"] == {"team": "a", "job": "x=y"}


def test_a_release_settles_with_what_was_used(daemon):
    d = daemon()
    lease = d.lease(load=300)
    answer = d.release(lease, usage={"prompt_tokens": 100, "completion_tokens": 20})
    assert answer.status == 200
    assert answer.json["settled"]["tokens"] == 120
    assert answer.json["settled"]["input_tokens"] == 100
    assert answer.json["late"] is False and answer.json["cost_usd"] == 0
    assert answer.json["advice"]["action"] == "done" and answer.json["advice"]["after_ms"] == 0
    limits = {limit["limit"]: limit for limit in d.resource()["limits"]}
    assert limits["tpm"]["remaining"] == 880 and limits["concurrency"]["held"] == 0


def test_a_release_without_usage_charges_what_was_held(daemon):
    d = daemon()
    assert d.release(d.lease(load=300)).json["settled"]["tokens"] == 300


def test_units_that_the_usage_does_not_mention_stay_as_they_were_held(daemon):
    d = daemon()
    lease = d.lease(load={"input_tokens": 200, "output_tokens": 50, "usd": 0.125})
    settled = d.release(lease, usage={"output_tokens": 7}).json
    assert settled["settled"]["output_tokens"] == 7
    assert settled["settled"]["input_tokens"] == 200
    assert settled["cost_usd"] == 0.125


def test_money_is_settled_to_the_last_picodollar(daemon):
    d = daemon()
    answer = d.release(d.lease(), usage={"usd": 0.000000000001})
    assert '"cost_usd":0.000000000001,' in answer.text


def test_a_repeated_release_changes_nothing_and_says_the_same(daemon):
    d = daemon()
    lease = d.lease(load=300)
    first = d.release(lease, usage={"tokens": 100}).json
    second = d.release(lease, usage={"tokens": 900}).json
    assert second["settled"] == first["settled"]
    assert d.resource()["settled"] == 1


@pytest.mark.parametrize(
    "facts",
    [
        {"status": 429, "headers": {"retry-after": "3"}, "error": {"type": "rate_limit_error", "message": "slow"}},
        {"status": 429, "error": {"error": {"code": "insufficient_quota", "message": "no credit"}}},
        {"status": 429, "error": [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]},
        {"status": 529, "error": '{"type":"error","error":{"type":"overloaded_error"}}'},
        {"status": 502, "error": "<html>Bad Gateway</html>", "elapsed_ms": 1200},
        {"status": 401},
        {"error": {"throttlingException": {"message": "slow"}}},
    ],
)
def test_what_the_provider_refused_used_no_tokens(daemon, facts):
    d = daemon()
    settled = d.release(d.lease(load=300), **facts).json["settled"]
    assert "tokens" not in settled and settled["requests"] == 1


@pytest.mark.parametrize(
    "facts",
    [
        {"status": 200},
        {"status": 200, "error": None, "headers": {"x-ratelimit-remaining-tokens": ["10", "11"]}},
        {"headers": {"x-ratelimit-remaining-tokens": "10"}},
        {"elapsed_ms": 1200},
        {"error": "timeout"},
        {"error": "ValueError: no tool call"},
        {"status": 200, "error": {"error": {"type": "overloaded_error", "message": "in the midst of a stream"}}},
    ],
)
def test_what_may_have_been_served_is_charged_as_it_was_held(daemon, facts):
    d = daemon()
    assert d.release(d.lease(load=300), **facts).json["settled"]["tokens"] == 300


def test_usage_goes_before_what_the_answer_lets_assume(daemon):
    d = daemon()
    settled = d.release(d.lease(load=300), status=500, usage={"prompt_tokens": 40, "completion_tokens": 2})
    assert settled.json["settled"]["tokens"] == 42


def test_a_streams_events_are_a_usage(daemon):
    d = daemon()
    usage = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 30, "output_tokens": 1}}},
        {"type": "message_delta", "usage": {"output_tokens": 12}},
    ]
    settled = d.release(d.lease(load=300), usage=usage).json["settled"]
    assert (settled["input_tokens"], settled["output_tokens"], settled["tokens"]) == (30, 12, 42)


def test_headers_beyond_count_and_length_are_passed_over(daemon):
    d = daemon()
    headers = {f"x-ratelimit-{i}": "1" for i in range(500)} | {f"x-{i}": "y" * 100 for i in range(500)}
    headers["retry-after"] = "z" * 5000
    assert d.release(d.lease(), status=200, headers=headers).status == 200


def test_the_same_id_gets_the_same_lease(daemon):
    d = daemon()
    first = d.acquire(id="one", load=10).json
    second = d.acquire(id="one", load=10).json
    assert second["lease"] == first["lease"]
    assert d.resource()["leases"] == 1


def test_an_id_of_a_waiting_request_with_another_load_is_in_use(daemon):
    d = daemon()
    held = d.lease()
    first = d.later(id="one", load=10)
    d.waiting(1)
    answer = d.acquire(id="one", load=11)
    assert answer.status == 409 and answer.code == "id_in_use"
    d.release(held)
    assert first().status == 200


def test_a_renewed_lease_lives_longer(daemon):
    d = daemon()
    lease = d.acquire(lease_ms=60_000).json
    renewed = d.post("/v1/renew", {"lease": lease["lease"], "lease_ms": 3_600_000})
    assert renewed.status == 200
    assert renewed.json["lease"] == lease["lease"]
    assert renewed.json["expires_ms"] > lease["expires_ms"] + 3_000_000


def test_several_leases_are_renewed_at_once_each_with_its_own_answer(daemon):
    d = daemon()
    names = [d.lease("wide"), "ls_00000000deadbeef", d.lease("wide")]
    answer = d.post("/v1/renew", {"leases": names, "lease_ms": 1000})
    assert answer.status == 200
    first, second, third = answer.json["leases"]
    assert first["lease"] == names[0] and first["expires_ms"] > 0
    assert second["lease"] == names[1] and second["error"]["code"] == "unknown_lease"
    assert third["lease"] == names[2] and third["expires_ms"] > 0


def test_an_expired_lease_ends_by_itself_and_a_late_release_is_booked(daemon):
    d = daemon()
    lease = d.lease(load=300, lease_ms=1)
    d.until(lambda seen: seen["expired"] == 1)
    answer = d.release(lease, usage={"tokens": 100})
    assert answer.status == 200 and answer.json["late"] is True
    limits = {limit["limit"]: limit for limit in d.resource()["limits"]}
    assert limits["tpm"]["remaining"] == 900


def test_an_unknown_lease_is_said_to_be_unknown(daemon):
    d = daemon()
    for path in ("/v1/release", "/v1/renew"):
        answer = d.post(path, {"lease": "ls_00000000deadbeef"})
        assert answer.status == 404 and answer.code == "unknown_lease"


def test_a_lease_granted_to_an_id_is_cancelled_as_if_it_had_never_been(daemon):
    d = daemon()
    lease = d.lease(id="one", load=300)
    answer = d.post("/v1/cancel", {"id": "one"})
    assert answer.status == 200 and answer.json == {"cancelled": True, "lease": lease}
    limits = {limit["limit"]: limit for limit in d.resource()["limits"]}
    assert limits["tpm"]["remaining"] == 1000


def test_leases_are_listed_in_pages(daemon):
    d = daemon()
    names = sorted(d.lease("wide") for _ in range(5))
    first = d.get("/v1/leases?limit=3").json
    assert [lease["lease"] for lease in first["leases"]] == names[:3]
    assert first["next"] == names[2]
    rest = d.get(f"/v1/leases?limit=3&after={first['next']}").json
    assert [lease["lease"] for lease in rest["leases"]] == names[3:]
    assert rest["next"] is None


@pytest.mark.parametrize("query", ["after=x", "limit=0", "limit=1001", "limit=ten"])
def test_a_page_that_makes_no_sense_is_refused(daemon, query):
    answer = daemon().get("/v1/leases?" + query)
    assert answer.status == 400 and answer.code == "invalid_request"


def test_a_page_after_a_lease_that_nobody_remembers_is_refused_and_not_empty(daemon):
    d = daemon()
    d.lease("wide")
    answer = d.get("/v1/leases?after=ls_00000000000000ff")
    assert answer.status == 404 and answer.code == "unknown_lease"
    assert "first page" in answer.json["error"]["message"]


def test_a_restart_brings_back_leases_and_windows(daemon):
    d = daemon()
    lease = d.lease(load=300)
    assert d.stop() == 0
    again = daemon(SMALL)
    assert int(again.wait_log(r"restored (\d+) leases").group(1)) == 1
    assert [seen["lease"] for seen in again.get("/v1/leases").json["leases"]] == [lease]
    assert again.acquire(wait_ms=0).code == "would_wait"
    assert again.release(lease, usage={"tokens": 100}).json["settled"]["tokens"] == 100
    limits = {limit["limit"]: limit for limit in again.resource()["limits"]}
    assert limits["tpm"]["remaining"] == 900
    metrics = again.get("/metrics").text
    assert "sluice_restored_leases 1" in metrics


def test_an_id_is_known_after_a_restart(daemon):
    d = daemon()
    lease = d.lease(id="one", load=300)
    assert d.stop() == 0
    again = daemon(SMALL)
    assert again.acquire(id="one", load=300).json["lease"] == lease


def test_kill_dash_nine_loses_nothing_that_was_answered(daemon):
    d = daemon(SMALL, "--durability", "process")
    lease = d.lease(load=300)
    d.process.kill()
    d.wait()
    again = daemon(SMALL, "--durability", "process")
    assert [seen["lease"] for seen in again.get("/v1/leases").json["leases"]] == [lease]
