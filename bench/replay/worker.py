"""One worker process: plays its part of a trace with OpenAI's SDK, in the way it is told.

Its arguments are the addresses of the provider and of the coordinator. Reads one order a line from
standard input (JSON) and answers each with a line: the fate of each of its calls. An order's `start`
is when the trace begins, in seconds of the wall clock; `factor` is how many times faster than the
trace it plays.
"""

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import openai  # noqa: E402

from replay.storm_ways import STORM_WAYS, KeptBack, Part, cost_picousd  # noqa: E402
from replay.trace import Call  # noqa: E402
from replay.ways import WAYS  # noqa: E402

BYTES_PER_TOKEN = 4
TIMEOUT_S = 600
WORDS_MAX = 200  # of an error
SDK_DELAY_S, SDK_DELAY_MAX_S = 0.5, 8.0  # between the SDK's own retries


@dataclass(frozen=True)
class Share:
    """A worker's part of the limits, and where everything is."""

    rpm: float
    tpm: float
    concurrency: int
    minute_s: float
    model: str
    coordinator: str


class Player:
    def __init__(self, order):
        self.order = order
        self.way = WAYS[order["way"]](Share(**order["share"]))
        self.provider = openai.AsyncOpenAI(
            base_url=order["provider"],
            api_key="any",
            max_retries=self.way.max_retries,
            timeout=TIMEOUT_S,
        )
        # One wall-clock reading for all, so that a step of the clock moves nothing.
        self.zero = time.monotonic() + order["start"] - time.time()

    def now_s(self):
        """Seconds since the start of the trace, in real time."""
        return time.monotonic() - self.zero

    async def ask(self, call, lease):
        raw = await self.provider.chat.completions.with_raw_response.create(
            model=self.order["share"]["model"],
            messages=[{"role": "user", "content": "x" * (BYTES_PER_TOKEN * call.input_tokens)}],
            max_tokens=call.max_tokens,
            extra_headers={"x-mock-output-tokens": str(call.output_tokens)},
        )
        lease.settle(raw.parse())
        return float(raw.headers["x-mock-judged-ms"]) / 1000 - self.order["start"]

    async def play(self, call):
        """The call's fate: when it came, was let through, was admitted or given up, and how."""
        came_s = call.at_s / self.order["factor"]
        await asyncio.sleep(max(0.0, came_s - self.now_s()))
        fate = {"came_s": came_s, "tokens": call.tokens}
        try:
            async with self.way.admit(call) as lease:
                fate["let_s"] = self.now_s()
                fate["admitted_s"] = await self.ask(call, lease)
        except Exception as error:
            fate["lost_s"] = self.now_s()
            fate["error"] = f"{type(error).__name__}: {error}"[:WORDS_MAX]
        return fate

    async def play_all(self):
        calls = [Call(*call) for call in self.order["calls"]]
        fates = await asyncio.gather(*(self.play(call) for call in calls))
        await self.way.close()
        await self.provider.close()
        return fates


@dataclass(frozen=True)
class Answer:
    """What a call in a storm got."""

    model: str
    judged_s: float
    usage: object

    @property
    def cost_picousd(self):
        return cost_picousd(self.model, self.usage.prompt_tokens, self.usage.completion_tokens)


class StormPlayer:
    """Plays a part of the stormy hour: its ways repeat calls by themselves."""

    def __init__(self, order):
        self.order = order
        self.part = part = Part(**order["part"])
        self.way = STORM_WAYS[order["storm"]](part)
        self.provider = self.way.prepare(
            openai.AsyncOpenAI(
                base_url=order["provider"], api_key="any", max_retries=self.way.max_retries, timeout=TIMEOUT_S
            )
        )
        # The SDK waits in the provider's time too, as everything else here does.
        openai._base_client.INITIAL_RETRY_DELAY = SDK_DELAY_S / part.factor
        openai._base_client.MAX_RETRY_DELAY = SDK_DELAY_MAX_S / part.factor
        self.zero = time.monotonic() + order["start"] - time.time()

    def now_s(self):
        """Seconds since the start of the hour, in real time."""
        return time.monotonic() - self.zero

    async def ask(self, call, model):
        raw = await self.provider.chat.completions.with_raw_response.create(
            model=model,
            messages=[{"role": "user", "content": "x" * (BYTES_PER_TOKEN * call.input_tokens)}],
            max_tokens=call.max_tokens,
            extra_headers={"x-mock-output-tokens": str(call.output_tokens)},
        )
        judged_s = float(raw.headers["x-mock-judged-ms"]) / 1000 - self.order["start"]
        return Answer(model, judged_s, raw.parse().usage)

    async def play(self, call, session):
        """The call's fate, and each time that the way saw it refused: when it was sent, and when that was known."""
        came_s = call.at_s / self.order["factor"]
        await asyncio.sleep(max(0.0, came_s - self.now_s()))
        fate = {"came_s": came_s, "session": session, "refused": []}

        async def ask(model):
            sent_s = self.now_s()
            try:
                return await self.ask(call, model)
            except openai.APIStatusError as error:
                fate["refused"].append((sent_s, self.now_s(), error.status_code))
                raise

        try:
            answer = await asyncio.wait_for(self.way.serve(call, session, ask), self.part.patience_s)
            fate |= {"admitted_s": answer.judged_s, "model": answer.model, "cost_picousd": answer.cost_picousd}
        except KeptBack:
            fate["kept_back_s"] = self.now_s()
        except Exception as error:
            fate["lost_s"] = self.now_s()
            fate["error"] = f"{type(error).__name__}: {error}"[:WORDS_MAX]
        return fate

    async def play_all(self):
        calls = [(Call(*call[:3]), call[3]) for call in self.order["calls"]]
        fates = await asyncio.gather(*(self.play(call, session) for call, session in calls))
        await self.way.close()
        await self.provider.close()
        return fates


async def obey(order):
    return await (StormPlayer(order) if "storm" in order else Player(order)).play_all()


def warm_up(provider, coordinator):
    """Makes a call in either way. The SDK imports most of itself at the first call, which takes seconds
    in eight processes at once, and would be measured as the network's delay."""
    for way in ("uncoordinated", "sluice"):
        share = Share(1, 1, 1, 1.0, "warm-up", coordinator)
        order = {"way": way, "share": asdict(share), "provider": provider, "factor": 1.0}
        fates = asyncio.run(obey({**order, "start": time.time(), "calls": [(0.0, 1, 1)]}))
        if "error" in fates[0]:
            raise RuntimeError(f"the call to warm up failed: {fates[0]['error']}")
    gc.collect()
    gc.freeze()


def main():
    warm_up(*sys.argv[1:])
    print("ready", flush=True)
    for line in sys.stdin:
        fates = asyncio.run(obey(json.loads(line)))
        print(json.dumps(fates), flush=True)


if __name__ == "__main__":
    main()
