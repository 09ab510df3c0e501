"""The loop with the openai, anthropic and google-genai packages, a real coordinator, and providers that refuse."""

import asyncio
import time
import warnings

import anthropic
import openai
import pytest
import sluice
from gemini import COME_BACK_SOON, OVER_THE_MINUTE, USAGE, Gemini
from google import genai
from vendors import HELLO, anthropic_client, openai_client

CONFIG = """
resources:
  gpt-4o: {provider: openai, rpm: 1000, tpm: 100k, retry: {backoff: 1ms, backoff_max: 2ms}}
  claude: {provider: anthropic, rpm: 1000, itpm: 100k, otpm: 100k, retry: {backoff: 1ms, backoff_max: 2ms}}
  gemini: {provider: gemini, model: gemini-2.5-flash, rpm: 1000, tpm: 100k, retry: {backoff: 1ms, backoff_max: 2ms}}
"""


@pytest.fixture
def client(coordinator):
    with sluice.Client(coordinator(CONFIG).url) as client:
        yield client


@pytest.fixture
def gemini():
    started = []

    def start(*refusals):
        started.append(Gemini(*refusals))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def genai_client(provider):
    return genai.Client(api_key="x", http_options=genai.types.HttpOptions(base_url=provider.url))


def view(client, name):
    client.flush()
    return client.resources(name)


def test_a_refused_completion_is_tried_again(client, mock):
    ai = openai_client(mock("--trouble", "request 1: status 503"))
    response = client.call(
        lambda lease: ai.chat.completions.create(model=lease.model, max_tokens=lease.max_output_tokens, messages=HELLO),
        "gpt-4o", input_tokens=20, max_output_tokens=50,
    )  # fmt: skip
    shown = view(client, "gpt-4o")
    assert (shown["granted"], shown["settled"]) == (2, 2)
    assert shown["used"]["output_tokens"] >= response.usage.completion_tokens


def test_a_refused_message_is_tried_again(client, mock):
    ai = anthropic_client(mock("--profile", "anthropic", "--trouble", "request 1: status 529"))
    message = client.call(lambda lease: ai.messages.create(model=lease.model, max_tokens=50, messages=HELLO), "claude", max_output_tokens=50)
    assert message.content and view(client, "claude")["settled"] == 2


def test_a_request_that_is_wrong_is_given_up_with_the_packages_exception(client, mock):
    for ai, create, kind in (
        (openai_client(mock("--trouble", "always: status 400")), lambda ai: ai.chat.completions.create, openai.BadRequestError),
        (anthropic_client(mock("--profile", "anthropic", "--trouble", "always: status 400")), lambda ai: ai.messages.create, anthropic.BadRequestError),
    ):
        with pytest.raises(sluice.GaveUp) as caught:
            client.call(lambda lease: create(ai)(model="m", max_tokens=5, messages=HELLO), "gpt-4o", tokens=50)  # noqa: B023
        assert (caught.value.reason, caught.value.attempts) == ("bad_request", 1)
        assert isinstance(caught.value.__cause__, kind)


def test_out_of_money_is_told_apart_from_a_rate(client, mock):
    ai = openai_client(mock("--trouble", "always: status 429 code insufficient_quota type insufficient_quota"))
    with pytest.raises(sluice.GaveUp) as caught:
        client.call(lambda lease: ai.chat.completions.create(model="gpt-4o", messages=HELLO), "gpt-4o")
    assert caught.value.reason == "out_of_money"
    with pytest.raises(sluice.SluiceError) as refused:
        client.call(lambda lease: pytest.fail("the account is known to be empty"), "gpt-4o", timeout=0)
    assert refused.value.status in (429, 503)


def test_a_lost_connection_is_tried_again(client, mock):
    working, gone = openai_client(mock()), openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="x", max_retries=0)
    left = [gone, working]
    client.call(lambda lease: left.pop(0).chat.completions.create(model="gpt-4o", max_tokens=5, messages=HELLO), "gpt-4o", tokens=50)
    assert view(client, "gpt-4o")["settled"] == 2


