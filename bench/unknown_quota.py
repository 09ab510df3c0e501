"""How much of a quota that nobody configured is used within its first two windows.

Callers without end ask a coordinator whose resources say `limits: from_provider` and nothing more. Each resource has a
pretend provider of its own, with strict limits that the coordinator is not told of; one of them also keeps them out of
its answers. The quotas are small, for a whole one goes out in one burst, which one process has to send within the guard.
All in real time, since a limit that is learned is of a real minute, side by side, in two minutes:

    python bench/unknown_quota.py --binary build/sluice
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

import sluice
from replay.play import Process, fetch

WINDOWS = 2
WINDOW_S = 60
CROWD = 100  # callers of each resource that want more all the time
SHARE_MIN = 0.95
INPUT_TOKENS, OUTPUT_TOKENS, MAX_TOKENS = 150, 40, 50
BYTES_PER_TOKEN = 4
UNTOLD = ";".join(
    f"always: no-header x-ratelimit-{what}-{unit}"
    for what in ("limit", "remaining", "reset")
    for unit in ("requests", "tokens")
)


@dataclass(frozen=True)
class Provider:
    name: str
    profile: str
    limits: tuple  # options of `sluice mock`
    scarce: str  # what of it runs out: "requests", "tokens"
    amount: int  # of that, a minute
    trouble: str = ""
    judged: bool = True  # whether it is held to SHARE_MIN

    def command(self, binary):
        trouble = ("--trouble", self.trouble) if self.trouble else ()
        return [
            *(binary, "mock", "--listen", "127.0.0.1:0", "--profile", self.profile, *self.limits, *trouble),
            *("--latency", "lognormal:400ms,0.5,12ms", "--admission-delay", "uniform:5ms,60ms"),
        ]


PROVIDERS = (
    Provider("tells-requests", "openai", ("--rpm", 60, "--tpm", "1M"), "requests", 60),
    Provider("tells-tokens", "openai", ("--rpm", 2000, "--tpm", "12k"), "tokens", 12_000),
    Provider("tells-nothing", "openai", ("--rpm", 60, "--tpm", "1M"), "requests", 60, UNTOLD, judged=False),
)


def config(directory):
    resources = "\n".join(f"  {p.name}: {{provider: {p.profile}, limits: from_provider}}" for p in PROVIDERS)
    return f"listen: 127.0.0.1:0\nstore: {directory}/sluice.db\nresources:\n{resources}\n"


async def want_more(client, http, provider, url):
    """One caller: as soon as a call is through it wants the next."""
    body = {
        "model": provider.name,
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": "x" * (BYTES_PER_TOKEN * INPUT_TOKENS)}],
    }
    headers = {"authorization": "Bearer any", "x-mock-output-tokens": str(OUTPUT_TOKENS)}

    async def call(lease):
        return await http.post(url + "/v1/chat/completions", json=body, headers=headers)

    while True:
        try:
            await client.call(call, provider.name, input_tokens=INPUT_TOKENS, max_output_tokens=MAX_TOKENS)
        except sluice.GaveUp:
            pass


async def play(coordinator, urls):
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with sluice.AsyncClient(coordinator, timeout=None) as client, httpx.AsyncClient(limits=limits, timeout=600) as http:
        began = time.monotonic()
        callers = [
            asyncio.create_task(want_more(client, http, provider, urls[provider.name]))
            for provider in PROVIDERS
            for _ in range(CROWD)
        ]
        stats = []
        for window in range(1, WINDOWS + 1):
            await asyncio.sleep(max(0.0, began + window * WINDOW_S - time.monotonic()))
            stats.append({p.name: fetch(urls[p.name] + "/mock/stats") for p in PROVIDERS})
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    return stats


def used(provider, stats):
    admitted = stats[provider.name]["admitted"]
    return admitted * (INPUT_TOKENS + MAX_TOKENS) if provider.scarce == "tokens" else admitted


def table(stats):
    lines = [f"{'provider':16}{'a minute':>18}{'first window':>14}{'both':>8}{'refused':>9}"]
    for p in PROVIDERS:
        first, both = used(p, stats[0]) / p.amount, used(p, stats[-1]) / p.amount / WINDOWS
        refused = f"{stats[-1][p.name]['refused']} of {stats[-1][p.name]['arrived']}"
        lines.append(f"{p.name:16}{f'{p.amount:,} {p.scarce}':>18}{first:>14.1%}{both:>8.1%}{refused:>14}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=Path("build/sluice"), help="build/sluice")
    parser.add_argument("--json", type=Path, help="where what the providers counted is written as well")
    options = parser.parse_args()
    binary = options.binary.resolve()
    processes = []
    with tempfile.TemporaryDirectory(prefix="sluice-unknown-") as directory:
        try:
            (Path(directory) / "sluice.yaml").write_text(config(directory))
            processes.append(Process(binary, "serve", "-c", Path(directory) / "sluice.yaml"))
            urls = {}
            for provider in PROVIDERS:
                processes.append(Process(*provider.command(binary)))
                urls[provider.name] = processes[-1].url
            stats = asyncio.run(play(processes[0].url, urls))
        finally:
            for process in processes:
                process.stop()
    print(table(stats))
    if options.json:
        options.json.write_text(json.dumps(stats, indent=1) + "\n")
    met = all(used(p, stats[-1]) >= SHARE_MIN * WINDOWS * p.amount for p in PROVIDERS if p.judged)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
