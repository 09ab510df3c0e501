"""The pretend provider through OpenAI's own SDK: what it answers, and what it refuses."""

import openai
import pytest

QUESTION = [{"role": "user", "content": "x" * 400}]


def client_of(provider, **more):
    return openai.OpenAI(
        base_url=provider.url + "/v1", api_key="any", **{"max_retries": 0, **more}
    )


def ask(client, **more):
    return client.chat.completions.create(
        **{"model": "gpt-4o", "messages": QUESTION, "max_tokens": 50, **more}
    )


def test_a_chat_completion_is_answered_with_usage(provider):
    with client_of(provider()) as client:
        answer = ask(client, extra_headers={"x-mock-output-tokens": "7"})
    assert answer.choices[0].finish_reason == "stop"
    assert len(answer.choices[0].message.content) == 7 * 4
    assert answer.usage.prompt_tokens == 100
    assert answer.usage.completion_tokens == 7
    assert answer.usage.total_tokens == 107
    assert answer.id.startswith("chatcmpl-")


def test_an_answer_is_cut_short_at_its_maximum(provider):
    with client_of(provider()) as client:
        answer = ask(client, extra_headers={"x-mock-output-tokens": "70"})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 50


def test_metadata_steers_the_answer_too(provider):
    with client_of(provider()) as client:
        answer = ask(
            client,
            metadata={
                "mock_output_tokens": "3",
                "mock_input_tokens": "120",
                "mock_cached_tokens": "20",
            },
        )
    assert answer.usage.completion_tokens == 3
    assert answer.usage.prompt_tokens == 120
    assert answer.usage.prompt_tokens_details.cached_tokens == 20


def test_the_same_seed_gives_the_same_answers(provider):
    def lengths(seed):
        with client_of(provider("--seed", seed)) as client:
            return [ask(client, max_tokens=4000).usage.completion_tokens for _ in range(5)]

    assert lengths("1") == lengths("1")
    assert lengths("1") != lengths("2")


@pytest.mark.parametrize("latency", ["none", "constant:5ms,1ms"])
def test_a_stream_gives_the_text_piece_by_piece(provider, latency):
    with client_of(provider("--latency", latency)) as client:
        stream = ask(client, stream=True, extra_headers={"x-mock-output-tokens": "40"})
        chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert len(text) == 40 * 4
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len(chunks) > 3
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_tells_its_usage_when_asked(provider):
    with client_of(provider()) as client:
        chunks = list(
            ask(
                client,
                stream=True,
                stream_options={"include_usage": True},
                extra_headers={"x-mock-output-tokens": "5"},
            )
        )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 5
    assert chunks[-1].usage.prompt_tokens == 100
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_a_response_is_answered_with_usage(provider):
    with client_of(provider()) as client:
        answer = client.responses.create(
            model="gpt-4o",
            input="x" * 40,
            instructions="y" * 40,
            extra_headers={"x-mock-output-tokens": "6"},
        )
    assert answer.status == "completed"
    assert len(answer.output_text) == 6 * 4
    assert answer.usage.input_tokens == 20
    assert answer.usage.output_tokens == 6


def test_a_response_is_incomplete_at_its_maximum(provider):
    with client_of(provider()) as client:
        answer = client.responses.create(
            model="gpt-4o",
            input=[{"role": "user", "content": [{"type": "input_text", "text": "x" * 40}]}],
            max_output_tokens=20,
            extra_headers={"x-mock-output-tokens": "60"},
        )
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage.output_tokens == 20


def test_a_streamed_response_has_every_event_in_order(provider):
    with client_of(provider()) as client:
        events = list(
            client.responses.create(
                model="gpt-4o",
                input="x" * 40,
                stream=True,
                extra_headers={"x-mock-output-tokens": "40"},
            )
        )
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-4].text == events[-1].response.output_text
    assert events[-1].response.usage.output_tokens == 40


def test_the_sdk_gathers_a_streamed_response(provider):
    with client_of(provider()) as client:
        with client.responses.stream(model="gpt-4o", input="x" * 40) as stream:
            final = stream.get_final_response()
    assert final.usage.input_tokens == 10
    assert len(final.output_text) == final.usage.output_tokens * 4


@pytest.mark.parametrize("form", ["float", "base64", None])
def test_embeddings_come_in_the_asked_form(provider, form):
    more = {} if form is None else {"encoding_format": form}
    with client_of(provider()) as client:
        answer = client.embeddings.create(
            model="e", input=["x" * 40, "y" * 8], dimensions=6, **more
        )
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 12
    vectors = [item.embedding for item in answer.data]
    assert len(vectors) == 2
    if form != "base64":
        assert [len(vector) for vector in vectors] == [6, 6]
        assert all(sum(x * x for x in vector) == pytest.approx(1.0) for vector in vectors)
        assert vectors[0] != vectors[1]


def test_embeddings_of_tokens_count_them(provider):
    with client_of(provider()) as client:
        answer = client.embeddings.create(model="e", input=[1, 2, 3, 4, 5])
    assert answer.usage.prompt_tokens == 5
    assert len(answer.data) == 1


