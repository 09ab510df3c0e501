"""How acquires travel: together, on few connections, and never granted twice."""

import asyncio
import threading

import pytest
import sluice
from pretend import HangUp, grant, refusal
from real import PATIENCE_S


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 6 * PATIENCE_S))


async def acquire_many(client, n, **words):
    leases = await asyncio.gather(*[client.acquire("a", **words) for _ in range(n)])
    for lease in leases:
        lease.settle(1)
    return leases


def test_acquires_of_one_moment_travel_as_one_array(pretend):
    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            await acquire_many(client, 100)
            await client.flush()

    run(main())
    assert [len(array) for array in pretend.arrays] == [100]
    assert len(pretend.released) == 100
    posts = [r for r in pretend.requests if r["path"] == "/v1/release"]
    assert len(posts) <= 2


def test_an_array_is_never_longer_than_the_coordinator_takes(pretend):
    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            await acquire_many(client, 2500)

    run(main())
    assert sum(len(array) for array in pretend.arrays) == 2500
    assert max(len(array) for array in pretend.arrays) == 1024


def test_the_words_arrive_as_the_api_spells_them(pretend):
    with sluice.Client(pretend.url, api_key="k", lease_seconds=7) as client:
        parent = client.acquire("a")
        child = client.acquire(
            "b", input_tokens=10, max_output_tokens=20, tokens=25, load={"usd": 0.5}, priority=2, tenant="t",
            session="s", labels={"team": "x"}, parent=parent, timeout=3000, id="mine",
        )  # fmt: skip
        child.settle(1)
        parent.settle(1)
    (item,) = pretend.arrays[1]
    assert item.pop("wait_ms") in range(2_900_000, 3_000_001)  # less what passed before it was sent
    assert item == {
        "resource": "b",
        "load": {"usd": 0.5, "tokens": 25, "input_tokens": 10, "output_tokens": 20},
        "priority": 2,
        "tenant": "t",
        "session": "s",
        "labels": {"team": "x"},
        "parent": parent.id,
        "id": "mine",
        "lease_ms": 7000,
        "hold_ms": 25000,
    }
    assert pretend.requests[0]["headers"]["authorization"] == "Bearer k"


@pytest.mark.parametrize("timeout, wait_ms", [(1e-9, 1), (0, 0)])
def test_whoever_is_ready_to_wait_asks_for_it_however_short_the_time(pretend, timeout, wait_ms):
    with sluice.Client(pretend.url) as client:
        client.acquire("a", timeout=timeout).settle(1)
    assert pretend.arrays[0][0]["wait_ms"] == wait_ms


def test_a_load_can_be_a_number_of_tokens(pretend):
    with sluice.Client(pretend.url) as client:
        client.acquire("a", load=12).settle(1)
        client.acquire("a", tokens=12).settle(1)
        client.acquire("a").settle(1)
    assert [array[0].get("load") for array in pretend.arrays] == [12, {"tokens": 12}, None]


@pytest.mark.parametrize("words", [{"load": 1, "tokens": 1}, {"load": {"words": 3}}, {"timeout": -1}])
def test_words_that_make_no_sense_are_refused_before_anything_is_sent(pretend, words):
    with sluice.Client(pretend.url) as client:
        with pytest.raises((TypeError, ValueError)):
            client.acquire("a", **words)
    assert pretend.arrays == []


def test_a_lease_tells_what_was_granted(pretend):
    async def answer(items, reply):
        reply.start()
        reply.line({**grant(0, items[0], "ls_7"), "model": "m", "waited_ms": 1500, "attempt": 2, "resource": "r"})
        reply.end()

    pretend.on_acquire = answer
    with sluice.Client(pretend.url) as client, client.acquire("a") as lease:
        facts = (lease.id, lease.resource, lease.model, lease.held, lease.waited, lease.attempt, lease.local, lease.lost)
        assert facts == ("ls_7", "r", "m", {"requests": 1, "slots": 1}, 1.5, 2, False, False)
        lease.settle(1)
        assert lease.ended


