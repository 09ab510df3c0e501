"""Four ways for a worker to share a provider's quota with others.

Each has `max_retries` for the vendor's SDK and `admit`, an asynchronous context in which a call is
made; what it yields is told the answer by `settle`.
"""

import asyncio
import time
from collections import deque
from contextlib import asynccontextmanager

SDK_RETRIES = 2  # the SDK's own default


class _Unsettled:
    def settle(self, answer):
        """Nothing is reported to anyone."""


class Uncoordinated:
    """Calls at once, and leaves the rest to the SDK's retries."""

    max_retries = SDK_RETRIES

    def __init__(self, share):
        pass

    @asynccontextmanager
    async def admit(self, call):
        yield _Unsettled()

    async def close(self):
        pass


class SlidingWindow:
    """A window of the last minute and a semaphore, with an equal part of each limit."""

    max_retries = SDK_RETRIES

    def __init__(self, share):
        self.share = share
        self.recent = deque()  # (moment, tokens)
        self.tokens = 0
        self.order = asyncio.Lock()
        self.slots = asyncio.Semaphore(share.concurrency)

    def _let_go(self):
        edge = time.monotonic() - self.share.minute_s
        while self.recent and self.recent[0][0] <= edge:
            self.tokens -= self.recent.popleft()[1]

    def _fits(self, tokens):
        return len(self.recent) < self.share.rpm and self.tokens + tokens <= self.share.tpm

    @asynccontextmanager
    async def admit(self, call):
        async with self.slots:
            async with self.order:
                self._let_go()
                while not self._fits(call.tokens):
                    leaves = self.recent[0][0] + self.share.minute_s
                    await asyncio.sleep(max(0.001, leaves - time.monotonic()))
                    self._let_go()
                self.recent.append((time.monotonic(), call.tokens))
                self.tokens += call.tokens
            yield _Unsettled()

    async def close(self):
        pass


class _Bucket:
    def __init__(self, amount, minute_s):
        self.size = amount
        self.level = amount
        self.rate = amount / minute_s
        self.at = time.monotonic()

    async def take(self, n):
        while True:
            now = time.monotonic()
            self.level = min(self.size, self.level + (now - self.at) * self.rate)
            self.at = now
            if self.level >= n:
                self.level -= n
                return
            await asyncio.sleep(max(0.001, (n - self.level) / self.rate))


class Buckets:
    """A bucket of requests and one of tokens, with an equal part of 80 % of each limit."""

    max_retries = SDK_RETRIES
    headroom = 0.8

    def __init__(self, share):
        self.requests = _Bucket(share.rpm * self.headroom, share.minute_s)
        self.tokens = _Bucket(share.tpm * self.headroom, share.minute_s)
        self.order = asyncio.Lock()

    @asynccontextmanager
    async def admit(self, call):
        async with self.order:
            await self.requests.take(1)
            await self.tokens.take(call.tokens)
        yield _Unsettled()

    async def close(self):
        pass


class Coordinated:
    """Asks Sluice, and never repeats a call by itself."""

    max_retries = 0

    def __init__(self, share):
        import sluice

        self.model = share.model
        self.client = sluice.AsyncClient(share.coordinator, timeout=None)

    @asynccontextmanager
    async def admit(self, call):
        async with self.client.acquire(
            self.model, input_tokens=call.input_tokens, max_output_tokens=call.max_tokens
        ) as lease:
            yield lease

    async def close(self):
        await self.client.aclose()


WAYS = {
    "uncoordinated": Uncoordinated,
    "window": SlidingWindow,
    "buckets": Buckets,
    "sluice": Coordinated,
}
