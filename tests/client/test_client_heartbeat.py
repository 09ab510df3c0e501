"""Leases of a process are renewed together, for as long as they are held."""

import asyncio
import time

import sluice


def test_all_leases_are_renewed_by_one_request(pretend, eventually_async):
    async def main():
        async with sluice.AsyncClient(pretend.url, lease_seconds=0.3) as client:
            leases = await asyncio.gather(*[client.acquire("a") for _ in range(50)])
            await eventually_async(lambda: len(pretend.renewed) >= 3, "three renewals")
            for lease in leases:
                lease.settle(1)
            return [lease.id for lease in leases]

    ids = asyncio.run(main())
    assert pretend.renewed[0] == {"leases": ids, "lease_ms": 300}


def test_nothing_is_renewed_when_nothing_is_held(pretend):
    with sluice.Client(pretend.url, lease_seconds=0.06) as client:
        client.acquire("a").settle(1)
        client.flush()
        before = len(pretend.renewed)
        time.sleep(0.3)
        assert len(pretend.renewed) == before
        assert client._engine()._heartbeat._timer is None


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
