"""What the providers' packages raise is told as they wrote it, and no more than there is room for."""

import json
import ssl

import anthropic
import httpx
import openai
import pytest
from gemini import OVER_THE_MINUTE
from google.genai import errors as genai_errors
from sluice._failure import BODY_CHARS_MAX, TEXT_CHARS_MAX, is_the_calls, report_of
from sluice._usage import headers_of, usage_of

REQUEST = httpx.Request("POST", "http://provider/v1")


def response(status, body=None, headers=None):
    return httpx.Response(status, json=body, headers=headers, request=REQUEST)


class ClientError(Exception):
    """As botocore raises it."""

    def __init__(self, answer):
        super().__init__("An error occurred")
        self.response = answer


def test_geminis_details_are_told():
    error = genai_errors.ClientError(429, OVER_THE_MINUTE, None)
    assert report_of(error) == {"status": 429, "error": OVER_THE_MINUTE["error"]}
    as_a_list = genai_errors.ClientError(429, [OVER_THE_MINUTE, {}], None)
    assert report_of(as_a_list)["error"] == [OVER_THE_MINUTE]


def test_anthropics_details_are_told():
    body = {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "m", "details": {"error_code": "enforced_spend_limit_reached"}},
        "request_id": "req_1",
    }
    error = anthropic.RateLimitError("m", response=response(429, body), body=body)
    assert report_of(error) == {"status": 429, "error": body["error"]}


def test_bedrocks_answer_is_told():
    answer = {
        "Error": {"Code": "ThrottlingException", "Message": "Too many tokens per day"},
        "ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"x-amzn-errortype": "ThrottlingException", "date": "now"}},
    }
    assert report_of(ClientError(answer)) == {
        "status": 429,
        "headers": {"date": "now", "x-amzn-errortype": "ThrottlingException"},
        "error": {"Error": answer["Error"]},
    }


def test_an_error_inside_of_a_stream_is_told_by_its_body():
    error = openai.APIError("m", request=REQUEST, body={"type": "server_error", "message": "m"})
    assert report_of(error) == {"error": {"type": "server_error", "message": "m"}} and is_the_calls(error)


def test_a_body_that_was_not_json_is_told_by_the_exceptions_text():
    error = openai.InternalServerError("bad gateway", response=httpx.Response(502, text="<html>", request=REQUEST), body=None)
    assert report_of(error) == {"status": 502, "error": "InternalServerError: bad gateway"}


@pytest.mark.parametrize(
    "error, word",
    [
        (openai.APITimeoutError(REQUEST), "timeout"),
        (anthropic.APIConnectionError(request=REQUEST), "connection_error"),
        (httpx.ReadTimeout(""), "timeout"),
        (httpx.RemoteProtocolError("peer closed"), "connection_error"),
        (TimeoutError(), "timeout"),
        (BrokenPipeError(), "connection_error"),
    ],
)
def test_an_answer_that_did_not_come_is_told_by_a_word(error, word):
    assert report_of(error)["error"].startswith(f"{word}: ") and is_the_calls(error)


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), FileNotFoundError("x"), ssl.SSLError("x"), AssertionError()])
def test_other_exceptions_are_the_workers_own(error):
    assert not is_the_calls(error)


def deep(n):
    return {"a": deep(n - 1)} if n else "x"


@pytest.mark.parametrize(
    "body",
    [
        {"a": "x" * 10**6},
        {f"name{n}": "x" * 400 for n in range(1000)},
        {"a": [{"b": "x" * 300}] * 10_000},
        {"x" * 10**6: 1, "a": 1},
        {"a": {str(n): {str(m): "y" * 90 for m in range(100)} for n in range(100)}},
        {"a": deep(500), "b": 1},
        {"a": float("nan"), "b": float("inf"), "c": 1},
        {"a": object(), "b": b"bytes", "c": 1},
        [["x" * 500] * 100] * 100,
        {"a": 10**5000},
    ],
)
def test_what_a_stranger_wrote_takes_no_more_room_than_there_is(body):
    told = report_of(openai.APIError("m", request=REQUEST, body=body))["error"]
    assert len(json.dumps(told, allow_nan=False)) <= 3 * BODY_CHARS_MAX
    assert told, "something of it is told"


def test_long_texts_are_cut():
    error = openai.APIError("m", request=REQUEST, body={"message": "x" * 9999, "code": "c"})
    assert report_of(error)["error"] == {"message": "x" * TEXT_CHARS_MAX, "code": "c"}


def test_the_date_comes_along_where_there_is_something_to_hold_against_it():
    assert headers_of({"Date": "now", "Retry-After": "Sun, 22 Nov 2026 06:00:00 GMT"}) == {
        "date": "now",
        "retry-after": "Sun, 22 Nov 2026 06:00:00 GMT",
    }
    assert headers_of({"Date": "now", "Server": "x"}) == {}
    assert headers_of({"X-Amzn-ErrorType": "ThrottlingException"}) == {"x-amzn-errortype": "ThrottlingException"}


@pytest.mark.parametrize(
    "value, told",
    [
        ({"output": {}, "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}}, {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}),
        ({"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2}, "metrics": {}}}, {"inputTokens": 3, "outputTokens": 2}),
        ({"usage_metadata": {"prompt_token_count": 3, "candidates_token_count": 1}}, {"prompt_token_count": 3, "candidates_token_count": 1}),
        ({"metadata": {"tokens": "7"}, "choices": []}, None),
    ],
)  # fmt: skip
def test_usage_of_bedrock_and_of_gemini_in_its_own_names_is_found(value, told):
    assert usage_of(value) == told
