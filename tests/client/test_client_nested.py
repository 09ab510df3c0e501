"""A nested agent's acquire finds the lease it runs under, by a context variable."""

import asyncio
import contextvars
import threading

import pytest
import sluice
from advice import answer_with, asked


def parents(pretend):
    return [item.get("parent") for item in asked(pretend)]


def test_an_acquire_inside_of_a_block_names_the_blocks_lease(pretend):
    with sluice.Client(pretend.url) as client:
        with client.acquire("a") as outer:
            with client.acquire("b") as inner:
                client.acquire("c").settle(1)
                inner.settle(1)
            client.acquire("d").settle(1)
            outer.settle(1)
            client.acquire("e").settle(1)
        client.acquire("f").settle(1)
    assert parents(pretend) == [None, outer.id, inner.id, outer.id, None, None]


def test_a_parent_can_be_named_or_none(pretend):
    with sluice.Client(pretend.url) as client:
        other = client.acquire("a")
        with client.acquire("a") as outer:
            client.acquire("b", parent=other).settle(1)
            client.acquire("b", parent="ls_00000000000000ff").settle(1)
            client.acquire("b", parent=None).settle(1)
            outer.settle(1)
        other.settle(1)
    assert parents(pretend)[2:] == [other.id, "ls_00000000000000ff", None]


def test_finding_a_parent_can_be_turned_off(pretend):
    with sluice.Client(pretend.url, find_parent=False) as client:
        with client.acquire("a") as outer:
            client.acquire("b").settle(1)
            outer.settle(1)
    assert parents(pretend) == [None, None]


def test_a_called_functions_tasks_are_nested_and_a_blocks_are_not(pretend):
    async def main():
        async with sluice.AsyncClient(pretend.url) as client:

            async def sub(name):
                async with client.acquire(name) as lease:
                    lease.settle(1)

            async def agent(lease):
                await asyncio.gather(sub("b"), sub("c"))
                return {"tokens": 1}

            await client.call(agent, "a")
            async with client.acquire("d") as lease:
                await asyncio.gather(sub("e"))
                await sub("f")
                lease.settle(1)

    asyncio.run(main())
    by_name = {item["resource"]: item.get("parent") for item in asked(pretend)}
    assert by_name["b"] == by_name["c"] == "ls_0000000000000001"
    assert (by_name["a"], by_name["d"], by_name["e"]) == (None, None, None)
    assert by_name["f"] is not None


def test_a_thread_with_the_functions_context_is_nested(pretend):
    with sluice.Client(pretend.url) as client:

        def agent(lease):
            for run in (contextvars.copy_context().run, lambda function: function()):
                thread = threading.Thread(target=run, args=(lambda: client.acquire("b").settle(1),))
                thread.start()
                thread.join()
            return {"tokens": 1}

        client.call(agent, "a")
    assert parents(pretend) == [None, "ls_0000000000000001", None]


def test_a_parent_of_another_coordinator_is_none_here(pretend):
    with sluice.Client(pretend.url) as client, sluice.Client(pretend.url, api_key="other") as other:
        with client.acquire("a") as outer:
            other.acquire("b").settle(1)
            outer.settle(1)
    assert parents(pretend) == [None, None]


def test_a_parent_that_has_ended_meanwhile_is_left_out(pretend):
    answer_with(pretend, {}, (404, "unknown_lease", {}))
    with sluice.Client(pretend.url) as client:
        with client.acquire("a") as outer:
            client.acquire("b").settle(1)
            outer.settle(1)
    assert parents(pretend) == [None, outer.id, None]
    assert len({item["id"] for item in asked(pretend)}) == 2


def test_a_parent_that_was_named_and_has_ended_is_told(pretend):
    answer_with(pretend, (404, "unknown_lease", {}))
    with sluice.Client(pretend.url) as client:
        with pytest.raises(sluice.UnknownLease):
            client.acquire("b", parent="ls_00000000000000ff")


def test_the_current_lease_is_that_of_the_running_code(pretend):
    with pytest.raises(LookupError):
        sluice.current_lease()
    with sluice.Client(pretend.url) as client:
        with client.acquire("a") as lease:
            assert sluice.current_lease() is lease
            lease.settle(1)
            with pytest.raises(LookupError):
                sluice.current_lease()

        def function(lease):
            assert sluice.current_lease() is lease
            return {"tokens": 1}

        client.call(function, "a")
    with pytest.raises(LookupError):
        sluice.current_lease()


def test_an_agent_that_would_wait_for_itself_is_refused(coordinator):
    c = coordinator()

    def agents(client):
        def inner(lease):
            raise AssertionError("it was never granted")

        def outer(lease):
            client.call(inner, "one", timeout=None)

        return outer

    with sluice.Client(c.url) as client:
        with pytest.raises(sluice.WouldDeadlock):
            client.call(agents(client), "one")
        client.flush()
        assert client.resources("one")["leases"] == 0
        assert client.call(lambda lease: {"tokens": 1}, "one") == {"tokens": 1}, "the outer agent's slot is free again"


def test_an_asynchronous_agent_that_would_wait_for_itself_is_refused(coordinator):
    c = coordinator()

    async def main():
        async with sluice.AsyncClient(c.url) as client:

            async def inner(lease):
                raise AssertionError("it was never granted")

            async def outer(lease):
                await asyncio.gather(*[client.call(inner, "one", timeout=None) for _ in range(3)])

            with pytest.raises(sluice.WouldDeadlock):
                await client.call(outer, "one")

    asyncio.run(main())
