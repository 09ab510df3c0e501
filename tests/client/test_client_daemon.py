"""The client against the real coordinator."""

import asyncio
import os
import subprocess
import sys
import textwrap
import threading

import pytest
import sluice
from real import PATIENCE_S


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 6 * PATIENCE_S))


def test_a_lease_is_held_and_settled(coordinator):
    c = coordinator()
    with sluice.Client(c.url) as client:
        with client.acquire("claude", input_tokens=500, max_output_tokens=200, tenant="t") as lease:
            assert (lease.resource, lease.model) == ("claude", "claude-sonnet")
            assert lease.held["input_tokens"] == 500 and lease.attempt == 1 and not lease.local
            assert c.limit("claude", "otpm")["held"] == 200
            booked = lease.settle(input_tokens=450, output_tokens=20).result(PATIENCE_S)
        assert (booked.settled["input_tokens"], booked.settled["output_tokens"]) == (450, 20)
        assert not booked.late and booked.advice.action == "done"
        assert client.resources("claude")["settled"] == 1
        assert {r["resource"] for r in client.resources()["resources"]} == {"gpt-4o", "claude", "one", "fifty"}


REFUSALS = """
resources:
  small: {tpm: 100}
  one: {concurrency: 1, line: 1}
  poor:
    price: given
    limits:
      - {name: purse, unit: usd, amount: 1, per: lifetime}
"""


def test_refusals_are_typed_and_have_their_facts(coordinator):
    with sluice.Client(coordinator(REFUSALS).url) as client:
        with pytest.raises(sluice.NeverFits) as never:
            client.acquire("small", tokens=101)
        assert never.value.limit == "tpm" and never.value.status == 422
        client.acquire("poor", load={"usd": 0.6}).settle()
        with pytest.raises(sluice.BudgetExceeded) as budget:
            client.acquire("poor", load={"usd": 0.6})
        assert budget.value.limit == "purse"
        with pytest.raises(sluice.UnknownResource):
            client.acquire("nothing")
        with pytest.raises(sluice.InvalidRequest, match="priority"):
            client.acquire("small", priority=11)
        with client.acquire("one") as parent:
            with pytest.raises(sluice.WouldWait) as wait:
                client.acquire("one", timeout=0, parent=None)
            assert wait.value.limit == "concurrency"
            with pytest.raises(sluice.WaitTimeout) as late:
                client.acquire("one", timeout=0.05, parent=None)
            assert late.value.held_by == ("concurrency",)
            with pytest.raises(sluice.WouldDeadlock):
                client.acquire("one", parent=parent)
            thread = threading.Thread(target=lambda: client.acquire("one").cancel())
            thread.start()
            while client.resources("one")["line"]["waiting"] == 0:
                pass
            with pytest.raises(sluice.LineFull):
                client.acquire("one", parent=None)
            parent.settle()
            thread.join()


def test_a_key_is_needed_where_keys_are_configured(coordinator):
    import hashlib

    digest = hashlib.sha256(b"secret-key-of-some-length").hexdigest()
    c = coordinator(f'keys:\n  - {{name: k, hash: "sha256:{digest}"}}\nresources:\n  a: {{rpm: 10}}\n')
    with sluice.Client(c.url) as client, pytest.raises(sluice.Unauthorized):
        client.acquire("a")
    with sluice.Client(c.url, api_key="secret-key-of-some-length") as client:
        client.acquire("a").settle()


def test_an_id_of_ones_own_gets_the_same_lease_twice(coordinator):
    with sluice.Client(coordinator().url) as client:
        first = client.acquire("one", id="job-1")
        again = client.acquire("one", id="job-1")
        assert first.id == again.id
        with pytest.raises(sluice.IdInUse):
            client.acquire("one", id="job-1", tokens=5)
        first.settle()
        again.settle()


def test_a_cancelled_task_leaves_the_line_at_once(coordinator, eventually_async):
    c = coordinator()

    async def main():
        async with sluice.AsyncClient(c.url) as client:

            async def one():
                async with client.acquire("one") as lease:
                    lease.settle()

            async with client.acquire("one") as first:
                tasks = [asyncio.ensure_future(one()) for _ in range(20)]
                await eventually_async(lambda: c.waiting("one") == 20, "a line of 20")
                for task in tasks[:15]:
                    task.cancel()
                await eventually_async(lambda: c.waiting("one") == 5, "a line of 5")
                first.settle()
            await asyncio.gather(*tasks[15:])
            await client.flush()
            await eventually_async(lambda: c.resource("one")["leases"] == 0, "the end of all leases")
            assert c.resource("one")["granted"] == 6

    run(main())


