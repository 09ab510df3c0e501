"""Scripted trouble of the pretend provider, as the vendors' SDKs meet it."""

import anthropic
import openai
import pytest

QUESTION = [{"role": "user", "content": "x" * 400}]


def openai_of(provider, **more):
    return openai.OpenAI(
        base_url=provider.url + "/v1", api_key="any", **{"max_retries": 0, **more}
    )


def ask(client, **more):
    return client.chat.completions.create(
        model="m",
        messages=QUESTION,
        max_tokens=50,
        extra_headers={"x-mock-output-tokens": "40"},
        **more,
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
        (403, openai.PermissionDeniedError),
    ],
)
def test_a_scripted_status_arrives_as_the_sdks_error(provider, status, error):
    one = provider("--trouble", f"request 2: status {status}")
    with openai_of(one) as client:
        ask(client)
        with pytest.raises(error):
            ask(client)
        ask(client)
    stats = one.stats()
    assert stats["refused_by"]["script"] == (status == 429)
    assert stats["failed"] == (status != 429)
    assert stats["finished"] == 2


def test_failed_calls_count_against_the_quota(provider):
    one = provider("--trouble", "request 1: status 500", "--tpm", "200")
    with openai_of(one) as client:
        with pytest.raises(openai.InternalServerError):
            ask(client)
        with pytest.raises(openai.RateLimitError):
            ask(client)


def test_a_script_words_its_error(provider):
    script = "always: status 429 code insufficient_quota type insufficient_quota message No money."
    with openai_of(provider("--trouble", script)) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client)
    assert caught.value.code == caught.value.type == "insufficient_quota"
    assert "No money." in caught.value.message


def test_a_scripted_retry_after_is_compressed_with_the_minute(provider):
    one = provider("--minute", "6s", "--trouble", "always: status 429 retry-after 30s")
    _, headers, _ = one.chat()
    assert headers["retry-after"] == "3"
    assert headers["retry-after-ms"] == "3000"


def test_an_overloaded_anthropic_arrives_as_the_sdks_error(provider):
    one = provider("--profile", "anthropic", "--trouble", "always: status 529")
    with anthropic.Anthropic(base_url=one.url, api_key="any", max_retries=0) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(model="c", messages=QUESTION, max_tokens=5)
    assert caught.value.status_code == 529
    assert caught.value.body["error"]["type"] == "overloaded_error"


def test_the_sdk_retries_over_trouble(provider):
    one = provider("--trouble", "requests 1-2: status 503")
    with openai_of(one, max_retries=2) as client:
        ask(client)
    assert one.stats()["failed"] == 2


def test_a_cut_stream_breaks_off(provider):
    with openai_of(provider("--trouble", "always: cut 20")) as client:
        text = ""
        with pytest.raises(Exception) as caught:
            for chunk in ask(client, stream=True):
                text += chunk.choices[0].delta.content or ""
    assert "RemoteProtocolError" in type(caught.value).__name__ or isinstance(
        caught.value, openai.APIError
    )
    assert len(text) == 20 * 4


def test_a_cut_answer_breaks_off(provider):
    one = provider("--trouble", "always: cut 20")
    with openai_of(one) as client:
        with pytest.raises(openai.APIConnectionError):
            ask(client)
    assert one.stats()["failed"] == 1
    assert one.stats()["in_flight"] == 0


def test_an_error_may_come_inside_a_stream(provider):
    with openai_of(provider("--trouble", "always: fail 20")) as client:
        text = ""
        with pytest.raises(openai.APIError) as caught:
            for chunk in ask(client, stream=True):
                text += chunk.choices[0].delta.content or ""
    assert len(text) == 20 * 4
    assert "server had an error" in caught.value.message


def test_an_error_may_come_inside_a_streamed_message(provider):
    one = provider("--trouble", "always: fail 20")
    with anthropic.Anthropic(base_url=one.url, api_key="any", max_retries=0) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            with client.messages.stream(
                model="c",
                messages=QUESTION,
                max_tokens=50,
                extra_headers={"x-mock-output-tokens": "40"},
            ) as stream:
                list(stream)
    assert "overloaded" in str(caught.value).lower()


def test_headers_are_spoilt(provider):
    script = (
        "always: header x-ratelimit-remaining-requests many;"
        "always: no-header x-ratelimit-limit-requests;"
        "always: header x-should-retry false"
    )
    _, headers, _ = provider("--rpm", "5", "--trouble", script).chat()
    assert headers["x-ratelimit-remaining-requests"] == "many"
    assert headers["x-ratelimit-limit-requests"] is None
    assert headers["x-should-retry"] == "false"


def test_a_slow_answer_meets_the_callers_timeout(provider):
    one = provider("--trouble", "request 1: slow 30s")
    with openai_of(one, timeout=1.0) as client:
        with pytest.raises(openai.APITimeoutError):
            ask(client)
    with openai_of(one) as client:
        ask(client)
    stats = one.stats()
    assert stats["hung_up"] == 1
    assert stats["in_flight"] == 0


def test_a_script_is_read_from_a_file(provider, tmp_path):
    script = tmp_path / "script"
    script.write_text("# two refusals\nrequests 1-2: status 429\n\nrequest 3 model x: status 500\n")
    one = provider("--script", str(script))
    assert [one.chat()[0] for _ in range(3)] == [429, 429, 200]


def test_headers_tell_of_a_quota_that_is_lower_than_its_rules(provider):
    _, headers, _ = provider("--rpm", "10", "--trouble", "always: quota 50%").chat()
    assert headers["x-ratelimit-limit-requests"] == "5"
    assert headers["x-ratelimit-remaining-requests"] == "4"


def test_an_error_may_come_inside_a_streamed_response(provider):
    with openai_of(provider("--trouble", "always: fail 20")) as client:
        stream = client.responses.create(
            model="m",
            input="Hello",
            max_output_tokens=50,
            stream=True,
            extra_headers={"x-mock-output-tokens": "40"},
        )
        events = list(stream)
    # The package hands this one on as an event, and raises nothing.
    assert events[-1].type == "error" and "server had an error" in events[-1].message
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert len(text) == 20 * 4
