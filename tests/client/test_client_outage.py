"""When the coordinator is away: wait, refuse, or a local share of the limits."""

import asyncio
import threading
import time

import pytest
import sluice
from pretend import HangUp, PretendCoordinator, grant, refusal
from real import PATIENCE_S
from sluice import _local


@pytest.fixture
def absent():
    """A coordinator that is not there yet."""
    coordinator = PretendCoordinator()
    yield coordinator
    coordinator.close()


def test_waiting_for_a_coordinator_that_comes_later(absent):
    with sluice.Client(absent.url) as client:
        leases = []
        thread = threading.Thread(target=lambda: leases.append(client.acquire("a")))
        thread.start()
        time.sleep(0.1)
        assert leases == []
        absent.start()
        thread.join(2 * PATIENCE_S)
        leases[0].settle(1)
    assert len(absent.arrays) == 1


def test_waiting_ends_with_the_timeout(absent):
    with sluice.Client(absent.url) as client:
        with pytest.raises(sluice.Unreachable, match="SLUICE_URL"):
            client.acquire("a", timeout=0.2)
        with pytest.raises(sluice.Unreachable):
            client.acquire("a", timeout=0)


def test_refusing_is_at_once(absent):
    with sluice.Client(absent.url, on_unreachable="refuse", timeout=None) as client:
        for _ in range(3):
            with pytest.raises(sluice.Unreachable):
                client.acquire("a")


def test_refusing_ends_when_the_coordinator_is_back(absent, eventually):
    def granted():
        try:
            client.acquire("a").settle(1)
            return True
        except sluice.Unreachable:
            return False

    with sluice.Client(absent.url, on_unreachable="refuse") as client:
        assert not granted()
        absent.start()
        eventually(granted)


def test_one_probe_asks_for_all_that_wait(absent):
    async def main():
        async with sluice.AsyncClient(absent.url) as client:
            tasks = [asyncio.ensure_future(client._acquire("a", words())) for _ in range(500)]
            await asyncio.sleep(0.3)
            absent.start()
            for lease in await asyncio.gather(*tasks):
                lease.settle(1)

    asyncio.run(main())
    assert [len(array) for array in absent.arrays] == [500]


def words():
    from sluice._words import Words

    return Words(("here", 1))


def test_a_coordinator_that_is_leaving_is_waited_for(pretend):
    async def answer(items, reply):
        reply.start()
        if len(pretend.arrays) == 1:
            reply.line(refusal(0, items[0], 503, "shutting_down", retry_after_ms=10))
        else:
            reply.line(grant(0, items[0], pretend.lease()))
        reply.end()

    pretend.on_acquire = answer
    with sluice.Client(pretend.url) as client:
        client.acquire("a").settle(1)
    assert len(pretend.arrays) == 2


def test_a_coordinator_that_cannot_answer_an_array_is_waited_for(pretend):
    pretend.status = {"status": 503, "error": {"code": "shutting_down", "message": "leaving"}}
    with sluice.Client(pretend.url) as client:
        with pytest.raises(sluice.Unreachable, match="leaving"):
            client.acquire("a", timeout=0.3)
        pretend.status = None
        client.acquire("a").settle(1)


def test_a_kept_connection_that_breaks_is_no_outage(pretend):
    async def answer(items, reply):
        if len(pretend.arrays) == 2:
            raise HangUp
        reply.start()
        reply.line(grant(0, items[0], pretend.lease()))
        reply.end()

    pretend.on_acquire = answer
    with sluice.Client(pretend.url, on_unreachable="refuse") as client:
        client.acquire("a").settle(1)
        client.acquire("a").settle(1)
    assert [r["path"] for r in pretend.requests].count("/readyz") == 0


def test_releases_are_kept_until_the_coordinator_is_back(pretend):
    with sluice.Client(pretend.url) as client:
        lease = client.acquire("a")
        pretend.stop()
        receipt = lease.settle(5)
        with pytest.raises(TimeoutError):
            receipt.result(0.2)
        pretend.start()
        assert receipt.result(2 * PATIENCE_S).settled == {"requests": 1}
    assert [r["usage"] for r in pretend.released] == [{"tokens": 5}]


