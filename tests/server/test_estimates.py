"""What is held where a request does not give its tokens."""


def test_the_most_output_a_call_allows_itself_is_held(daemon):
    held = daemon().acquire(load={"input_tokens": 30}, max_output_tokens=70).json["held"]
    assert (held["input_tokens"], held["output_tokens"], held["tokens"]) == (30, 70, 100)


def test_a_load_that_gives_its_output_counts_before_the_most_it_may_be(daemon):
    held = daemon().acquire(load={"input_tokens": 30, "output_tokens": 5}, max_output_tokens=70).json["held"]
    assert (held["output_tokens"], held["tokens"]) == (5, 35)


def test_a_prompt_of_no_bytes_is_refused(daemon):
    refused = daemon().acquire(input_bytes=0)
    assert refused.status == 400
    assert "input_bytes" in refused.json["error"]["message"]
