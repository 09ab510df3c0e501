import asyncio
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pretend import PretendCoordinator  # noqa: E402


@pytest.fixture
def pretend():
    coordinator = PretendCoordinator().start()
    yield coordinator
    coordinator.stop()


@pytest.fixture
def eventually():
    """Waits for something another thread or process brings about; fails when it does not come."""

    def check(condition, what="what was expected", seconds=20.0):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"{what} did not happen"
            time.sleep(0.005)

    return check


@pytest.fixture
def eventually_async():
    """The same inside an event loop."""

    async def check(condition, what="what was expected", seconds=20.0):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"{what} did not happen"
            await asyncio.sleep(0.005)

    return check