def test_a_long_wait_does_not_hold_up_later_acquires(pretend):
    release = threading.Event()

    async def answer(items, reply):
        reply.start()
        while items[0]["resource"] == "slow" and not release.is_set():
            await asyncio.sleep(0.005)
        for index, item in enumerate(items):
            reply.line(grant(index, item, pretend.lease()))
        reply.end()

    pretend.on_acquire = answer

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            slow = asyncio.ensure_future(client._acquire("slow", _words()))
            while not pretend.arrays:
                await asyncio.sleep(0.001)
            for _ in range(20):
                (await client.acquire("a")).settle(1)
            assert not slow.done()
            release.set()
            (await slow).settle(1)

    run(main())


def _words():
    from sluice._words import Words

    return Words(("here", 1))


class Keeper:
    """Answers nobody until told, and hands a request over to whoever asked for its id last, like the
    coordinator does."""

    def __init__(self, pretend):
        self.pretend = pretend
        self.waiting = {}  # id → (reply, index, item, left: those of the same reply)
        self.open = threading.Event()
        self.moved = 0
        self.replies_max = 0

    async def __call__(self, items, reply):
        reply.start()
        mine = set()
        for index, item in enumerate(items):
            before = self.waiting.pop(item["id"], None)
            if before is not None:
                self.moved += 1
                before[0].line(refusal(before[1], item, 409, "cancelled"))
                before[2].discard(item["id"])
            self.waiting[item["id"]] = (reply, index, mine, item)
            mine.add(item["id"])
        self.replies_max = max(self.replies_max, len({id(w[0]) for w in self.waiting.values()}))
        while mine and not self.open.is_set():
            await asyncio.sleep(0.002)
        for id_ in list(mine):
            _, index, _, item = self.waiting.pop(id_)
            reply.line(grant(index, item, self.pretend.lease()))
        reply.end()


def test_a_ticket_that_was_given_stays_with_its_acquire_when_it_is_moved(pretend, monkeypatch, eventually_async):
    monkeypatch.setattr("sluice._line.STREAMS_SOFT_MAX", 1)
    keeper = Keeper(pretend)
    pretend.on_acquire = keeper

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:

            async def one(ticket=None):
                (await client.acquire("a", ticket=ticket)).settle(1)

            first = asyncio.ensure_future(one("tk_0000000000000009"))
            await eventually_async(lambda: len(pretend.arrays) == 1)
            second = asyncio.ensure_future(one())
            await eventually_async(lambda: len(pretend.arrays) == 2)
            keeper.open.set()
            await asyncio.gather(first, second)

    run(main())
    assert [item.get("ticket") for item in pretend.arrays[1]] == ["tk_0000000000000009", None]


def test_many_waiting_acquires_made_at_different_times_share_few_connections(pretend):
    keeper = Keeper(pretend)
    pretend.on_acquire = keeper

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:

            async def one():
                (await client.acquire("a")).settle(1)

            tasks = []
            for n in range(300):
                tasks.append(asyncio.ensure_future(one()))
                while len(keeper.waiting) <= n:
                    await asyncio.sleep(0.001)
            keeper.open.set()
            await asyncio.gather(*tasks)

    run(main())
    assert keeper.replies_max <= 9
    assert keeper.moved <= 300 * 6, "each request is moved a logarithmic number of times"
    assert pretend.connections_max <= 24
    assert pretend.cancelled == []


def test_a_stream_that_breaks_is_asked_again_under_the_same_ids(pretend):
    async def answer(items, reply):
        reply.start()
        if len(pretend.arrays) == 1:
            reply.line(grant(0, items[0], "ls_first"))
            await asyncio.sleep(0.01)
            raise HangUp
        for index, item in enumerate(items):
            reply.line(grant(index, item, pretend.lease()))
        reply.end()

    pretend.on_acquire = answer

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            return await acquire_many(client, 5)

    leases = run(main())
    first, second = pretend.arrays
    assert [item["id"] for item in second] == [item["id"] for item in first[1:]]
    assert leases[0].id == "ls_first" and len({lease.id for lease in leases}) == 5


