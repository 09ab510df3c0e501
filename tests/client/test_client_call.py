"""The loop: acquire, call, settle, and what the coordinator advises. For threads and for asyncio alike."""

import asyncio
import warnings

import pytest
import sluice
from advice import Failing, ProviderError, advise, answer_with, asked, fallback, give_up, retry
from pretend import grant


@pytest.fixture(params=["threads", "asyncio"])
def call(request, pretend):
    """Runs one `call`, of a plain function, with either client."""

    def of_client(function, *args, **words):
        with sluice.Client(pretend.url) as client:
            return client.call(function, *args, **words)

    def of_async_client(function, *args, **words):
        async def call(lease):
            await asyncio.sleep(0)
            return function(lease)

        async def main():
            async with sluice.AsyncClient(pretend.url) as client:
                return await client.call(call, *args, **words)

        return asyncio.run(main())

    return of_client if request.param == "threads" else of_async_client


def grant_of(pretend, item):
    return grant(0, item, pretend.lease())


def told(pretend):
    return [{k: v for k, v in r.items() if k not in ("elapsed_ms", "lease")} for r in pretend.released]


def test_a_call_acquires_calls_and_settles_with_what_the_function_returned(pretend, call):
    function = Failing()
    assert call(function, "a", input_tokens=9, max_output_tokens=5, priority=2)["text"] == "hello"
    (item,) = asked(pretend)
    assert (item["resource"], item["load"], item["priority"]) == ("a", {"input_tokens": 9, "output_tokens": 5}, 2)
    assert told(pretend) == [{"usage": {"prompt_tokens": 5, "completion_tokens": 2}}]
    assert (function.leases[0].model, function.leases[0].max_output_tokens) == ("a", 5)


def test_the_lease_says_what_the_coordinator_chose(pretend, call):
    answer_with(pretend, {"resource": "b", "model": "b-large", "account": "second", "max_output_tokens": 7})
    function = Failing()
    call(function, route="chat", max_output_tokens=50)
    (lease,) = function.leases
    assert (lease.resource, lease.model, lease.account, lease.max_output_tokens) == ("b", "b-large", "second", 7)
    (item,) = asked(pretend)
    assert item["route"] == "chat" and "resource" not in item


def test_usage_can_be_picked_from_what_is_returned(pretend, call):
    assert call(Failing(answer=("text", 17)), "a", usage=lambda result: result[1]) == ("text", 17)
    assert told(pretend) == [{"usage": {"tokens": 17}}]


def test_what_the_function_settles_itself_stays_as_it_is(pretend, call):
    assert call(lambda lease: lease.settle(12) and "text", "a") == "text"
    assert told(pretend) == [{"usage": {"tokens": 12}}]


def test_what_the_function_notes_settles_where_it_returns_no_usage(pretend, call):
    assert call(lambda lease: lease.note({"usage": {"tokens": 3}}) or "text", "a") == "text"
    assert told(pretend) == [{"usage": {"tokens": 3}}]


def test_a_retry_comes_back_with_its_ticket_under_the_same_id(pretend, call):
    advise(pretend, retry(7), retry(8))
    function = Failing(ProviderError(429, {"error": {"code": "slow_down"}}), ProviderError(503))
    assert call(function, "a", tokens=5)["text"] == "hello"
    items = asked(pretend)
    assert [item.get("ticket") for item in items] == [None, "tk_0000000000000007", "tk_0000000000000008"]
    assert len({item["id"] for item in items}) == 1, "the place has the id of the request before"
    assert len({lease.id for lease in function.leases}) == 3, "each attempt has a lease of its own"
    assert told(pretend)[:2] == [
        {"status": 429, "error": {"code": "slow_down"}},
        {"status": 503, "error": "ProviderError: status 503"},
    ]


def test_a_retry_without_a_ticket_is_asked_anew(pretend, call):
    advise(pretend, {"action": "retry", "after_ms": 1, "reason": "wait"})
    call(Failing(ProviderError()), "a")
    first, second = asked(pretend)
    assert first["id"] != second["id"] and "ticket" not in second


