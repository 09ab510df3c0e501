"""The openai and anthropic packages, a real coordinator, and a pretend provider that enforces its limits."""

import asyncio
import json
import threading

import anthropic
import httpx
import openai
import pytest
import sluice
from real import PATIENCE_S
from vendors import HELLO, anthropic_client, openai_client


@pytest.fixture
def client(coordinator):
    with sluice.Client(coordinator().url) as client:
        yield client


def used(client, name):
    """What all settled leases of a resource used."""
    client.flush()
    return client.resources(name)["used"]


def test_a_chat_completion_settles_with_what_it_used(client, mock):
    ai = openai_client(mock())
    with client.acquire("gpt-4o", input_tokens=20, max_output_tokens=50) as lease:
        response = ai.chat.completions.create(model=lease.model, max_tokens=50, messages=HELLO)
        booked = lease.settle(response).result(PATIENCE_S)
    assert booked.settled["tokens"] == response.usage.total_tokens
    assert used(client, "gpt-4o")["input_tokens"] == response.usage.prompt_tokens


def test_a_streamed_chat_completion_settles_with_its_last_chunk(client, mock):
    ai = openai_client(mock())
    arguments = {"model": "gpt-4o", "max_tokens": 30, "messages": HELLO, "stream": True}
    with client.acquire("gpt-4o", tokens=80) as lease:
        for chunk in ai.chat.completions.create(**arguments, stream_options={"include_usage": True}):
            last = chunk
        first = lease.settle(last).result(PATIENCE_S).settled["tokens"]
    assert first == last.usage.total_tokens
    with client.acquire("gpt-4o", tokens=80) as lease:
        stream = ai.chat.completions.create(**arguments, stream_options={"include_usage": True})
        chunks = list(lease.follow(stream))
    assert chunks[-1].usage.total_tokens + first == used(client, "gpt-4o")["tokens"]
    with pytest.warns(sluice.UnsettledLeaseWarning):
        with client.acquire("gpt-4o", tokens=80) as lease:
            list(lease.follow(ai.chat.completions.create(**arguments)))


def test_a_response_and_an_embedding_settle_with_what_they_used(client, mock):
    ai = openai_client(mock())
    with client.acquire("gpt-4o", tokens=200) as lease:
        response = ai.responses.create(model="gpt-4o", input="Say hello.", max_output_tokens=20)
        assert lease.settle(response).result(PATIENCE_S).settled["tokens"] == response.usage.total_tokens
    with client.acquire("gpt-4o", tokens=200) as lease:
        stream = ai.responses.create(model="gpt-4o", input="Say hello.", max_output_tokens=20, stream=True)
        *_, last = lease.follow(stream)
    with client.acquire("gpt-4o", tokens=100) as lease:
        embedding = ai.embeddings.create(model="gpt-4o", input="Say hello.")
        assert lease.settle(embedding).result(PATIENCE_S).settled["input_tokens"] == embedding.usage.prompt_tokens
    total = response.usage.total_tokens + last.response.usage.total_tokens
    assert used(client, "gpt-4o")["tokens"] == total + embedding.usage.total_tokens


def test_a_message_settles_with_what_it_used(client, mock):
    ai = anthropic_client(mock("--profile", "anthropic"))
    with client.acquire("claude", input_tokens=20, max_output_tokens=50) as lease:
        message = ai.messages.create(model=lease.model, max_tokens=50, messages=HELLO)
        settled = lease.settle(message).result(PATIENCE_S).settled
    assert settled["input_tokens"] == message.usage.input_tokens
    assert settled["output_tokens"] == message.usage.output_tokens


def test_a_streamed_message_settles_with_its_events(client, mock):
    ai = anthropic_client(mock("--profile", "anthropic"))
    with client.acquire("claude", input_tokens=20, max_output_tokens=50) as lease:
        events = list(
            lease.follow(ai.messages.create(model=lease.model, max_tokens=50, messages=HELLO, stream=True))
        )
    usage = next(e.message.usage for e in events if e.type == "message_start")
    output = [e.usage.output_tokens for e in events if e.type == "message_delta"][-1]
    booked = used(client, "claude")
    assert (booked["input_tokens"], booked["output_tokens"]) == (usage.input_tokens, output)
    with client.acquire("claude", input_tokens=20, max_output_tokens=50) as lease:
        with ai.messages.stream(model=lease.model, max_tokens=50, messages=HELLO) as stream:
            text = "".join(stream.text_stream)
            lease.settle(stream.get_final_message())
    assert text and used(client, "claude")["output_tokens"] > output