def test_an_answer_that_ends_too_early_is_asked_again(pretend):
    async def answer(items, reply):
        reply.start()
        if len(pretend.arrays) > 1:
            reply.line(grant(0, items[0], pretend.lease()))
        reply.end()

    pretend.on_acquire = answer
    with sluice.Client(pretend.url) as client:
        client.acquire("a").settle(1)
    assert [array[0]["id"] for array in pretend.arrays] == [pretend.arrays[0][0]["id"]] * 2


def test_a_ticket_is_followed_until_it_becomes_a_lease(pretend):
    async def answer(items, reply):
        reply.start()
        n = len(pretend.arrays)
        if n < 4:
            reply.line({"index": 0, "id": items[0]["id"], "status": 202, "ticket": f"tk_{n}", "position": 1})
        else:
            reply.line(grant(0, items[0], pretend.lease()))
        reply.end()

    pretend.on_acquire = answer
    with sluice.Client(pretend.url) as client:
        client.acquire("a").settle(1)
    assert [array[0].get("ticket") for array in pretend.arrays] == [None, "tk_1", "tk_2", "tk_3"]


def test_a_ticket_whose_place_is_gone_becomes_a_new_request(pretend):
    async def answer(items, reply):
        reply.start()
        n = len(pretend.arrays)
        if n == 1:
            reply.line({"index": 0, "id": items[0]["id"], "status": 202, "ticket": "tk_1"})
        elif n == 2:
            reply.line(refusal(0, items[0], 404, "unknown_ticket"))
        else:
            reply.line(grant(0, items[0], pretend.lease()))
        reply.end()

    pretend.on_acquire = answer
    with sluice.Client(pretend.url) as client:
        client.acquire("a").settle(1)
    assert [array[0].get("ticket") for array in pretend.arrays] == [None, "tk_1", None]


@pytest.mark.parametrize("status, code", [(400, "invalid_request"), (413, "body_too_large")])
def test_one_bad_request_does_not_take_its_array_with_it(pretend, status, code):
    async def answer(items, reply):
        if any(item["resource"] == "bad" for item in items):
            error = {"type": code, "code": code, "message": "no"}
            pretend._json(reply._writer, status, {"error": error})
            return
        reply.start()
        for index, item in enumerate(items):
            reply.line(grant(index, item, pretend.lease()))
        reply.end()

    pretend.on_acquire = answer

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            names = ["a"] * 6 + ["bad"] + ["a"] * 6
            results = await asyncio.gather(*[client.acquire(n) for n in names], return_exceptions=True)
            for result in results:
                if isinstance(result, sluice.AsyncLease):
                    result.settle(1)
            return results

    results = run(main())
    assert [isinstance(r, sluice.SluiceError) for r in results] == [False] * 6 + [True] + [False] * 6


def test_a_cancelled_task_takes_its_request_out_of_the_line(pretend, eventually):
    async def answer(items, reply):
        reply.start()
        await asyncio.sleep(60)

    pretend.on_acquire = answer

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            task = asyncio.ensure_future(client._acquire("a", _words()))
            while not pretend.arrays:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.flush()

    run(main())
    assert pretend.cancelled == [{"id": pretend.arrays[0][0]["id"]}]


def test_a_request_cancelled_before_it_was_sent_never_is(pretend):
    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            (await client.acquire("a")).settle(1)
            task = asyncio.ensure_future(client._acquire("b", _words()))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    run(main())
    assert [array[0]["resource"] for array in pretend.arrays] == ["a"] and pretend.cancelled == []


