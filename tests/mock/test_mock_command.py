"""The command line of `sluice mock`, its statistics, and what it does with strangers' bytes."""

import pytest


def test_help_has_examples(run_mock):
    done = run_mock("--help")
    assert done.returncode == 0
    assert "Examples:" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--rpm", "many"], "many"),
        (["--rpm", "-5"], "-5"),
        (["--profile", "opnai"], "opnai"),
        (["--minute", "1ms"], "1ms"),
        (["--minute", "3"], "3"),
        (["--latency", "slow"], "slow"),
        (["--admission-delay", "uniform:2s,1s"], "uniform:2s,1s"),
        (["--model", "a:rpn=5"], "rpn=5"),
        (["--model", ":rpm=5"], ":rpm=5"),
        (["--trouble", "always: explode"], "explode"),
        (["--script", "/nonexistent/script"], "/nonexistent/script"),
        (["--seed", "one"], "one"),
        (["--key", ""], "key"),
        (["extra"], "extra"),
        (["--unknown"], "--unknown"),
    ],
)
def test_a_wrong_option_is_named(run_mock, arguments, word):
    done = run_mock("--listen", "127.0.0.1:0", *arguments)
    assert done.returncode == 2
    assert word in done.stderr
    assert done.stdout == ""


def test_an_address_that_is_taken_is_said(provider, run_mock):
    address = provider().url.removeprefix("http://")
    done = run_mock("--listen", address)
    assert done.returncode == 1
    assert address in done.stderr


def test_models_have_quotas_of_their_own(provider):
    one = provider("--model", "small:rpm=1", "--rpm", "2", "--model", "big:tpm=5k")
    outcomes = {}
    for model in ("small", "big", "other"):
        outcomes[model] = [one.chat(model=model)[0] for _ in range(3)]
    assert outcomes == {
        "small": [200, 429, 429],
        "big": [200, 200, 429],
        "other": [200, 200, 429],
    }
    models = one.stats()["models"]
    assert models["big"]["limits"] == {"requests": 2, "tokens": 5000}
    assert models["other"]["refused"] == 1


def test_statistics_count_and_are_reset(provider):
    one = provider("--rpm", "3", "--tpm", "25")
    assert [one.chat()[0] for _ in range(4)] == [200, 200, 429, 429]
    stats = one.stats()
    assert stats["arrived"] == 4
    assert stats["admitted"] == stats["finished"] == 2
    assert stats["refused_by"]["tokens"] == 1
    assert stats["refused_by"]["requests"] == 1
    assert stats["tokens_admitted"] == 20
    model = stats["models"]["m"]
    assert model["peak"]["tokens"] == 20
    assert model["used"]["tokens"] == 20
    assert sum(model["series"]["tokens"]) == 20
    assert sum(model["series"]["requests"]) == 2
    assert sum(model["series"]["refused"]) == 2

    assert one.request("/mock/reset", {})[0] == 200
    assert one.stats()["arrived"] == 0
    assert one.chat()[0] == 200


def test_every_judged_call_tells_when(provider):
    one = provider("--rpm", "1")
    moments = [float(one.chat()[1]["x-mock-judged-ms"]) for _ in range(3)]
    assert moments == sorted(moments)


def test_the_admission_delay_comes_before_the_judgement(provider):
    one = provider("--admission-delay", "constant:1m", "--rpm", "1")
    with pytest.raises(TimeoutError):
        one.chat(timeout=0.3)
    stats = one.stats()
    assert stats["arrived"] == 0
    assert stats["in_flight"] == 0


def test_compression_scales_latencies(provider):
    one = provider("--minute", "60ms", "--latency", "constant:10m,1s")
    assert one.chat()[0] == 200


def test_compression_scales_the_admission_delay_only_when_asked(provider):
    delay = ("--minute", "60ms", "--admission-delay", "constant:10m")
    assert provider(*delay, "--scale-admission-delay").chat()[0] == 200
    with pytest.raises(TimeoutError):
        provider(*delay).chat(timeout=0.3)


def test_unknown_paths_and_methods_are_refused(provider):
    one = provider()
    assert one.request("/v1/unknown")[0] == 404
    assert one.request("/")[0] == 404
    status, headers, _ = one.request("/v1/chat/completions")
    assert status == 405
    assert headers["allow"] == "POST"


def test_a_body_that_is_no_object_is_refused(provider):
    one = provider()
    for body in ("text", [], 5):
        assert one.request("/v1/chat/completions", body)[0] == 400


def test_only_so_many_models_are_kept(provider):
    one = provider()
    statuses = [one.chat(model=f"model-{i}")[0] for i in range(70)]
    assert statuses.count(200) == 64
    assert statuses[-1] == 404


def test_a_model_needs_a_name(provider):
    one = provider()
    assert one.request("/v1/chat/completions", {"messages": []})[0] in (400, 404)