def test_the_asynchronous_packages_settle_too(coordinator, mock):
    c = coordinator()
    provider, other = mock(), mock("--profile", "anthropic")

    async def main():
        ai, claude = openai_client(provider, openai.AsyncOpenAI), anthropic_client(other, anthropic.AsyncAnthropic)
        async with sluice.AsyncClient(c.url) as client:

            @client.limited("gpt-4o", load=lambda n: {"input_tokens": 20, "output_tokens": n})
            async def ask(n):
                return await ai.chat.completions.create(model="gpt-4o", max_tokens=n, messages=HELLO)

            @client.limited("claude", load=lambda n: {"input_tokens": 20, "output_tokens": n})
            async def ask_claude(n):
                return await claude.messages.create(model="claude", max_tokens=n, messages=HELLO)

            answers = await asyncio.gather(*[f(10 + n) for n in range(20) for f in (ask, ask_claude)])
            async with client.acquire("gpt-4o", tokens=80) as lease:
                stream = await ai.chat.completions.create(
                    model="gpt-4o", max_tokens=30, messages=HELLO, stream=True, stream_options={"include_usage": True}
                )
                last = [chunk async for chunk in lease.follow(stream)][-1]
            async with client.acquire("claude", input_tokens=20, max_output_tokens=30) as lease:
                events = await claude.messages.create(model="claude", max_tokens=30, messages=HELLO, stream=True)
                outputs = [e.usage.output_tokens async for e in lease.follow(events) if e.type == "message_delta"]
            await client.flush()
            return answers, last.usage.total_tokens, outputs[-1]

    answers, tokens, outputs = asyncio.run(main())
    tokens += sum(a.usage.total_tokens for a in answers[::2])
    outputs += sum(a.usage.output_tokens for a in answers[1::2])
    assert c.resource("gpt-4o")["used"]["tokens"] == tokens
    assert c.resource("claude")["used"]["output_tokens"] == outputs


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failed_call_is_reported_with_its_status(coordinator, mock, status):
    told = []
    provider = mock("--rpm", "1000", "--trouble", f"always: status {status} retry-after 2s")
    with sluice.Client(coordinator().url) as client:
        engine = client._engine()
        post = engine._releases.post
        engine._releases.post = lambda parcel: (told.append(json.loads(parcel.text)), post(parcel))
        for call, kind, resource in (
            (lambda: openai_call(provider), openai.APIStatusError, "gpt-4o"),
            (lambda: anthropic_call(provider), anthropic.APIStatusError, "claude"),
            (lambda: httpx_call(provider), httpx.HTTPStatusError, "gpt-4o"),
        ):
            with pytest.raises(kind):
                with client.acquire(resource, input_tokens=20, max_output_tokens=20):
                    call()
        client.flush()
        assert client.resources("gpt-4o")["settled"] == 2, "the coordinator takes the report"
        assert client.resources("claude")["settled"] == 1
    assert [t["status"] for t in told] == [status] * 3
    assert all(t["headers"]["retry-after"] == "2" and t["error"]["message"] for t in told)
    assert all("usage" not in t for t in told), "a failed call is charged in full"


def openai_call(provider):
    openai_client(provider).chat.completions.create(model="gpt-4o", max_tokens=20, messages=HELLO)


def anthropic_call(provider):
    anthropic_client(provider).messages.create(model="claude", max_tokens=20, messages=HELLO)


def httpx_call(provider):
    body = {"model": "gpt-4o", "max_tokens": 20, "messages": HELLO}
    httpx.post(provider.url + "/v1/chat/completions", json=body).raise_for_status()


def test_a_stream_that_breaks_off_is_charged_in_full(client, mock):
    ai = openai_client(mock("--trouble", "always: cut 3"))
    with pytest.raises(Exception):
        with client.acquire("gpt-4o", input_tokens=20, max_output_tokens=50) as lease:
            stream = ai.chat.completions.create(
                model="gpt-4o", max_tokens=50, messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
            list(lease.follow(stream))
    assert used(client, "gpt-4o")["tokens"] == 70


def test_a_call_that_never_left_can_be_taken_back(client):
    ai = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="x", max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        with client.acquire("gpt-4o", tokens=50) as lease:
            try:
                ai.chat.completions.create(model="gpt-4o", messages=HELLO)
            except openai.APIConnectionError:
                lease.cancel()
                raise
    client.flush()
    view = client.resources("gpt-4o")
    assert view["settled"] == 0 and {x["used"] for x in view["limits"]} == {0}


STRICT = """
resources:
  gpt-4o:
    provider: openai
    concurrency: 4
    limits:
      - {name: hourly, unit: tokens, amount: 6k, per: 1h}
"""


def test_a_strict_provider_refuses_none_of_many_workers(coordinator, mock):
    """The provider's minute is real and the workers may take longer, so the coordinator's window is an hour."""
    c = coordinator(STRICT)
    provider = mock("--rpm", "120", "--tpm", "6k", "--concurrency", "4", "--latency", "constant:20ms")

    def thread():
        with sluice.Client(c.url, timeout=1) as client:
            ai = openai_client(provider)
            for _ in range(60):
                try:
                    lease = client.acquire("gpt-4o", input_tokens=40, max_output_tokens=60)
                except sluice.WaitTimeout as late:
                    if "hourly" in late.held_by:
                        return
                    continue  # four others were in flight for all of its time
                with lease:
                    lease.settle(ai.chat.completions.create(model="gpt-4o", max_tokens=60, messages=HELLO))

    threads = [threading.Thread(target=thread) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    stats = provider.stats
    assert (stats["refused"], stats["admitted"]) == (0, 60), "6,000 tokens are sixty calls of a hundred"