def test_a_place_that_was_lost_is_asked_for_anew(pretend, call):
    advise(pretend, retry())
    answer_with(pretend, {}, (404, "unknown_ticket", {}))
    assert call(Failing(ProviderError()), "a")["text"] == "hello"
    assert [("ticket" in item) for item in asked(pretend)] == [False, True, False]


def test_a_lease_that_has_ended_before_is_not_called_under_again(pretend, call):
    """A lost place whose id is answered with the lease that had it: no call goes out on that."""
    advise(pretend, retry())
    answer_with(pretend, {"lease": "ls_00000000000000aa"}, (404, "unknown_ticket", {}), {"lease": "ls_00000000000000aa"})
    function = Failing(ProviderError())
    call(function, "a")
    assert len(function.leases) == 2 and function.leases[1].id != "ls_00000000000000aa"
    assert len({item["id"] for item in asked(pretend)}) == 2
    assert len(pretend.released) == 2


def test_a_fallback_is_called_with_the_next_resources_model(pretend, call):
    advise(pretend, fallback(3))
    answer_with(pretend, {"resource": "a", "model": "large"}, {"resource": "b", "model": "small"})
    function = Failing(ProviderError(529))
    call(function, route="chat")
    assert [lease.model for lease in function.leases] == ["large", "small"]
    assert asked(pretend)[1]["ticket"] == "tk_0000000000000003"


def test_giving_up_tells_what_was_tried_and_why(pretend, call):
    advise(pretend, fallback(), give_up("out_of_money"))
    answer_with(pretend, {"resource": "a", "model": "large"}, {"resource": "b", "model": "small"})
    last = ProviderError(402)
    with pytest.raises(sluice.GaveUp) as caught:
        call(Failing(ProviderError(529), last), route="chat")
    gave_up = caught.value
    assert (gave_up.reason, gave_up.attempts, gave_up.resource) == ("out_of_money", 2, "b")
    assert gave_up.tried == (("a", "large", "overload"), ("b", "small", "out_of_money"))
    assert gave_up.__cause__ is last and isinstance(gave_up, sluice.SluiceError)


def test_without_advice_an_exception_goes_through_as_it_is(pretend, call):
    with pytest.raises(ProviderError):
        call(Failing(ProviderError()), "a")
    pretend.on_release = lambda item: {"status": 404, "error": {"code": "unknown_lease", "message": "gone"}}
    with pytest.raises(ProviderError):
        call(Failing(ProviderError()), "a")


def test_the_functions_own_exceptions_are_not_followed_up(pretend, call):
    advise(pretend, retry(), retry(), retry(), retry())
    for error in (ValueError("oops"), KeyError("x"), sluice.WaitTimeout("late"), FileNotFoundError("x")):
        with pytest.raises(type(error)):
            call(Failing(error), "a")
    assert len(asked(pretend)) == 4
    assert [t["error"] for t in told(pretend)] == [
        "ValueError: oops", "KeyError: 'x'", "SluiceError", "FileNotFoundError: x",
    ], "and a refusal of the coordinator's says nothing of the provider"  # fmt: skip
    assert len(pretend.cancelled) == 4, "the places that were offered are given up"


@pytest.mark.parametrize("error", [TimeoutError("slow"), ConnectionResetError("reset"), asyncio.TimeoutError()])
def test_an_answer_that_did_not_come_is_followed_up(pretend, call, error):
    advise(pretend, retry())
    call(Failing(error), "a")
    assert told(pretend)[0]["error"].startswith(("timeout: ", "connection_error: "))


def test_a_refusal_after_a_failure_has_the_failure_as_its_cause(pretend, call):
    advise(pretend, retry())
    answer_with(pretend, {}, (408, "wait_timeout", {"held_by": ["tpm"]}))
    error = ProviderError()
    with pytest.raises(sluice.WaitTimeout) as caught:
        call(Failing(error), "a")
    assert caught.value.__cause__ is error and caught.value.held_by == ("tpm",)


