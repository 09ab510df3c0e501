"""Three ways to bring a call through a storm.

Each has `max_retries` for the vendor's SDK, `prepare`, which may wrap the SDK's client, and `serve`, which makes a call
by `ask(model)` as often as it sees fit, and returns the answer. Where a budget forbids the call it raises `KeptBack`.
"""

from dataclasses import dataclass

import openai

SDK_RETRIES = 2  # the SDK's own default
FALLBACK = "gpt-4o-mini"
PRICES = {"gpt-4o": (2_500_000, 10_000_000), FALLBACK: (150_000, 600_000)}  # picodollars per token in and out


@dataclass(frozen=True)
class Part:
    """A worker's part, and where everything is."""

    model: str
    coordinator: str
    factor: float
    patience_s: float  # no call waits longer for its answer
    budget_picousd: int  # of each session, for this worker


class KeptBack(Exception):
    """A budget forbids the call."""


def cost_picousd(model, input_tokens, output_tokens):
    price_in, price_out = PRICES[model]
    return input_tokens * price_in + output_tokens * price_out


class SdkAlone:
    """Calls, and leaves the rest to the SDK's retries. Nobody counts the money."""

    max_retries = SDK_RETRIES

    def __init__(self, part):
        self.part = part

    def prepare(self, provider):
        return provider

    async def serve(self, call, session, ask):
        return await ask(self.part.model)

    async def close(self):
        pass


class Tenacity:
    """The recipe: exponential backoff with jitter, six attempts, then the same with a smaller model; and a
    worker stops a session when what it has spent is its part of the budget."""

    max_retries = SDK_RETRIES

    def __init__(self, part):
        import tenacity

        self.part = part
        self.spent = {}
        self.retrying = tenacity.AsyncRetrying(
            wait=tenacity.wait_random_exponential(
                multiplier=1 / part.factor, min=1 / part.factor, max=60 / part.factor
            ),
            stop=tenacity.stop_after_attempt(6),
            retry=tenacity.retry_if_exception_type(openai.APIError),
            reraise=True,
        )

    def prepare(self, provider):
        return provider

    async def serve(self, call, session, ask):
        if self.spent.get(session, 0) >= self.part.budget_picousd:
            raise KeptBack
        try:
            answer = await self.retrying.copy()(ask, self.part.model)
        except openai.APIError:
            answer = await self.retrying.copy()(ask, FALLBACK)
        self.spent[session] = self.spent.get(session, 0) + answer.cost_picousd
        return answer

    async def close(self):
        pass


class Sluice:
    """`client.call`: asks Sluice, says what came of it, and does what it is advised."""

    max_retries = 0

    def __init__(self, part):
        import sluice

        self.sluice = sluice
        self.model = part.model
        self.client = sluice.AsyncClient(part.coordinator, timeout=None)

    def prepare(self, provider):
        return self.sluice.watch(provider)

    async def serve(self, call, session, ask):
        async def function(lease):
            return await ask(lease.model)

        try:
            return await self.client.call(
                function,
                self.model,
                session=session,
                input_tokens=call.input_tokens,
                max_output_tokens=call.max_tokens,
                usage=lambda answer: answer.usage,
            )
        except self.sluice.BudgetExceeded:
            raise KeptBack from None

    async def close(self):
        await self.client.aclose()


STORM_WAYS = {"sdk": SdkAlone, "tenacity": Tenacity, "sluice": Sluice}