def test_a_lease_that_arrives_after_its_task_was_cancelled_is_given_back(pretend, eventually):
    go = threading.Event()

    async def answer(items, reply):
        reply.start()
        while not go.is_set():
            await asyncio.sleep(0.002)
        reply.line(grant(0, items[0], pretend.lease()))
        reply.end()

    pretend.on_acquire = answer

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            task = asyncio.ensure_future(client._acquire("a", _words()))
            while not pretend.arrays:
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.flush()
            go.set()
            while len(pretend.cancelled) < 2:
                await asyncio.sleep(0.001)

    run(main())
    # Once for the place in line, once for the lease that had been granted meanwhile.
    assert pretend.cancelled == [{"id": pretend.arrays[0][0]["id"]}] * 2
    assert pretend.released == []


def test_a_lease_granted_in_the_turn_of_its_cancellation_is_given_back(pretend):
    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            engine = await client._engine()
            task = asyncio.ensure_future(client._acquire("a", _words()))

            granted = engine._line._on_grant

            def on_grant(ask, grant_):
                granted(ask, grant_)
                task.cancel()  # the future has its result; the task has not run yet

            engine._line._on_grant = on_grant
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.flush()
            assert engine._held == {}

    run(main())
    assert pretend.cancelled == [{"id": pretend.arrays[0][0]["id"]}]


def test_an_id_that_waits_already_in_this_process_is_refused(pretend):
    async def answer(items, reply):
        reply.start()
        await asyncio.sleep(60)

    pretend.on_acquire = answer

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            task = asyncio.ensure_future(client._acquire("a", _words_with(id="x")))
            await asyncio.sleep(0)
            with pytest.raises(ValueError):
                await client.acquire("a", id="x")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    run(main())


def _words_with(**words):
    from sluice._words import Words

    return Words(("here", 1), **words)


def test_threads_share_one_client(pretend):
    with sluice.Client(pretend.url) as client:

        def work():
            for _ in range(20):
                with client.acquire("a") as lease:
                    lease.settle(1)

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.flush()
    assert len({r["lease"] for r in pretend.released}) == 320
    # An acquire of each thread and two arrays of releases, and as many that hung up and are not seen to have yet.
    assert pretend.connections_max <= 2 * (16 + 2)


def test_closing_the_client_ends_what_waits(pretend):
    async def answer(items, reply):
        reply.start()
        await asyncio.sleep(60)

    pretend.on_acquire = answer

    async def main():
        client = sluice.AsyncClient(pretend.url)
        task = asyncio.ensure_future(client._acquire("a", _words()))
        while not pretend.arrays:
            await asyncio.sleep(0.001)
        await client.aclose()
        with pytest.raises(sluice.ClientClosed):
            await task
        with pytest.raises(sluice.ClientClosed):
            await client.acquire("a")

    run(main())
    assert len(pretend.cancelled) == 1


def test_an_answer_that_never_comes_ends_with_the_timeout_all_the_same(pretend, monkeypatch):
    monkeypatch.setattr("sluice._line.SWEEP_S", 0.02)
    monkeypatch.setattr("sluice._line.GRACE_S", 0.05)

    async def answer(items, reply):
        reply.start()
        await asyncio.sleep(60)

    pretend.on_acquire = answer
    with sluice.Client(pretend.url) as client:
        with pytest.raises(sluice.WaitTimeout, match="did not answer"):
            client.acquire("a", timeout=0.1)
    assert len(pretend.cancelled) == 1


def test_a_silent_connection_is_given_up_and_the_request_asked_again(pretend, monkeypatch):
    monkeypatch.setattr("sluice._line.SILENCE_S", 0.05)

    async def answer(items, reply):
        if len(pretend.arrays) == 1:
            monkeypatch.setattr("sluice._line.SILENCE_S", PATIENCE_S)  # the second may take its time to be answered
            await asyncio.sleep(60)
        reply.start()
        reply.line(grant(0, items[0], pretend.lease()))
        reply.end()

    pretend.on_acquire = answer
    with sluice.Client(pretend.url) as client:
        client.acquire("a").settle(1)
    assert len(pretend.arrays) >= 2 and len({array[0]["id"] for array in pretend.arrays}) == 1