def test_closing_while_the_coordinator_is_away_does_not_hang(pretend, monkeypatch):
    monkeypatch.setattr("sluice._engine.CLOSE_S", 0.1)
    client = sluice.Client(pretend.url)
    lease = client.acquire("a")
    pretend.stop()
    lease.settle(1)
    client.close()
    with pytest.raises(sluice.ClientClosed):
        client.acquire("a")


# --- The local share ---


def test_a_local_share_of_amounts(absent):
    share = sluice.LocalShare(rpm=3, concurrency=2)
    with sluice.Client(absent.url, on_unreachable=share) as client:
        first, second = client.acquire("a"), client.acquire("a")
        assert first.local and first.held["requests"] == 1
        with pytest.raises(sluice.WaitTimeout):
            client.acquire("a", timeout=0.1)  # two are in flight
        assert first.settle(1).result(PATIENCE_S).settled["requests"] == 1
        third = client.acquire("a")
        for lease in (second, third):
            lease.settle(1)
        with pytest.raises(sluice.WaitTimeout):
            client.acquire("a", timeout=0.1)  # three in this minute
        client.acquire("b").settle(1)  # another resource has a share of its own


def test_a_local_share_counts_an_exact_rolling_minute():
    counter = _local.Counter("tokens", 100, 60.0)
    counter.charge(60, 0.0)
    counter.charge(30, 30.0)
    assert counter.free(30.0) == 10
    assert counter.free(60.0 + _local.GUARD_S - 0.001) == 10
    assert counter.free(60.0 + _local.GUARD_S) == 70
    assert counter.free(90.0 + _local.GUARD_S) == 100


def test_a_limit_that_nobody_has_told_yet_has_no_local_share():
    limit = {"limit": "rpm", "unit": "requests", "window": "rolling", "scope": "resource", "per_ms": 60000, "unknown": True}
    assert _local._counter_of({**limit, "amount": None, "remaining": None}, 0.5) is None
    assert _local._counter_of({**limit, "amount": 10, "remaining": 10}, 0.5).free(0.0) == 5


def test_a_local_share_of_the_limits_last_seen(pretend, eventually):
    limits = [
        {"unit": "requests", "window": "rolling", "per_ms": 60000, "scope": "resource", "amount": 16, "remaining": 9},
        {"unit": "slots", "window": "none", "scope": "resource", "amount": 800, "remaining": 800},
        {"unit": "usd", "window": "calendar", "scope": "resource", "amount": 80, "remaining": 8},
        {"unit": "requests", "window": "rolling", "per_ms": 60000, "scope": "session", "amount": 1, "remaining": 0},
    ]
    pretend.resources = {"resources": [{"resource": "a", "model": "m", "limits": limits}]}
    with sluice.Client(pretend.url, on_unreachable=sluice.LocalShare(share=1 / 8)) as client:
        client.acquire("a").settle(1)
        engine = client._engine()
        eventually(lambda: engine._judge._views, "the limits")
        client.flush()
        pretend.stop()
        client.acquire("a", load={"usd": 0.5}).settle(1)
        lease = client.acquire("a", load={"usd": 0.5})
        assert lease.local and lease.model == "m"
        lease.settle(1)
        with pytest.raises(sluice.WaitTimeout):
            client.acquire("a", timeout=0.1)
        with pytest.raises(sluice.Unreachable):
            client.acquire("b", timeout=0.1)  # nothing is known of its limits


