"""Feedback as the configuration sets it: what a refusal does to the next caller, and what its own caller is told."""

import pytest

REFUSED = {"status": 429, "headers": {"retry-after": "60"}, "error": {"error": {"code": "rate_limit_exceeded"}}}
RESOURCE = "resources: {chat: {provider: openai, limits: [{unit: slots, amount: 10}]%s}}\n"


def test_a_refusal_pauses_the_resource_for_everyone_without_a_word_in_the_configuration(daemon):
    d = daemon(RESOURCE % "")
    assert d.release(d.lease(tenant="a"), **REFUSED).json["advice"]["action"] == "retry"
    assert d.acquire(tenant="b", wait_ms=0).status == 503


def test_with_feedback_off_a_refusal_changes_nothing(daemon):
    d = daemon(RESOURCE % ", feedback: off")
    assert d.release(d.lease(tenant="a"), **REFUSED).json["advice"]["action"] == "give_up"
    assert d.acquire(tenant="b", wait_ms=0).status == 200


def test_with_retries_off_the_caller_gives_up_and_the_others_pause_all_the_same(daemon):
    d = daemon(RESOURCE % ", retry: off")
    advice = d.release(d.lease(), **REFUSED).json["advice"]
    assert (advice["action"], advice["reason"]) == ("give_up", "attempts")
    assert d.acquire(wait_ms=0).status == 503


@pytest.mark.parametrize("refusals", [1, 2])
def test_the_breaker_opens_after_as_many_refusals_as_are_configured(daemon, refusals):
    d = daemon(RESOURCE % f", breaker: {{refusals: {refusals}, pause: 1h}}")
    for _ in range(refusals):
        d.release(d.lease(), status=529)
    refused = d.acquire(wait_ms=0)
    assert refused.code == "breaker_open"
    assert refused.json["error"]["retry_after_ms"] > 1_800_000


def test_a_reload_switches_feedback_on(daemon):
    d = daemon(RESOURCE % ", feedback: off")
    d.write_config(RESOURCE % "")
    d.signal(1)
    d.wait_log(r"reloaded ")
    assert d.release(d.lease(), **REFUSED).json["advice"]["action"] == "retry"


def test_a_resource_without_numbers_begins_with_one_call_and_takes_its_limits_from_the_headers(daemon):
    d = daemon("resources: {chat: {provider: openai, limits: from_provider}}\n")
    first = d.lease(load=10)
    assert d.acquire(load=10, wait_ms=0).code == "would_wait"
    told = {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "99", "x-ratelimit-reset-requests": "600ms"}
    d.release(first, status=200, usage={"tokens": 10}, headers=told)
    rpm = next(limit for limit in d.resource()["limits"] if limit["limit"] == "rpm")
    assert rpm["amount"] == 100 and rpm["used"] == 1


def test_a_limit_that_nobody_has_told_yet_shows_no_amount(daemon):
    d = daemon("resources: {chat: {provider: openai, limits: from_provider}}\n")
    rpm = next(limit for limit in d.resource()["limits"] if limit["limit"] == "rpm")
    assert rpm["unknown"] is True and rpm["amount"] is None and rpm["remaining"] is None
    text = d.get("/metrics").text
    assert 'sluice_limit_used{resource="chat",limit="rpm"' in text
    assert 'sluice_limit_amount{resource="chat",limit="rpm"' not in text


def test_adaptive_concurrency_begins_with_the_fewest_calls(daemon):
    d = daemon("resources: {chat: {concurrency: {adaptive: {min: 2, max: 9}}}}\n")
    assert [d.acquire(wait_ms=0).status for _ in range(3)] == [200, 200, 429]


ROUTED = """
resources:
  first: {price: given, limits: [{unit: usd, amount: 1, per: day, exceed: downgrade}]}
  second: {}
  pool: {accounts: {a: {concurrency: 1}, b: {concurrency: 1}}}
routes:
  chat: {try: [first, second]}
"""


def test_a_route_goes_on_when_the_money_of_its_first_resource_is_out(daemon):
    d = daemon(ROUTED)
    served = [d.post("/v1/acquire", {"route": "chat", "load": {"usd": 0.6}}).json["resource"] for _ in range(2)]
    assert served == ["first", "second"]


def test_the_accounts_of_a_pool_serve_side_by_side(daemon):
    d = daemon(ROUTED)
    answers = [d.acquire("pool", wait_ms=0) for _ in range(3)]
    assert [answer.status for answer in answers][:2] == [200, 200] and answers[2].status != 200
    assert {answer.json["resource"] for answer in answers[:2]} == {"pool@a", "pool@b"}
