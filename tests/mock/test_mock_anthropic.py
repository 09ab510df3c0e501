"""The pretend provider through Anthropic's own SDK."""

from datetime import datetime

import anthropic
import pytest

QUESTION = [{"role": "user", "content": "x" * 400}]


def client_of(provider, **more):
    return anthropic.Anthropic(
        base_url=provider.url, **{"api_key": "any", "max_retries": 0, **more}
    )


def ask(client, **more):
    return client.messages.create(
        **{"model": "claude", "messages": QUESTION, "max_tokens": 50, **more}
    )


def test_a_message_is_answered_with_usage(provider):
    with client_of(provider("--profile", "anthropic")) as client:
        answer = ask(
            client,
            system="y" * 40,
            extra_headers={"x-mock-output-tokens": "7", "x-mock-cached-tokens": "30"},
        )
    assert answer.stop_reason == "end_turn"
    assert len(answer.content[0].text) == 7 * 4
    assert answer.usage.output_tokens == 7
    assert answer.usage.input_tokens == 80
    assert answer.usage.cache_read_input_tokens == 30


def test_a_message_stops_at_its_maximum(provider):
    with client_of(provider()) as client:
        answer = ask(client, extra_headers={"x-mock-output-tokens": "70"})
    assert answer.stop_reason == "max_tokens"
    assert answer.usage.output_tokens == 50


@pytest.mark.parametrize("latency", ["none", "constant:5ms,1ms"])
def test_a_streamed_message_is_gathered_by_the_sdk(provider, latency):
    one = provider("--profile", "anthropic", "--latency", latency)
    with client_of(one) as client:
        with client.messages.stream(
            model="claude",
            messages=QUESTION,
            max_tokens=50,
            extra_headers={"x-mock-output-tokens": "40"},
        ) as stream:
            pieces = list(stream.text_stream)
            message = stream.get_final_message()
    assert len(pieces) > 1
    assert message.content[0].text == "".join(pieces)
    assert len(message.content[0].text) == 40 * 4
    assert message.usage.output_tokens == 40
    assert message.usage.input_tokens == 100
    assert message.stop_reason == "end_turn"


def test_a_stream_has_every_event_in_order(provider):
    with client_of(provider()) as client:
        events = list(ask(client, stream=True, extra_headers={"x-mock-output-tokens": "20"}))
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize(
    ("option", "words"),
    [("--rpm", "requests per minute"), ("--itpm", "input tokens per minute")],
)
def test_a_full_bucket_arrives_as_a_rate_limit_error(provider, option, words):
    amount = {"--rpm": "1", "--itpm": "150"}[option]
    with client_of(provider("--profile", "anthropic", option, amount)) as client:
        ask(client)
        with pytest.raises(anthropic.RateLimitError) as caught:
            ask(client)
    error = caught.value
    assert error.body["error"]["type"] == "rate_limit_error"
    assert words in error.body["error"]["message"]
    assert error.body["request_id"] == error.response.headers["request-id"]
    assert 0 < int(error.response.headers["retry-after"]) <= 60


def test_output_counts_as_it_is_produced_and_not_before(provider):
    one = provider("--profile", "anthropic", "--otpm", "60")
    with client_of(one) as client:
        ask(client, max_tokens=4000, extra_headers={"x-mock-output-tokens": "50"})
        ask(client, max_tokens=4000, extra_headers={"x-mock-output-tokens": "500"})
        with pytest.raises(anthropic.RateLimitError) as caught:
            ask(client)
    assert "output tokens per minute" in caught.value.message
    # The bucket may have refilled what the first call took: the second alone is far above the sixty.
    assert one.stats()["models"]["claude"]["peak"]["output_tokens"] >= 500


def test_input_is_corrected_to_what_was_not_cached(provider):
    one = provider("--profile", "anthropic", "--itpm", "1000")
    with client_of(one) as client:
        ask(client, extra_headers={"x-mock-cached-tokens": "100"})
    assert one.stats()["models"]["claude"]["used"].get("input_tokens", 0) == 0


def test_answers_say_what_is_left(provider):
    one = provider("--profile", "anthropic", "--rpm", "50", "--itpm", "10000", "--otpm", "8000")
    with client_of(one) as client:
        raw = client.messages.with_raw_response.create(
            model="claude", messages=QUESTION, max_tokens=50
        )
    headers = raw.headers
    assert headers["anthropic-ratelimit-requests-limit"] == "50"
    assert headers["anthropic-ratelimit-requests-remaining"] == "49"
    assert headers["anthropic-ratelimit-input-tokens-limit"] == "10000"
    # To the nearest thousand.
    assert headers["anthropic-ratelimit-input-tokens-remaining"] == "10000"
    reset = headers["anthropic-ratelimit-requests-reset"]
    assert datetime.fromisoformat(reset.replace("Z", "+00:00")).tzinfo is not None


def test_tokens_are_counted_before_asking(provider):
    with client_of(provider()) as client:
        counted = client.messages.count_tokens(
            model="claude", messages=QUESTION, system=[{"type": "text", "text": "y" * 4}]
        )
    assert counted.input_tokens == 101


def test_max_tokens_is_mandatory(provider):
    status, _, text = provider().request(
        "/v1/messages", {"model": "claude", "messages": QUESTION}
    )
    assert status == 400
    assert '"type":"invalid_request_error"' in text


def test_models_are_listed_in_the_vendors_shape(provider):
    with client_of(provider("--model", "claude-a")) as client:
        assert [model.id for model in client.models.list()] == ["claude-a"]


def test_a_key_is_asked_for_where_keys_are_given(provider):
    one = provider("--key", "good")
    with client_of(one) as client:
        with pytest.raises(anthropic.AuthenticationError):
            ask(client)
    with client_of(one, api_key="good") as client:
        ask(client)
