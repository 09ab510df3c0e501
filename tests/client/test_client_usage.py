"""Usage is found in whatever a call returns, and goes on as it came."""

import anthropic.types as at
import httpx
import openai.types as ot
import openai.types.chat as chat
import openai.types.completion_usage as cu
import pytest
from openai.types import responses
from sluice._local import complete_load
from sluice._usage import headers_of, merge_usage, usage_of

CHAT_USAGE = cu.CompletionUsage(
    prompt_tokens=10,
    completion_tokens=5,
    total_tokens=15,
    prompt_tokens_details=cu.PromptTokensDetails(cached_tokens=4),
)
CHAT_TOLD = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4},
}


def completion(usage):
    return chat.ChatCompletion(id="x", choices=[], created=0, model="m", object="chat.completion", usage=usage)


def chunk(usage):
    return chat.ChatCompletionChunk(
        id="x", choices=[], created=0, model="m", object="chat.completion.chunk", usage=usage
    )


def message(**usage):
    return at.Message.model_construct(id="x", content=[], model="m", role="assistant", usage=at.Usage(**usage))


@pytest.mark.parametrize(
    "value, told",
    [
        (5, {"tokens": 5}),
        (CHAT_USAGE, CHAT_TOLD),
        (completion(CHAT_USAGE), CHAT_TOLD),
        (chunk(CHAT_USAGE), CHAT_TOLD),
        (completion(CHAT_USAGE).model_dump(exclude_none=True), CHAT_TOLD),
        (
            ot.CreateEmbeddingResponse(
                data=[], model="m", object="list", usage={"prompt_tokens": 3, "total_tokens": 3}
            ),
            {"prompt_tokens": 3, "total_tokens": 3},
        ),
        (
            message(input_tokens=4, output_tokens=2, cache_read_input_tokens=9),
            {"input_tokens": 4, "output_tokens": 2, "cache_read_input_tokens": 9},
        ),
        (message(input_tokens=4, output_tokens=2), {"input_tokens": 4, "output_tokens": 2}),
        ({"usage": {"input_tokens": 4, "output_tokens": 2, "new_thing": "x"}}, {"input_tokens": 4, "output_tokens": 2}),
        ({"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1}}, {"promptTokenCount": 3, "candidatesTokenCount": 1}),
        ({"tokens": 3, "usd": 0.1}, {"tokens": 3, "usd": 0.1}),
        ({"type": "message_start", "message": {"usage": {"input_tokens": 1}}}, {"input_tokens": 1}),
        (httpx.Response(200, json={"usage": {"prompt_tokens": 1, "completion_tokens": 2}}), {"prompt_tokens": 1, "completion_tokens": 2}),
    ],
)  # fmt: skip
def test_usage_is_found(value, told):
    assert usage_of(value) == told


def test_usage_is_found_in_the_last_event_of_a_responses_stream():
    usage = responses.ResponseUsage.model_construct(input_tokens=3, output_tokens=4, total_tokens=7)
    response = responses.Response.model_construct(id="x", usage=usage)
    event = responses.ResponseCompletedEvent.model_construct(response=response, type="response.completed")
    found = usage_of(event)
    assert (found["input_tokens"], found["output_tokens"], found["total_tokens"]) == (3, 4, 7)


@pytest.mark.parametrize(
    "value", [None, True, "text", 1.5, [], {}, completion(None), chunk(None), {"choices": []}, httpx.Response(200, text="hi"), object()]
)  # fmt: skip
def test_no_usage_is_made_up(value):
    assert usage_of(value) is None


def test_later_parts_of_a_streams_usage_replace_earlier_ones():
    first = merge_usage(None, {"input_tokens": 9, "output_tokens": 1})
    assert merge_usage(first, {"input_tokens": None, "output_tokens": 5}) == {"input_tokens": 9, "output_tokens": 5}


def test_only_headers_that_speak_of_limits_are_passed_on():
    headers = httpx.Headers(
        {"X-RateLimit-Limit-Tokens": "1", "anthropic-ratelimit-requests-reset": "2", "Retry-After": "3", "Cookie": "no"}
    )
    assert headers_of(headers) == {
        "x-ratelimit-limit-tokens": "1",
        "anthropic-ratelimit-requests-reset": "2",
        "retry-after": "3",
    }
    assert headers_of(None) == {}


@pytest.mark.parametrize(
    "load, tokens, input_tokens, output_tokens",
    [(None, 0, 0, 0), (9, 9, 9, 9), ({"input_tokens": 2, "output_tokens": 3}, 5, 2, 3), ({"tokens": 7, "input_tokens": 2}, 7, 2, 0)],
)  # fmt: skip
def test_the_local_share_completes_a_load_as_the_coordinator_does(load, tokens, input_tokens, output_tokens):
    full = complete_load(load)
    assert (full["tokens"], full["input_tokens"], full["output_tokens"]) == (tokens, input_tokens, output_tokens)
    assert (full["requests"], full["slots"]) == (1, 1)