def test_streams_of_openai_and_anthropic_are_passed_on(client, mock):
    ai, claude = openai_client(mock("--trouble", "request 1: status 503")), anthropic_client(mock("--profile", "anthropic"))
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(
        client.call(
            lambda lease: ai.chat.completions.create(model=lease.model, max_tokens=30, messages=HELLO, **options), "gpt-4o", tokens=80
        )
    )
    events = list(client.call(lambda lease: claude.messages.create(model="c", max_tokens=30, messages=HELLO, stream=True), "claude", max_output_tokens=30))
    assert view(client, "gpt-4o")["used"]["tokens"] >= chunks[-1].usage.total_tokens
    output = [e.usage.output_tokens for e in events if e.type == "message_delta"][-1]
    assert view(client, "claude")["used"]["output_tokens"] == output


@pytest.mark.parametrize("trouble", ["always: cut 3", "always: fail 3"])
def test_a_stream_that_breaks_off_is_the_callers_and_not_replayed(client, mock, trouble):
    provider = mock("--trouble", trouble)
    ai = openai_client(provider)
    seen = []
    with pytest.raises(Exception) as caught:
        for chunk in client.call(
            lambda lease: ai.chat.completions.create(
                model="gpt-4o", max_tokens=50, messages=HELLO, stream=True, extra_headers={"x-mock-output-tokens": "20"}
            ),
            "gpt-4o",
            input_tokens=20,
            max_output_tokens=50,
        ):
            seen.append(chunk)
    assert seen and not isinstance(caught.value, sluice.SluiceError)
    assert provider.stats["arrived"] == 1
    assert view(client, "gpt-4o")["used"]["tokens"] == 70, "a part of it was served: charged in full"


def test_gemini_is_tried_again_and_settles_with_what_it_used(client, gemini):
    provider = gemini(COME_BACK_SOON)
    ai = genai_client(provider)
    response = client.call(lambda lease: ai.models.generate_content(model=lease.model, contents="Hi"), "gemini", tokens=50)
    assert response.text == "Hello" and len(provider.paths) == 2
    assert view(client, "gemini")["used"]["tokens"] == USAGE["totalTokenCount"], "the refused call used no tokens"


def test_a_stream_of_geminis_is_tried_again_before_it_began_and_passed_on(client, gemini):
    provider = gemini(COME_BACK_SOON)
    ai = genai_client(provider)
    stream = client.call(lambda lease: ai.models.generate_content_stream(model=lease.model, contents="Hi"), "gemini", tokens=50)
    assert "".join(chunk.text for chunk in stream) == "Hello" and len(provider.paths) == 2
    assert view(client, "gemini")["used"]["output_tokens"] == 5


def test_geminis_day_is_told_apart_from_its_minute(client, gemini):
    day = {"error": {**OVER_THE_MINUTE["error"], "details": [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}]}}  # fmt: skip
    ai = genai_client(gemini(day))
    with pytest.raises(sluice.GaveUp) as caught:
        client.call(lambda lease: ai.models.generate_content(model=lease.model, contents="Hi"), "gemini")
    assert caught.value.reason == "day_over"
    assert isinstance(caught.value.__cause__, genai.errors.ClientError)


def test_the_asynchronous_packages_are_followed_up_too(coordinator, mock, gemini):
    c = coordinator(CONFIG)
    provider = mock("--trouble", "request 1: status 503")
    other = mock("--profile", "anthropic", "--trouble", "request 1: status 529")
    google = gemini(COME_BACK_SOON)

    async def main():
        ai, claude = openai_client(provider, openai.AsyncOpenAI), anthropic_client(other, anthropic.AsyncAnthropic)
        gem = genai_client(google).aio.models
        async with sluice.AsyncClient(c.url) as client:

            @client.limited("gpt-4o", load=50)
            async def ask(*, lease):
                return await ai.chat.completions.create(model=lease.model, max_tokens=5, messages=HELLO)

            completion = await ask()
            events = await client.call(
                lambda lease: claude.messages.create(model=lease.model, max_tokens=30, messages=HELLO, stream=True), "claude", tokens=50
            )
            outputs = [e.usage.output_tokens async for e in events if e.type == "message_delta"]
            response = await client.call(lambda lease: gem.generate_content(model=lease.model, contents="Hi"), "gemini", tokens=50)
            stream = await client.call(lambda lease: gem.generate_content_stream(model=lease.model, contents="Hi"), "gemini", tokens=50)
            text = "".join([chunk.text async for chunk in stream])
            await client.flush()
        return completion, outputs, response.text, text

    completion, outputs, *texts = asyncio.run(main())
    assert completion.usage and outputs and texts == ["Hello", "Hello"]
    assert [c.resource(name)["settled"] for name in ("gpt-4o", "claude", "gemini")] == [2, 2, 3]