def test_limits_that_are_read_again_do_not_forget_what_was_used(pretend, eventually):
    limits = [{"unit": "slots", "window": "none", "scope": "resource", "amount": 2, "remaining": 2}]
    pretend.resources = {"resources": [{"resource": "a", "model": "m", "limits": limits}]}
    with sluice.Client(pretend.url, on_unreachable=sluice.LocalShare(share=0.5)) as client:
        client.acquire("a").settle(1)
        client.flush()
        engine = client._engine()
        eventually(lambda: engine._judge._views, "the limits")
        pretend.stop()
        lease = client.acquire("a")
        engine.post(engine._judge.learn, pretend.resources)
        with pytest.raises(sluice.WaitTimeout):
            client.acquire("a", timeout=0.1)
        lease.settle(1)
        again = client.acquire("a")
        with pytest.raises(sluice.WaitTimeout):
            client.acquire("a", timeout=0.1)
        again.settle(1)


def test_what_does_not_wait_is_judged_by_the_local_share_at_once(absent):
    with sluice.Client(absent.url, on_unreachable=sluice.LocalShare(concurrency=1)) as client:
        client.acquire("a").cancel()  # finds out that the coordinator is away
        lease = client.acquire("a", timeout=0)
        assert lease.local
        with pytest.raises(sluice.WouldWait):
            client.acquire("a", timeout=0)
        lease.cancel()


def test_a_time_to_wait_for_the_local_share_ends_also_behind_somebody_who_waits_longer(absent, eventually):
    with sluice.Client(absent.url, on_unreachable=sluice.LocalShare(concurrency=1)) as client:
        held = client.acquire("a")
        judge = client._engine()._judge
        first = []
        thread = threading.Thread(target=lambda: first.append(client.acquire("a", timeout=None)))
        thread.start()
        eventually(lambda: judge._queues.get("a"), "the first in line")
        with pytest.raises(sluice.WaitTimeout):
            client.acquire("a", timeout=0.1)
        held.cancel()
        thread.join(2 * PATIENCE_S)
        first[0].cancel()


def test_what_waits_for_the_local_share_goes_to_the_coordinator_when_it_is_back(pretend):
    with sluice.Client(pretend.url, on_unreachable=sluice.LocalShare(concurrency=1)) as client:
        client.acquire("a").settle(1)
        client.flush()
        pretend.stop()
        local = client.acquire("a")
        assert local.local
        leases = []
        thread = threading.Thread(target=lambda: leases.append(client.acquire("a")))
        thread.start()
        pretend.start()
        thread.join(2 * PATIENCE_S)
        assert not leases[0].local
        leases[0].settle(1)
        local.settle(1)


def test_what_was_granted_locally_is_counted_and_told_when_the_coordinator_is_back(pretend, caplog, eventually):
    def told():
        return [record.getMessage() for record in caplog.records if "does not book" in record.getMessage()]

    load = {"requests": 1, "input_tokens": 20, "output_tokens": 1}
    with sluice.Client(pretend.url, on_unreachable=sluice.LocalShare(concurrency=8)) as client:
        client.acquire("a").settle(1)
        client.flush()
        assert client.local_use() == {}
        pretend.stop()
        for _ in range(2):
            client.acquire("a", load=load).settle(1)
        assert client.local_use() == {"a": {"requests": 2, "tokens": 42, "input_tokens": 40, "output_tokens": 2}}
        assert told() == []
        pretend.start()
        eventually(told, "a word of it")
    assert len(told()) == 1 and told()[0].endswith("of 'a' meanwhile: 2 requests, 42 tokens, 40 input_tokens, 2 output_tokens")


def test_an_asynchronous_client_counts_what_it_granted_too(absent):
    async def main():
        async with sluice.AsyncClient(absent.url, on_unreachable=sluice.LocalShare(concurrency=8)) as client:
            for lease in await asyncio.gather(*[client.acquire("a") for _ in range(3)]):
                lease.settle(1)
            return client.local_use()

    assert asyncio.run(main())["a"]["requests"] == 3


def test_a_share_is_either_amounts_or_a_part():
    for words_ in ({}, {"rpm": 1, "share": 0.5}, {"share": 0}, {"share": 2}, {"rpm": 0}):
        with pytest.raises(ValueError):
            sluice.LocalShare(**words_)
    with pytest.raises(ValueError):
        sluice.Client(on_unreachable="ignore")
