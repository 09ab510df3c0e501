"""A lease ends once, and says what the call used."""

import asyncio
import gc
import sys
import warnings
from decimal import Decimal

import pytest
import sluice
from real import PATIENCE_S


def released(pretend):
    """What was told of each lease, without the time it took."""
    return [{k: v for k, v in r.items() if k not in ("elapsed_ms", "lease")} for r in pretend.released]


def line_of_next_statement():
    return sys._getframe(1).f_lineno + 1


def test_settling_replaces_what_was_held(pretend):
    with sluice.Client(pretend.url) as client:
        with client.acquire("a") as lease:
            lease.settle({"input_tokens": 3, "output_tokens": 4})
        client.flush()
        (told,) = pretend.released
        assert told["lease"] == lease.id and told["elapsed_ms"] >= 0
        assert released(pretend) == [{"usage": {"input_tokens": 3, "output_tokens": 4}}]


def test_the_receipt_has_what_the_coordinator_booked(pretend):
    pretend.on_release = lambda item: {
        "status": 200,
        "settled": {"requests": 1, "tokens": 7},
        "cost_usd": 0.0125,
        "late": True,
        "advice": {"action": "retry", "after_ms": 1500, "reason": "because", "ticket": "tk_1"},
    }
    with sluice.Client(pretend.url) as client:
        settlement = client.acquire("a").settle(7).result(PATIENCE_S)
    assert settlement.settled == {"requests": 1, "tokens": 7}
    assert settlement.cost_usd == Decimal("0.0125") and settlement.late
    assert settlement.advice == sluice.Advice("retry", 1.5, "because", "tk_1")


def test_the_receipt_of_an_async_lease_is_awaited(pretend):
    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            receipt = (await client.acquire("a")).settle(7)
            first = await receipt
            assert await receipt is first
            return first

    assert asyncio.run(main()).settled == {"requests": 1}


def test_settling_twice_changes_nothing(pretend):
    with sluice.Client(pretend.url) as client:
        with client.acquire("a") as lease:
            lease.settle(5)
            with pytest.raises(sluice.SluiceError):
                lease.settle(9).result()
    assert released(pretend) == [{"usage": {"tokens": 5}}]


def test_amounts_can_be_given_by_name(pretend):
    with sluice.Client(pretend.url) as client:
        client.acquire("a").settle(input_tokens=1, cached_input_tokens=1, output_tokens=2, usd=0.25)
        client.flush()
        lease = client.acquire("a")
        with pytest.raises(TypeError):
            lease.settle(3, tokens=4)
        lease.settle(status=200, headers={"X-RateLimit-Remaining-Tokens": "5", "Set-Cookie": "secret"})
    assert released(pretend) == [
        {"usage": {"input_tokens": 1, "cached_input_tokens": 1, "output_tokens": 2, "usd": 0.25}},
        {"status": 200, "headers": {"x-ratelimit-remaining-tokens": "5"}},
    ]


def test_a_block_left_unsettled_is_charged_in_full_and_warns_with_its_place(pretend):
    with sluice.Client(pretend.url) as client:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            line = line_of_next_statement()
            with client.acquire("gpt-4o"):
                pass
    (warning,) = caught
    assert warning.category is sluice.UnsettledLeaseWarning
    assert (warning.filename, warning.lineno) == (__file__, line)
    assert "gpt-4o" in str(warning.message)
    assert released(pretend) == [{}]


def test_an_async_block_left_unsettled_warns_with_its_place(pretend):
    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            line = line_of_next_statement()
            async with client.acquire("a"):
                await asyncio.sleep(0)
            return line

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = asyncio.run(main())
    assert [(w.category, w.filename, w.lineno) for w in caught] == [(sluice.UnsettledLeaseWarning, __file__, line)]


def test_the_same_place_warns_once_by_default(pretend):
    with sluice.Client(pretend.url) as client, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(5):
            with client.acquire("a"):
                pass
    assert len(caught) == 1


def test_a_lease_that_is_forgotten_is_charged_in_full_and_warns(pretend, eventually):
    with sluice.Client(pretend.url) as client:
        with pytest.warns(sluice.UnsettledLeaseWarning, match="forgotten"):
            lease = client.acquire("a")
            del lease
            gc.collect()
        eventually(lambda: released(pretend) == [{}])


def test_a_cancelled_lease_was_never_used(pretend):
    with sluice.Client(pretend.url) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with client.acquire("a") as lease:
                lease.cancel()
                lease.cancel()
        client.flush()
    assert pretend.cancelled == [{"id": pretend.arrays[0][0]["id"]}] and pretend.released == []


class Stub(Exception):
    """An exception of the shape of the providers' packages."""

    def __init__(self, message, status_code=None, response=None, body=None):
        super().__init__(message)
        if status_code is not None:
            self.status_code = status_code
        self.response = response
        self.body = body


class StubResponse:
    def __init__(self, status_code, headers):
        self.status_code = status_code
        self.headers = headers