def test_a_hundred_tasks_take_turns_on_one_slot(coordinator):
    c = coordinator()

    async def main():
        inside = 0
        order = []
        async with sluice.AsyncClient(c.url) as client:

            async def one(n):
                nonlocal inside
                async with client.acquire("one", priority=1 + n % 2) as lease:
                    inside += 1
                    assert inside == 1
                    order.append(n)
                    await asyncio.sleep(0)
                    inside -= 1
                    lease.settle()

            async with client.acquire("one") as lease:
                tasks = [asyncio.ensure_future(one(n)) for n in range(100)]
                while c.waiting("one") < 100:
                    await asyncio.sleep(0.01)
                lease.settle()
            await asyncio.gather(*tasks)
        assert order == [*range(0, 100, 2), *range(1, 100, 2)], "priority first, then first come first served"

    run(main())


def test_what_waits_is_moved_between_streams_without_losing_its_place(coordinator, monkeypatch):
    monkeypatch.setattr("sluice._line.STREAMS_SOFT_MAX", 3)
    c = coordinator()

    async def main():
        order = []
        async with sluice.AsyncClient(c.url) as client:

            async def one(n):
                async with client.acquire("one") as lease:
                    order.append(n)
                    lease.settle()

            async with client.acquire("one") as lease:
                tasks = []
                for n in range(60):
                    tasks.append(asyncio.ensure_future(one(n)))
                    while c.waiting("one") <= n:
                        await asyncio.sleep(0.001)
                lease.settle()
            await asyncio.gather(*tasks)
        assert order == list(range(60))
        assert c.resource("one")["granted"] == 61

    run(main())


def test_a_stream_that_is_overtaken_takes_nothing_from_the_one_its_requests_were_moved_to(
    coordinator, monkeypatch, eventually_async
):
    """Connections overtake each other: here the first two arrive when what they asked for was moved to a third."""
    c = coordinator()
    gates, streams, order = [asyncio.Event(), asyncio.Event()], [], []
    connect, open_stream = sluice._transport.WireTransport._connect, sluice._line.Line._open

    async def late_connect(self, *where):
        if len(streams) <= len(gates):
            await gates[len(streams) - 1].wait()
        return await connect(self, *where)

    def note_stream(self, asks):
        open_stream(self, asks)
        streams.append(asks[0].stream)

    async def main():
        async with sluice.AsyncClient(c.url) as other, sluice.AsyncClient(c.url) as client:
            held = await other.acquire("one")
            monkeypatch.setattr("sluice._line.STREAMS_SOFT_MAX", 1)
            monkeypatch.setattr(sluice._transport.WireTransport, "_connect", late_connect)
            monkeypatch.setattr(sluice._line.Line, "_open", note_stream)

            async def one(n):
                async with client.acquire("one") as lease:
                    order.append(n)
                    lease.settle()

            tasks = []
            for n in range(3):
                tasks.append(asyncio.ensure_future(one(n)))
                await eventually_async(lambda n=n: len(streams) == n + 1, "a stream of its own")
            await eventually_async(lambda: c.waiting("one") == 3, "a line of three")
            for gate, late in zip(gates, streams[:2], strict=True):
                gate.set()  # it takes what it asked for, and loses it again to who asks for it next
                await eventually_async(lambda late=late: not any(late in ask.older for ask in late.asks), "its answers")
            held.settle()
            await asyncio.gather(*tasks)

    run(main())
    assert order == [0, 1, 2]
    assert c.resource("one")["cancelled"] == 0


def test_tickets_are_followed_until_each_has_become_a_lease(coordinator, monkeypatch):
    monkeypatch.setattr("sluice._ask.HOLD_S", 0.05)
    c = coordinator()

    async def main():
        order = []
        async with sluice.AsyncClient(c.url) as client:

            async def one(n):
                async with client.acquire("one") as lease:
                    order.append(n)
                    lease.settle()

            async with client.acquire("one") as lease:
                tasks = [asyncio.ensure_future(one(n)) for n in range(30)]
                await asyncio.sleep(0.5)
                assert order == []
                lease.settle()
            await asyncio.gather(*tasks)
        assert sorted(order) == list(range(30))
        assert c.resource("one")["granted"] == 31

    run(main())


def test_a_heartbeat_keeps_a_lease_beyond_its_life(coordinator):
    c = coordinator()
    # Renewed after a third of its life, so a busy machine may be two seconds late.
    with sluice.Client(c.url, lease_seconds=3) as client:
        with client.acquire("one") as lease:
            with pytest.raises(sluice.WaitTimeout):
                client.acquire("one", timeout=3.5, parent=None)
            assert not lease.lost
            assert not lease.settle().result(PATIENCE_S).late
    assert c.resource("one")["expired"] == 0


