"""A stream that a called function returns is passed on, and settles when it ends or breaks."""

import asyncio
import gc
import warnings

import pytest
import sluice
from advice import ProviderError, advise, asked, retry

EVENTS = [{"text": "a"}, {"text": "b"}, {"usage": {"prompt_tokens": 4, "completion_tokens": 2}}]


def told(pretend):
    return [{k: v for k, v in r.items() if k not in ("elapsed_ms", "lease")} for r in pretend.released]


class Stream:
    """An iterator with what the packages' streams have besides."""

    def __init__(self, events=EVENTS, error=None, headers=None):
        self.events = list(events)
        self.error = error
        self.closed = False
        self.response = type("Response", (), {"headers": headers or {"x-ratelimit-remaining-tokens": "9"}})()

    def __iter__(self):
        return self

    def __next__(self):
        if self.events:
            return self.events.pop(0)
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self):
        self.closed = True


class AsyncStream(Stream):
    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.sleep(0)
        try:
            return Stream.__next__(self)
        except StopIteration:
            raise StopAsyncIteration from None

    async def close(self):
        self.closed = True




@pytest.fixture(params=["threads", "asyncio"])
def read(request, pretend):
    """Calls a function that returns a stream of these events each time, and reads what comes through: (events, exception)."""

    def with_client(*streams):
        left = [Stream(*arguments) for arguments in streams]
        events = []
        with sluice.Client(pretend.url) as client:
            try:
                for event in client.call(lambda lease: left.pop(0), "a"):
                    events.append(event)
            except Exception as error:
                return events, error
        return events, None

    def with_async_client(*streams):
        left = [AsyncStream(*arguments) for arguments in streams]
        events = []

        async def function(lease):
            return left.pop(0)

        async def main():
            async with sluice.AsyncClient(pretend.url) as client:
                async for event in await client.call(function, "a"):
                    events.append(event)

        try:
            asyncio.run(main())
        except Exception as error:
            return events, error
        return events, None

    return with_client if request.param == "threads" else with_async_client


def test_a_stream_settles_when_it_is_through(pretend, read):
    assert read((EVENTS,)) == (EVENTS, None)
    assert told(pretend) == [
        {"usage": {"prompt_tokens": 4, "completion_tokens": 2}, "headers": {"x-ratelimit-remaining-tokens": "9"}}
    ]


def test_a_stream_that_fails_before_its_first_event_is_tried_again(pretend, read):
    advise(pretend, retry())
    assert read(([], ProviderError(529)), (EVENTS,)) == (EVENTS, None)
    assert [t.get("status") for t in told(pretend)] == [529, None]
    assert asked(pretend)[1]["ticket"] == "tk_0000000000000001"


def test_nothing_is_replayed_once_an_event_was_passed_on(pretend, read):
    advise(pretend, retry())
    error = ProviderError(529, {"type": "error", "error": {"type": "overloaded_error"}})
    events, raised = read((EVENTS[:1], error), (EVENTS,))
    assert (events, raised) == (EVENTS[:1], error)
    assert told(pretend)[0]["error"] == {"type": "overloaded_error"}
    assert len(asked(pretend)) == 1
    assert pretend.cancelled == [{"ticket": "tk_0000000000000001"}], "the place that was offered is given up"


def test_a_stream_without_events_is_settled(pretend, read):
    with pytest.warns(sluice.UnsettledLeaseWarning):
        assert read(([],)) == ([], None)
    assert len(told(pretend)) == 1


def test_a_stream_that_is_closed_early_is_charged_in_full(pretend):
    stream = Stream()
    with sluice.Client(pretend.url) as client, warnings.catch_warnings():
        warnings.simplefilter("error")
        with client.call(lambda lease: stream, "a") as events:
            assert next(events) == EVENTS[0]
            assert events.response is stream.response, "what else the stream can do is asked of it"
    assert stream.closed
    assert told(pretend) == [{"status": 200, "headers": {"x-ratelimit-remaining-tokens": "9"}}]


def test_an_async_stream_that_is_closed_early_is_charged_in_full(pretend):
    stream = AsyncStream()

    async def function(lease):
        return stream

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            async with await client.call(function, "a") as events:
                assert await events.__anext__() == EVENTS[0]

    asyncio.run(main())
    assert stream.closed
    assert told(pretend) == [{"status": 200, "headers": {"x-ratelimit-remaining-tokens": "9"}}]


def test_a_stream_that_is_forgotten_is_charged_in_full_and_warns(pretend, eventually):
    with sluice.Client(pretend.url) as client:
        with pytest.warns(sluice.UnsettledLeaseWarning, match="forgotten"):
            client.call(lambda lease: Stream(), "a")
            gc.collect()
        eventually(lambda: len(pretend.released) == 1)


def test_a_generator_function_runs_under_its_lease(pretend):
    advise(pretend, retry())
    errors = [ProviderError()]

    def generate(lease):
        assert sluice.current_lease() is lease
        if errors:
            raise errors.pop()
        yield from EVENTS

    with sluice.Client(pretend.url) as client:
        assert list(client.call(generate, "a")) == EVENTS
    assert len(asked(pretend)) == 2


def test_an_asynchronous_generator_function_streams(pretend):
    async def generate(lease):
        for event in EVENTS:
            yield event

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            return [event async for event in await client.call(generate, "a")]

    assert asyncio.run(main()) == EVENTS


def test_a_decorated_function_may_return_a_stream(pretend):
    with sluice.Client(pretend.url) as client:

        @client.limited("a")
        def ask():
            return Stream()

        assert list(ask()) == EVENTS
    assert told(pretend)[0]["usage"] == {"prompt_tokens": 4, "completion_tokens": 2}
