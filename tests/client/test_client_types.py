"""The package is typed throughout, and a program that uses it is checked by that."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RIGHT = """
import asyncio
import sluice

with sluice.Client(timeout=None, on_unreachable=sluice.LocalShare(share=0.5)) as client:
    with client.acquire("a", tokens=5, labels={"team": "x"}) as lease:
        settlement: sluice.Settlement = lease.settle(3).result()
        late: bool = settlement.late

    @client.limited("a")
    def double(n: int) -> int:
        return 2 * n

    four: int = double(2)

    def ask(lease: sluice.Lease) -> str:
        return lease.model

    text: str = client.call(ask, "a", cached=lambda: "old", usage=len)
    try:
        client.call(ask, route="chat", tokens=5)
    except sluice.GaveUp as gave_up:
        reason: str = gave_up.reason
    except sluice.RouteExhausted as exhausted:
        last: str = exhausted.finally_

async def main() -> sluice.Settlement:
    async with sluice.AsyncClient() as client:
        async with client.acquire("a") as lease:
            return await lease.settle(3)

async def call(client: sluice.AsyncClient) -> int:
    async def ask(lease: sluice.AsyncLease) -> int:
        return 2

    return await client.call(ask, "a")
"""

WRONG = """
import sluice

client = sluice.Client(on_unreachable=3)
client.acquire("a", tokens="five")
client.acquire(7)
lease = client.acquire("a", prority=1)
number: int = client.call(lambda lease: lease.model, "a")
"""


def mypy(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *arguments],
        cwd=ROOT / "clients" / "python",
        capture_output=True,
        text=True,
    )


def test_the_package_is_strictly_typed():
    done = mypy()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_that_uses_it_is_checked(tmp_path):
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(RIGHT)
    wrong.write_text(WRONG)
    done = mypy(str(right))
    assert done.returncode == 0, done.stdout + done.stderr
    done = mypy(str(wrong))
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    assert found == {4, 5, 6, 7, 8}, done.stdout