@pytest.mark.parametrize(
    "error, told",
    [
        (ValueError("oops"), {"error": "ValueError: oops"}),
        (
            Stub(
                "slow down", 429, StubResponse(429, {"Retry-After": "3", "Server": "x"}),
                {"message": "m", "code": "rate_limit_exceeded", "param": None, "nested": {}},
            ),
            {"status": 429, "headers": {"retry-after": "3"}, "error": {"message": "m", "code": "rate_limit_exceeded"}},
        ),
        (
            Stub("busy", 529, None, {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}),
            {"status": 529, "error": {"type": "overloaded_error", "message": "m"}},
        ),
        (Stub("bad", None, StubResponse(500, {})), {"status": 500, "error": "Stub: bad"}),
        (Stub("x" * 9999), {"error": "Stub: " + "x" * 494}),
        (Stub("odd", 7), {"error": "Stub: odd"}),
    ],
)  # fmt: skip
def test_an_exception_that_leaves_the_block_is_reported(pretend, error, told):
    with sluice.Client(pretend.url) as client, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(type(error)):
            with client.acquire("a"):
                raise error
    assert released(pretend) == [told]


def test_an_exception_in_an_async_block_is_reported(pretend):
    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            with pytest.raises(Stub):
                async with client.acquire("a"):
                    raise Stub("no", 503)

    asyncio.run(main())
    assert released(pretend) == [{"status": 503, "error": "Stub: no"}]


def test_a_response_without_usage_is_charged_in_full_and_warns(pretend):
    with sluice.Client(pretend.url) as client:
        with pytest.warns(sluice.UnsettledLeaseWarning, match="str that says nothing of usage"):
            client.acquire("a").settle("hello")
    assert released(pretend) == [{}]


def test_usage_that_cannot_be_sent_is_charged_in_full_and_warns(pretend):
    with sluice.Client(pretend.url) as client:
        with pytest.warns(sluice.UnsettledLeaseWarning, match="cannot be sent"):
            client.acquire("a").settle({"tokens": object()})
    assert released(pretend) == [{}]


def test_usage_the_coordinator_refuses_does_not_leave_the_lease_open(pretend):
    def answer(item):
        if "usage" in item:
            return {"status": 400, "error": {"code": "invalid_request", "message": "no such field"}}
        return {"status": 200, "settled": {"requests": 1}}

    pretend.on_release = answer
    with sluice.Client(pretend.url) as client:
        assert client.acquire("a").settle({"tokens": 1}).result(PATIENCE_S).settled == {"requests": 1}
    assert released(pretend) == [{"usage": {"tokens": 1}}, {}]


def test_a_refused_release_is_told_to_who_asks(pretend):
    pretend.on_release = lambda item: {"status": 404, "error": {"code": "unknown_lease", "message": "gone"}}
    with sluice.Client(pretend.url) as client:
        with pytest.raises(sluice.UnknownLease):
            client.acquire("a").settle(1).result(PATIENCE_S)


def test_following_a_stream_settles_with_what_it_carried(pretend):
    events = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1, "service_tier": "x"}}},
        {"type": "content_block_delta"},
        {"type": "message_delta", "usage": {"output_tokens": 5}},
    ]

    async def asynchronous():
        for event in events:
            yield event

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            async with client.acquire("a") as lease:
                return [event async for event in lease.follow(asynchronous())]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert asyncio.run(main()) == events
        with sluice.Client(pretend.url) as client, client.acquire("a") as lease:
            assert list(lease.follow(events)) == events
            assert lease.ended
    assert released(pretend) == [{"usage": {"input_tokens": 9, "output_tokens": 5, "service_tier": "x"}}] * 2


def test_a_stream_without_usage_warns(pretend):
    with sluice.Client(pretend.url) as client:
        with pytest.warns(sluice.UnsettledLeaseWarning):
            with client.acquire("a") as lease:
                assert list(lease.follow([{}, {"usage": None}])) == [{}, {"usage": None}]


def test_a_stream_that_breaks_off_is_charged_in_full(pretend):
    def broken():
        yield {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
        raise Stub("cut")

    with sluice.Client(pretend.url) as client:
        with pytest.raises(Stub):
            with client.acquire("a") as lease:
                list(lease.follow(broken()))
    assert released(pretend) == [{"status": 200, "error": "Stub: cut"}]


def test_what_is_held_when_the_client_closes_is_charged_in_full(pretend):
    client = sluice.Client(pretend.url)
    lease = client.acquire("a")
    with pytest.warns(sluice.UnsettledLeaseWarning, match="still held"):
        client.close()
    assert released(pretend) == [{}]
    with pytest.raises(sluice.ClientClosed):
        lease.settle(1).result(PATIENCE_S)


def test_a_lease_settles_from_any_thread(pretend):
    import threading

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            lease = await client.acquire("a")
            thread = threading.Thread(target=lambda: lease.settle(4))
            thread.start()
            await asyncio.get_running_loop().run_in_executor(None, thread.join)
            await asyncio.sleep(0)
            await client.flush()

    asyncio.run(main())
    assert released(pretend) == [{"usage": {"tokens": 4}}]


def test_a_loop_that_ends_without_closing_the_client_delivers_what_was_settled(pretend):
    client = sluice.AsyncClient(pretend.url)

    async def main():
        async with client.acquire("a") as lease:
            lease.settle(4)

    asyncio.run(main())
    asyncio.run(main())  # and the client serves the next loop
    assert released(pretend) == [{"usage": {"tokens": 4}}] * 2
