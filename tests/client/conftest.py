import asyncio
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pretend import PretendCoordinator  # noqa: E402
from real import PATIENCE_S, Coordinator, Mock, reserve_port  # noqa: E402

CONFIG = """
resources:
  gpt-4o: {provider: openai, rpm: 1000, tpm: 100k, concurrency: 100}
  claude: {provider: anthropic, model: claude-sonnet, rpm: 1000, itpm: 100k, otpm: 100k}
  one: {concurrency: 1}
  fifty: {concurrency: 50}
"""


@pytest.fixture(autouse=True)
def patient_close(monkeypatch):
    """A close gives up on what it could not deliver after two seconds, and a busy machine may take longer."""
    monkeypatch.setattr("sluice._engine.CLOSE_S", PATIENCE_S)
    monkeypatch.setattr("sluice._engine_thread.CLOSE_S", PATIENCE_S)


@pytest.fixture
def reserved_port():
    """A port for what is to be started more than once."""
    with reserve_port() as reserve:
        yield reserve.getsockname()[1]


@pytest.fixture
def pretend():
    coordinator = PretendCoordinator().start()
    yield coordinator
    coordinator.close()


@pytest.fixture
def eventually():
    """Waits for something another thread or process brings about; fails when it does not come."""

    def check(condition, what="what was expected", seconds=2 * PATIENCE_S):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"{what} did not happen"
            time.sleep(0.005)

    return check


@pytest.fixture
def eventually_async():
    """The same inside an event loop."""

    async def check(condition, what="what was expected", seconds=2 * PATIENCE_S):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"{what} did not happen"
            await asyncio.sleep(0.005)

    return check


@pytest.fixture
def coordinator(tmp_path):
    """Starts coordinators; `coordinator(config)`."""
    started = []

    def start(config=CONFIG, port=0, also=None):
        started.append(Coordinator(tmp_path, config, port, also))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            assert one.stop() == 0, "".join(one.log)


@pytest.fixture
def mock():
    """Starts pretend providers; `mock("--rpm", "60")`."""
    started = []

    def start(*arguments):
        started.append(Mock(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.stop()