def test_too_many_requests_arrive_as_a_rate_limit_error(provider):
    with client_of(provider("--rpm", "2")) as client:
        ask(client)
        ask(client)
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client)
    error = caught.value
    assert error.code == "rate_limit_exceeded"
    assert error.type == "requests"
    assert "Limit 2, Used 2, Requested 1" in error.message
    assert 0 < int(error.response.headers["retry-after"]) <= 60
    assert 0 < int(error.response.headers["retry-after-ms"]) <= 60000
    assert error.request_id.startswith("req_")


def test_too_many_tokens_arrive_as_a_rate_limit_error(provider):
    with client_of(provider("--tpm", "299")) as client:
        ask(client)
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client)
    assert caught.value.type == "tokens"
    assert "Limit 299, Used 150, Requested 150" in caught.value.message


def test_what_never_fits_is_refused_without_a_time(provider):
    with client_of(provider("--tpm", "149")) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client)
    assert "Request too large" in caught.value.message
    assert "retry-after" not in caught.value.response.headers


def test_the_sdk_retries_until_the_compressed_minute_is_over(provider):
    one = provider("--rpm", "1", "--minute", "1s", "--profile", "anthropic")
    answered = 0
    with client_of(one, max_retries=5) as client:
        # Two calls on a busy machine may be a compressed minute apart: then the next two are judged.
        while one.stats()["refused"] == 0:
            ask(client)
            answered += 1
    assert one.stats()["admitted"] == answered


def test_answers_say_what_is_left(provider):
    with client_of(provider("--rpm", "10", "--tpm", "1000")) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=QUESTION, max_tokens=50
        )
    assert raw.headers["x-ratelimit-limit-requests"] == "10"
    assert raw.headers["x-ratelimit-remaining-requests"] == "9"
    assert raw.headers["x-ratelimit-limit-tokens"] == "1000"
    assert raw.headers["x-ratelimit-remaining-tokens"] == "850"
    assert raw.headers["x-ratelimit-reset-tokens"] == "1m0s"


def test_azure_is_spoken_to_through_its_own_client(provider):
    one = provider("--profile", "azure", "--tpm", "200", "--rpm", "600")
    with openai.AzureOpenAI(
        azure_endpoint=one.url, api_key="any", api_version="2024-10-21", max_retries=0
    ) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="my-deployment", messages=QUESTION, max_tokens=50
        )
        assert raw.headers["x-ratelimit-remaining-tokens"] == "50"
        assert raw.headers["x-ratelimit-reset-tokens"].isdigit()
        admitted = 1
        with pytest.raises(openai.RateLimitError) as caught:
            for _ in range(3):  # a fixed minute may begin anew between two calls, though not often
                ask(client, model="my-deployment")
                admitted += 1
    assert caught.value.code == "429"
    assert "Please retry after" in caught.value.message
    assert one.stats()["models"]["my-deployment"]["admitted"] == admitted


def test_azure_wants_an_api_version(provider):
    body = {"messages": QUESTION}
    path = "/openai/deployments/d/chat/completions"
    status, _, text = provider().request(path, body)
    assert status == 404
    assert '"code":"404"' in text


def test_a_key_is_asked_for_where_keys_are_given(provider):
    one = provider("--key", "good", "--key", "better")
    for key, status in (("good", 200), ("better", 200), ("bad", 401)):
        assert one.chat(headers={"authorization": "Bearer " + key})[0] == status
    assert one.chat()[0] == 401
    with openai.OpenAI(base_url=one.url + "/v1", api_key="bad", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            ask(client)
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": None, "model": 5},
        {"max_tokens": -1},
        {"max_tokens": 1.5},
        {"n": 2},
        {"stream": "yes"},
    ],
)
def test_a_wrong_request_is_refused(provider, wrong):
    with client_of(provider()) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, extra_body=wrong)
    assert caught.value.type == "invalid_request_error"


def test_models_met_are_listed(provider):
    with client_of(provider("--model", "a:rpm=5", "--model", "b")) as client:
        ask(client, model="c")
        assert [model.id for model in client.models.list()] == ["a", "b", "c"]


def test_the_asynchronous_client_is_answered_as_well(provider):
    import asyncio

    # The first three stay in flight until they are given up, however far apart the calls arrive.
    one = provider("--concurrency", "3", "--trouble", "requests 1-3: slow 1m")

    async def in_flight(n):
        while (await asyncio.to_thread(one.stats))["in_flight"] != n:
            await asyncio.sleep(0.01)

    async def ask_six():
        async with openai.AsyncOpenAI(
            base_url=one.url + "/v1", api_key="any", max_retries=0
        ) as client:

            def call():
                return client.chat.completions.create(model="m", messages=QUESTION, max_tokens=5)

            slow = [asyncio.ensure_future(call()) for _ in range(3)]
            await in_flight(3)
            refused = await asyncio.gather(call(), call(), return_exceptions=True)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
            await in_flight(0)
            return refused, await call()

    refused, answer = asyncio.run(ask_six())
    assert [type(outcome) for outcome in refused] == [openai.RateLimitError] * 2
    assert answer.usage.prompt_tokens == 100
    assert one.stats()["models"]["m"]["peak"]["slots"] == 3
