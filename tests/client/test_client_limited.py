"""The decorator: acquire before the call, settle with what it returns."""

import asyncio
import warnings

import pytest
import sluice


def usages(pretend):
    return [r.get("usage") for r in pretend.released]


def test_a_limited_function_acquires_and_settles(pretend):
    with sluice.Client(pretend.url) as client:

        @client.limited("a", load=lambda text, times=1: {"input_tokens": len(text) * times}, priority=3)
        def ask(text, times=1):
            """Asks."""
            return {"usage": {"prompt_tokens": len(text), "completion_tokens": 1}, "text": text}

        assert ask("hello", times=2)["text"] == "hello"
        assert (ask.__name__, ask.__doc__) == ("ask", "Asks.")
    (item,) = pretend.arrays[0]
    assert (item["load"], item["priority"]) == ({"input_tokens": 10}, 3)
    assert usages(pretend) == [{"prompt_tokens": 5, "completion_tokens": 1}]


def test_a_limited_coroutine_function_acquires_and_settles(pretend):
    async def main():
        async with sluice.AsyncClient(pretend.url) as client:

            @client.limited("a", load=lambda n: n, session=lambda n: f"s{n}")
            async def ask(n):
                await asyncio.sleep(0)
                return {"usage": {"input_tokens": n, "output_tokens": 1}}

            await asyncio.gather(*[ask(n) for n in range(5)])

    asyncio.run(main())
    assert [(item["load"], item["session"]) for item in pretend.arrays[0]] == [(n, f"s{n}") for n in range(5)]
    # Five settles travel side by side: each arrives once, in no order that was promised.
    assert sorted(u["input_tokens"] for u in usages(pretend)) == list(range(5))


def test_usage_can_be_picked_from_what_is_returned(pretend):
    with sluice.Client(pretend.url) as client:
        ask = client.limited("a", usage=lambda result: result[1])(lambda: ("text", 17))
        assert ask() == ("text", 17)
    assert usages(pretend) == [{"tokens": 17}]


def test_an_exception_of_a_limited_function_is_reported(pretend):
    class Failed(Exception):
        status_code = 500

    with sluice.Client(pretend.url) as client:

        @client.limited("a")
        def ask():
            raise Failed("no")

        with pytest.raises(Failed):
            ask()
    assert pretend.released[0]["status"] == 500


def test_a_limited_function_that_returns_no_usage_warns_with_its_place(pretend):
    with sluice.Client(pretend.url) as client:

        @client.limited("a")
        def ask():
            return "text"

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert ask() == "text"
    (warning,) = caught
    assert warning.category is sluice.UnsettledLeaseWarning
    assert (warning.filename, warning.lineno) == (__file__, ask.__wrapped__.__code__.co_firstlineno)


def test_a_function_is_limited_by_the_client_of_its_kind(pretend):
    async def coroutine_function():
        pass

    def generator_function():
        yield

    client, async_client = sluice.Client(pretend.url), sluice.AsyncClient(pretend.url)
    for limited, function in (
        (client.limited, coroutine_function),
        (client.limited, generator_function),
        (async_client.limited, lambda: None),
    ):
        with pytest.raises(TypeError):
            limited("a")(function)


def test_an_unknown_word_is_an_error_where_it_is_written(pretend):
    with sluice.Client(pretend.url) as client:
        with pytest.raises(TypeError):
            client.limited("a", prority=3)
