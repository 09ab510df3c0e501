"""Leases of a process are renewed together, for as long as they are held."""

import asyncio
import time

import sluice


def test_all_leases_are_renewed_by_one_request(pretend, eventually_async):
    async def main():
        # Granted within half a second of each other, which is a sixth of their life, they are renewed together.
        async with sluice.AsyncClient(pretend.url, lease_seconds=3) as client:
            leases = await asyncio.gather(*[client.acquire("a") for _ in range(50)])
            await eventually_async(lambda: pretend.renewed, "a renewal")
            for lease in leases:
                lease.settle(1)
            return [lease.id for lease in leases]

    ids = asyncio.run(main())
    assert pretend.renewed[0] == {"leases": ids, "lease_ms": 3000}


def test_what_is_held_is_renewed_again_and_again(pretend, eventually):
    with sluice.Client(pretend.url, lease_seconds=0.06) as client:
        lease = client.acquire("a")
        eventually(lambda: len(pretend.renewed) >= 3, "three renewals")
        lease.settle(1)


def test_nothing_is_renewed_when_nothing_is_held(pretend, eventually):
    with sluice.Client(pretend.url, lease_seconds=3600) as client:
        lease = client.acquire("a")
        heartbeat = client._engine()._heartbeat
        eventually(lambda: heartbeat._timer is not None, "a timer for the renewal")
        lease.settle(1)
        client.flush()
        assert heartbeat._timer is None and heartbeat._task is None


def test_a_lease_that_expired_says_so(pretend, eventually):
    real = pretend._other

    def other(path, value):
        if path == "/v1/renew":
            return {"leases": [{"lease": lease, "error": {"code": "unknown_lease"}} for lease in value["leases"]]}
        return real(path, value)

    pretend._other = other
    with sluice.Client(pretend.url, lease_seconds=0.06) as client:
        lease = client.acquire("a")
        eventually(lambda: lease.lost, "the loss")
        lease.settle(1)


def test_leases_that_came_due_while_the_coordinator_was_away_are_renewed_when_it_is_back(pretend, eventually):
    with sluice.Client(pretend.url, lease_seconds=0.3) as client:
        lease = client.acquire("a")
        pretend.stop()
        pretend.renewed.clear()
        time.sleep(0.3)
        pretend.start()
        eventually(lambda: pretend.renewed, "a renewal")
        assert pretend.renewed[0]["leases"] == [lease.id]
        lease.settle(1)