def test_a_budget_and_a_breaker_refuse_with_their_facts(pretend, call):
    answer_with(pretend, (402, "budget_exceeded", {"limit": "purse"}), (503, "breaker_open", {"state": "breaker_open", "retry_after_ms": 1500}))
    with pytest.raises(sluice.BudgetExceeded) as budget:
        call(Failing(), "a")
    with pytest.raises(sluice.BreakerOpen) as breaker:
        call(Failing(), "a")
    assert budget.value.limit == "purse"
    assert (breaker.value.state, breaker.value.retry_after) == ("breaker_open", 1.5)


PASSED = [{"resource": "a", "reason": "breaker_open"}, {"resource": "b", "reason": "deadline"}]


def test_a_route_with_nothing_left_says_why(pretend, call):
    answer_with(pretend, (503, "route_exhausted", {"passed": PASSED, "finally": "static", "static_answer": "try later"}))
    with pytest.raises(sluice.RouteExhausted) as caught:
        call(Failing(), route="chat", cached="old")
    exhausted = caught.value
    assert exhausted.passed == (("a", "breaker_open"), ("b", "deadline"))
    assert (exhausted.finally_, exhausted.text) == ("static", "try later")


def test_a_route_may_end_in_an_answer_of_the_programs(pretend, call):
    cached = (503, "route_exhausted", {"finally": "cached"})
    answer_with(pretend, cached, cached, (503, "route_exhausted", {"finally": "static", "static_answer": "try later"}))
    assert call(Failing(), route="chat", cached=lambda: "old") == "old"
    assert call(Failing(), route="chat", cached="older") == "older"
    assert call(Failing(), route="chat", static=str.upper) == "TRY LATER"
    refuse = {"finally": "refuse"}
    answer_with(pretend, (503, "route_exhausted", refuse))
    with pytest.raises(sluice.RouteExhausted):
        call(Failing(), route="chat", cached="old", static=str.upper)


ENDED = {"route": "chat", "passed": [{"resource": "a", "reason": "attempts"}, {"resource": "b", "reason": "out_of_money"}]}


def test_a_chain_of_failures_may_end_in_an_answer_of_the_programs(pretend, call):
    function = Failing(ProviderError(529), ProviderError(402), ProviderError(402))
    advise(pretend, fallback(), give_up("out_of_money", **ENDED, **{"finally": "cached"}))
    assert call(function, route="chat", cached=lambda: "old") == "old"
    assert len(function.leases) == 2 and len(pretend.released) == 2
    advise(pretend, give_up("out_of_money", **ENDED, **{"finally": "static", "static_answer": "try later"}))
    assert call(function, route="chat", static=str.upper) == "TRY LATER"


def test_a_chain_of_failures_without_such_an_answer_says_what_its_route_ends_in_and_why(pretend, call):
    advise(pretend, give_up("out_of_money", **ENDED, **{"finally": "static", "static_answer": "try later"}))
    with pytest.raises(sluice.GaveUp) as caught:
        call(Failing(ProviderError(402)), route="chat", cached="old")
    gave_up = caught.value
    assert (gave_up.finally_, gave_up.text) == ("static", "try later")
    assert gave_up.passed == (("a", "attempts"), ("b", "out_of_money"))
    advise(pretend, give_up("bad_request"))
    with pytest.raises(sluice.GaveUp) as caught:
        call(Failing(ProviderError(400)), route="chat", cached="old")
    assert (caught.value.finally_, caught.value.passed) == (None, ())


def test_a_time_in_line_that_is_up_says_why_no_other_resource_served(pretend, call):
    answer_with(pretend, (408, "wait_timeout", ENDED))
    with pytest.raises(sluice.WaitTimeout) as caught:
        call(Failing(), route="chat", cached="old")
    assert caught.value.passed == (("a", "attempts"), ("b", "out_of_money"))


def test_attempts_are_told_and_kept(pretend, call):
    advise(pretend, *[retry(n) for n in range(1, 9)])
    with pytest.raises(sluice.GaveUp) as caught:
        call(Failing(*[ProviderError() for _ in range(9)]), "a", max_attempts=2)
    assert (caught.value.attempts, caught.value.reason) == (2, "attempts")
    assert [item["max_attempts"] for item in asked(pretend)] == [2, 2]
    assert pretend.cancelled == [{"ticket": "tk_0000000000000002"}], "the place that is not used is given up"