def test_a_wait_without_end_outlasts_the_longest_wait_of_the_coordinator(pretend):
    async def answer(items, reply):
        reply.start()
        if len(pretend.arrays) == 1:
            reply.line(refusal(0, items[0], 408, "wait_timeout"))
        else:
            reply.line(grant(0, items[0], pretend.lease()))
        reply.end()

    pretend.on_acquire = answer
    with sluice.Client(pretend.url, timeout=None) as client:
        client.acquire("a").settle(1)
    assert [array[0]["wait_ms"] for array in pretend.arrays] == [86_400_000] * 2


@pytest.mark.parametrize("line", [{"index": 7}, {"nonsense": 1}, [], "x"])
def test_an_answer_that_makes_no_sense_is_no_lease(pretend, line):
    async def answer(items, reply):
        reply.start()
        reply.line(line)
        reply.end()

    pretend.on_acquire = answer
    with sluice.Client(pretend.url) as client:
        with pytest.raises((sluice.Unreachable, sluice.WaitTimeout)):
            client.acquire("a", timeout=0.2)


def test_answers_that_come_in_pieces_are_put_together(pretend):
    async def answer(items, reply):
        reply.start()
        import json

        data = b"".join(json.dumps(grant(i, item, pretend.lease())).encode() + b"\n" for i, item in enumerate(items))
        for at in range(0, len(data), 7):
            part = data[at : at + 7]
            reply._writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await asyncio.sleep(0)
        reply.end()

    pretend.on_acquire = answer

    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            return await acquire_many(client, 20)

    assert len({lease.id for lease in run(main())}) == 20


@pytest.mark.parametrize("words", [{"load": {"usd": float("nan")}}, {"labels": {"a": object()}}])
def test_what_cannot_be_sent_is_told_to_who_asked_and_to_nobody_else(pretend, words):
    async def main():
        async with sluice.AsyncClient(pretend.url) as client:
            results = await asyncio.gather(
                client.acquire("a"), client.acquire("a", **words), client.acquire("a"), return_exceptions=True
            )
            for lease in (results[0], results[2]):
                lease.settle(1)
            return results[1]

    assert isinstance(run(main()), (TypeError, ValueError))
    assert len(pretend.released) == 2


def test_numbers_of_other_packages_are_sent_as_numbers(pretend):
    from decimal import Decimal
    from types import MappingProxyType

    class Int64:
        def __index__(self):
            return 7

    with sluice.Client(pretend.url) as client:
        lease = client.acquire("a", tokens=Int64(), load={"usd": Decimal("0.5")}, labels=MappingProxyType({"a": "b"}))
        lease.settle(tokens=Int64(), usd=Decimal("0.25"))
    (item,) = pretend.arrays[0]
    assert (item["load"], item["labels"]) == ({"usd": 0.5, "tokens": 7}, {"a": "b"})
    assert pretend.released[0]["usage"] == {"tokens": 7, "usd": 0.25}


def test_a_thread_that_is_interrupted_leaves_the_line(pretend, eventually):
    import signal

    async def answer(items, reply):
        reply.start()
        # To the thread that waits: what is raised in this one would be seen there when its time is up.
        if len(pretend.arrays) == 1:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        await asyncio.sleep(60)

    class Interrupt(BaseException):
        pass

    def interrupt(*_):
        raise Interrupt

    pretend.on_acquire = answer
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with sluice.Client(pretend.url) as client:
            with pytest.raises(Interrupt):
                client.acquire("a", timeout=None)
            eventually(lambda: len(pretend.cancelled) == 1, "a cancel")
    finally:
        signal.signal(signal.SIGUSR1, before)
