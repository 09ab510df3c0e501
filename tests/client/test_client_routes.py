"""Routes and accounts, from a configuration through a real coordinator to what `call` hands to its function."""

import asyncio

import pytest
import sluice
from advice import ProviderError

CONFIG = """
resources:
  large: {provider: openai, model: gpt-4o, retry: {attempts: 1}, breaker: {refusals: 1, pause: 1h}}
  small: {provider: openai, model: gpt-4o, concurrency: 1, retry: {attempts: 1}}
  claude:
    provider: anthropic
    model: claude-sonnet-4-5
    sticky: session
    accounts: {main: {rpm: 100}, spare: {rpm: 50}}
  own: {price: given, limits: [{unit: usd, amount: 1, per: day}]}
routes:
  chat: {try: [large, {resource: small, model: gpt-4o-mini, max_tokens: 200}], finally: cached}
  said: {try: [small], finally: {static: "Please come back later."}}
  bare: {try: [large, small]}
  pool: {try: [claude, small]}
"""
MONEY = {"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}
ANSWER = {"usage": {"prompt_tokens": 9, "completion_tokens": 5}}


@pytest.fixture(params=["threads", "asyncio"])
def call(request, coordinator):
    """Calls a plain function by either client of one coordinator; `call.seen` has what the function was handed."""
    c = coordinator(CONFIG)
    seen = []

    def of(function):
        def called(lease):
            seen.append((lease.resource, lease.model, lease.max_output_tokens))
            return function(lease)

        return called

    def of_client(function, **words):
        with sluice.Client(c.url) as client:
            return client.call(of(function), **words)

    def of_async_client(function, **words):
        async def main():
            async def called(lease):
                await asyncio.sleep(0)
                return of(function)(lease)

            async with sluice.AsyncClient(c.url) as client:
                return await client.call(called, **words)

        return asyncio.run(main())

    run = of_client if request.param == "threads" else of_async_client
    run.seen, run.coordinator = seen, c
    return run


def failing(errors):
    """A function that fails on those resources as it is told, and else answers with what serves."""

    def function(lease):
        if lease.resource in errors:
            raise errors[lease.resource]
        return {**ANSWER, "by": lease.resource}

    return function


def test_a_refused_call_goes_on_with_the_model_and_the_cap_of_the_next_step(call):
    answer = call(failing({"large": ProviderError(429)}), route="chat", input_tokens=90, max_output_tokens=500)
    assert answer["by"] == "small"
    assert call.seen == [("large", "gpt-4o", 500), ("small", "gpt-4o-mini", 200)]
    assert call(failing({}), route="chat", max_output_tokens=50)["by"] == "small"
    assert call.seen[2:] == [("small", "gpt-4o-mini", 50)], "everybody else goes there at once"


def test_the_lease_says_why_the_resources_before_did_not_serve(call):
    call(failing({"large": ProviderError(429)}), route="chat")
    facts = []
    call(lambda lease: facts.append(lease.facts) or ANSWER, route="chat")
    assert (facts[0]["route"], facts[0]["step"]) == ("chat", 2)
    assert facts[0]["passed"] == [{"resource": "large", "reason": "breaker_open"}]


def test_a_chain_of_failures_ends_in_the_cached_answer(call):
    errors = {"large": ProviderError(503), "small": ProviderError(429, MONEY)}
    assert call(failing(errors), route="chat", cached=lambda: "kept") == "kept"
    assert [resource for resource, _, _ in call.seen] == ["large", "small"]
    assert call(failing(errors), route="chat", cached="kept", timeout=0) == "kept"
    assert len(call.seen) == 2, "nothing is left, so nothing is called"


def test_a_chain_of_failures_without_a_cached_answer_says_all_of_it(call):
    errors = {"large": ProviderError(503), "small": ProviderError(429, MONEY)}
    with pytest.raises(sluice.GaveUp) as caught:
        call(failing(errors), route="chat")
    gave_up = caught.value
    assert gave_up.__cause__ is errors["small"]
    assert (gave_up.reason, gave_up.attempts, gave_up.resource, gave_up.finally_) == ("out_of_money", 2, "small", "cached")
    assert gave_up.tried == (("large", "gpt-4o", "attempts"), ("small", "gpt-4o-mini", "out_of_money"))
    assert [resource for resource, _ in gave_up.passed] == ["large", "small"]
    assert dict(gave_up.passed)["small"] == "out_of_money"
    with pytest.raises(sluice.RouteExhausted) as caught:
        call(failing({}), route="chat", timeout=0)
    exhausted = caught.value
    assert exhausted.finally_ == "cached" and exhausted.passed == (("large", "breaker_open"), ("small", "out_of_money"))


def test_a_static_answer_is_made_of_the_routes_text(call):
    function = failing({"small": ProviderError(429, MONEY)})
    assert call(function, route="said", static=str.upper) == "PLEASE COME BACK LATER."
    with pytest.raises(sluice.RouteExhausted) as caught:
        call(function, route="said", cached="not for this", timeout=0)
    assert caught.value.text == "Please come back later."


def test_a_fault_of_the_requests_own_is_not_answered_from_the_cache(call):
    with pytest.raises(sluice.GaveUp) as caught:
        call(failing({"large": ProviderError(400)}), route="chat", cached="kept")
    assert (caught.value.reason, caught.value.finally_, len(call.seen)) == ("bad_request", None, 1)


def test_a_key_that_is_refused_is_tried_on_the_other_account(call):
    accounts = []

    def function(lease):
        accounts.append((lease.account, lease.model))
        if lease.account == "main":
            raise ProviderError(401)
        return ANSWER

    call(function, resource="claude")
    call(function, route="pool", session="s")
    call(function, route="pool", session="s")
    sonnet = "claude-sonnet-4-5"
    assert accounts == [("main", sonnet), ("spare", sonnet), ("spare", sonnet), ("spare", sonnet)]


def test_who_does_not_say_what_a_call_costs_is_told_how(call):
    with pytest.raises(sluice.UsdMissing, match="price: given"):
        call(failing({}), resource="own", tokens=5)
    assert call(failing({}), resource="own", load={"usd": 0.25})["by"] == "own"
    assert not [x for x in call.seen if x[0] != "own"]


def test_attempts_count_on_all_resources(call):
    errors = {"large": ProviderError(503), "small": ProviderError(503)}
    with pytest.raises(sluice.GaveUp) as caught:
        call(failing(errors), route="bare", max_attempts=1)
    assert (caught.value.reason, caught.value.finally_, len(call.seen)) == ("attempts", "refuse", 1)
    assert call.coordinator.get("/v1/resources")["routes"][-2]["fallbacks"] == 0