class HttpResponse:
    """A plain HTTP answer that nobody looked at."""

    status_code = 503
    headers = {"Retry-After": "1"}

    def json(self):
        return {"error": {"type": "overloaded_error"}}

    def raise_for_status(self):
        error = ProviderError(503)
        error.response = self
        raise error


def test_a_plain_response_with_a_failures_status_is_a_failed_call(pretend, call):
    advise(pretend, retry())
    answers = [HttpResponse(), {"usage": {"tokens": 1}}]
    assert call(lambda lease: answers.pop(0), "a") == {"usage": {"tokens": 1}}
    assert told(pretend)[0] == {"status": 503, "headers": {"retry-after": "1"}, "error": {"type": "overloaded_error"}}


def test_whoever_is_cancelled_while_a_retry_waits_leaves_the_line(pretend):
    advise(pretend, retry())

    async def main():
        arrived = asyncio.Event()

        async def answer(items, reply):
            reply.start()
            if "ticket" in items[0]:
                loop.call_soon_threadsafe(arrived.set)
                await asyncio.Event().wait()
            reply.line(grant_of(pretend, items[0]))
            reply.end()

        loop = asyncio.get_running_loop()
        pretend.on_acquire = answer
        async with sluice.AsyncClient(pretend.url) as client:

            async def function(lease):
                raise ProviderError()

            task = asyncio.ensure_future(client.call(function, "a"))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert pretend.cancelled == [{"id": asked(pretend)[0]["id"]}]


def test_a_ticket_is_told_again_when_the_coordinator_gives_it_again(pretend):
    async def answer(items, reply):
        reply.start()
        if len(pretend.arrays) == 1:
            reply.line({"index": 0, "id": items[0]["id"], "status": 202, "ticket": items[0]["ticket"]})
        else:
            reply.line(grant_of(pretend, items[0]))
        reply.end()

    pretend.on_acquire = answer
    with sluice.Client(pretend.url) as client:
        client.acquire("a", ticket="tk_0000000000000001").settle(1)
    assert [item["ticket"] for item in asked(pretend)] == ["tk_0000000000000001"] * 2


def test_a_resource_or_a_route_is_named(pretend, call):
    for names in ((), ("a",)):
        with pytest.raises(TypeError, match="either"):
            call(Failing(), *names, **({"route": "chat"} if names else {}))
    with pytest.raises(TypeError, match="prority"):
        call(Failing(), "a", prority=1)


def test_a_call_without_usage_warns_with_its_place(pretend):
    with sluice.Client(pretend.url) as client, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.call(lambda lease: "text", "a")
    (warning,) = caught
    assert (warning.category, warning.filename) == (sluice.UnsettledLeaseWarning, __file__)


def test_a_limited_function_is_retried_and_gets_its_lease(pretend):
    advise(pretend, retry(), retry(2))
    failing = Failing(ProviderError())
    again = Failing(ProviderError())
    with sluice.Client(pretend.url) as client:

        @client.limited("a", load=lambda text: len(text))
        def ask(text, lease=None):
            return failing(lease)["text"] + text

        with pytest.warns(sluice.UnsettledLeaseWarning):
            assert ask("you") == "helloyou"

        @client.limited(route="chat", usage=lambda text: 4)
        def without(text):
            return again(sluice.current_lease())["text"]

        assert without("you") == "hello"
    assert [lease.resource for lease in failing.leases] == ["a", "a"]
    assert len(again.leases) == 2
    assert told(pretend)[-1] == {"usage": {"tokens": 4}}


def test_a_limited_coroutine_function_is_retried_and_gets_its_lease(pretend):
    advise(pretend, retry())
    failing = Failing(ProviderError())

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:

            @client.limited("a")
            async def ask(*, lease):
                return failing(lease)

            return await ask()

    assert asyncio.run(main())["text"] == "hello"
    assert len(failing.leases) == 2