def test_the_lease_of_a_killed_process_expires(coordinator, eventually):
    c = coordinator()
    code = """
        import os, sluice
        lease = sluice.Client(lease_seconds=0.5).acquire("one")
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env={**os.environ, "SLUICE_URL": c.url})
    assert done.returncode == -9
    with sluice.Client(c.url) as client:
        client.acquire("one").settle()
    assert c.resource("one")["expired"] == 1


LONG_WINDOWS = """
resources:
  gpt-4o:
    limits:
      - {name: concurrency, unit: slots, amount: 100}
      - {name: requests, unit: requests, amount: 1000, per: 1h}
      - {name: tokens, unit: tokens, amount: 100k, per: 1h}
"""


def test_a_coordinator_killed_and_restarted_in_the_middle_loses_nothing(coordinator, reserved_port):
    c = coordinator(LONG_WINDOWS, port=reserved_port)
    tasks_n = 400

    async def main(c):
        inside = most = ended = 0
        async with sluice.AsyncClient(c.url, timeout=None) as client:

            async def one():
                nonlocal inside, most, ended
                async with client.acquire("gpt-4o", tokens=10) as lease:
                    inside += 1
                    most = max(most, inside)
                    await asyncio.sleep(0.02)
                    inside -= 1
                    ended += 1
                    lease.settle(10)

            tasks = [asyncio.ensure_future(one()) for _ in range(tasks_n)]
            while ended < tasks_n // 4:
                await asyncio.sleep(0.001)
            c.kill()
            await asyncio.sleep(0.2)
            c = coordinator(LONG_WINDOWS, port=reserved_port)
            await asyncio.gather(*tasks)
            await client.flush()
            return c, most

    c, most = run(main(c))
    assert most <= 100, "never more calls in flight than the limit allows"
    view = c.resource("gpt-4o")
    assert view["leases"] == 0 and view["line"]["waiting"] == 0
    assert c.limit("gpt-4o", "requests")["used"] == tasks_n, "each was granted once"
    assert c.limit("gpt-4o", "tokens")["used"] == tasks_n * 10


TEN_THOUSAND = """
    import asyncio, os, resource, sluice

    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    inside = most = 0

    async def one(client):
        global inside, most
        async with client.acquire("fifty") as lease:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
            lease.settle()

    async def main():
        async with sluice.AsyncClient(timeout=None) as client:
            held = [await client.acquire("fifty") for _ in range(50)]
            tasks = [asyncio.ensure_future(one(client)) for _ in range(10_000)]
            while (await client.resources("fifty"))["line"]["waiting"] < 10_000:
                await asyncio.sleep(0.05)
            print("files", len(os.listdir("/proc/self/fd")))
            for lease in held:
                lease.settle()
            await asyncio.gather(*tasks)
            await client.flush()
            view = await client.resources("fifty")
            print("granted", view["granted"], "settled", view["settled"], "most", most)

    asyncio.run(main())
"""


def test_ten_thousand_acquires_wait_at_once_within_the_usual_limit_on_open_files(coordinator):
    c = coordinator()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(TEN_THOUSAND)],
        env={**os.environ, "SLUICE_URL": c.url},
        capture_output=True,
        text=True,
        timeout=8 * PATIENCE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    words = done.stdout.split()
    assert int(words[1]) < 64
    assert words[2:] == ["granted", "10050", "settled", "10050", "most", "50"]


def test_threads_and_processes_share_one_limit(coordinator, tmp_path):
    c = coordinator()
    code = """
        import os, sluice, sys, threading
        with sluice.Client() as client:
            def work():
                for _ in range(10):
                    with client.acquire("one") as lease:
                        path = sys.argv[1]
                        fd = os.open(path, os.O_CREAT | os.O_EXCL)  # fails if another is inside
                        os.close(fd)
                        os.unlink(path)
                        lease.settle()
            threads = [threading.Thread(target=work) for _ in range(4)]
            [t.start() for t in threads]
            [t.join() for t in threads]
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), str(tmp_path / "inside")]
    environment = {**os.environ, "SLUICE_URL": c.url}
    workers = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for worker in workers:
        assert worker.communicate(timeout=6 * PATIENCE_S)[1] == ""
        assert worker.returncode == 0
    assert c.resource("one")["granted"] == 120


def test_a_coordinator_behind_a_unix_socket(coordinator, tmp_path):
    path = tmp_path / "s.sock"
    coordinator("resources:\n  a: {rpm: 10}\n", also=f"unix:{path}")
    with sluice.Client(f"unix:{path}") as client:
        client.acquire("a").settle(1)
        client.flush()
        assert client.resources("a")["settled"] == 1


def test_httpx_own_transport_serves_as_well(coordinator):
    import httpx

    with sluice.Client(coordinator().url, transport=httpx.AsyncHTTPTransport()) as client:
        with client.acquire("one") as lease:
            with pytest.raises(sluice.WaitTimeout):
                client.acquire("one", timeout=0.05, parent=None)
            assert lease.settle().result(PATIENCE_S).settled["requests"] == 1