@pytest.fixture
def unwarned(monkeypatch):
    monkeypatch.setattr("sluice._watch._warned", False)
    monkeypatch.setattr("sluice._watch._looked_at", set())


def told(client, monkeypatch):
    """What the client's releases say from now on."""
    said = []
    engine = client._engine()
    release = engine.release
    monkeypatch.setattr(engine, "release", lambda lease, facts, done: (said.append(facts), release(lease, facts, done)))
    return said


def test_a_client_with_retries_of_its_own_is_warned_of_once(client, mock, unwarned):
    provider = mock()
    ai = openai.OpenAI(base_url=provider.url + "/v1", api_key="x")

    def ask(lease):
        return ai.chat.completions.create(model="gpt-4o", max_tokens=5, messages=HELLO)

    with pytest.warns(sluice.SdkRetriesWarning, match="max_retries=2") as caught:
        client.call(ask, "gpt-4o", tokens=50)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.call(ask, "gpt-4o", tokens=50)


def test_retries_that_are_seen_in_a_failed_call_are_warned_of(client, mock, unwarned):
    provider = mock("--trouble", "always: status 400")
    hidden = [openai_client(provider)]
    again = {"x-stainless-retry-count": "1"}
    with pytest.warns(sluice.SdkRetriesWarning, match="1 times"):
        with pytest.raises(sluice.GaveUp):
            client.call(lambda lease: hidden[0].chat.completions.create(model="gpt-4o", messages=HELLO, extra_headers=again), "gpt-4o", tokens=50)


def test_a_watched_client_leaves_retries_and_tells_headers(client, mock, unwarned, monkeypatch):
    provider, other = mock("--rpm", "100", "--trouble", "request 1: status 503"), mock("--profile", "anthropic", "--rpm", "100")
    ai = sluice.watch(openai.OpenAI(base_url=provider.url + "/v1", api_key="x"))
    claude = sluice.watch(sluice.watch(anthropic.Anthropic(base_url=other.url, api_key="x")))
    assert ai.max_retries == claude.max_retries == 0
    said = told(client, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.call(lambda lease: ai.chat.completions.create(model="gpt-4o", max_tokens=5, messages=HELLO), "gpt-4o", tokens=50)
        client.call(lambda lease: claude.messages.create(model="c", max_tokens=5, messages=HELLO), "claude", tokens=50)
    for _ in range(3000):  # settling does not wait, so what was said may come a moment later
        if len(said) > 2:
            break
        time.sleep(0.01)
    assert said[1]["headers"]["x-ratelimit-limit-requests"] == "100"
    assert said[2]["headers"]["anthropic-ratelimit-requests-limit"] == "100"
    with pytest.raises(TypeError):
        sluice.watch(object())


def test_a_watched_asynchronous_client_tells_headers_to_the_lease_of_each_task(coordinator, mock):
    c = coordinator(CONFIG)
    provider = mock("--rpm", "100")

    async def main():
        ai = sluice.watch(openai.AsyncOpenAI(base_url=provider.url + "/v1", api_key="x"))
        async with sluice.AsyncClient(c.url) as client:

            async def ask(lease):
                completion = await ai.chat.completions.create(model="gpt-4o", max_tokens=5, messages=HELLO)
                return completion, lease

            answers = await asyncio.gather(*[client.call(ask, "gpt-4o", usage=lambda result: result[0], tokens=50) for _ in range(5)])
            return [lease._seen["x-ratelimit-remaining-requests"] for _, lease in answers]

    remaining = asyncio.run(main())
    assert len(set(remaining)) == 5, "each has the headers of its own answer"
