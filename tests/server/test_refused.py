"""Every refusal names what is wrong, and every code comes with its status."""

import pytest

LIMITED = """
resources:
  chat:
    line: 1
    price: {input: 0, output: 0}
    estimates: off
    limits:
      - {unit: slots, amount: 1, name: concurrency}
      - {unit: tokens, amount: 1000, per: 1h, name: tpm}
      - {unit: usd, amount: 1, scope: session, per: lifetime, exceed: refuse, name: budget}
"""


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"resouce": "chat"}, "unknown field `resouce`; did you mean `resource`?"),
        ({"colour": 1}, "unknown field `colour`; there are resource, load, "),
        ({"tokens": 1}, "unknown field `tokens`; it belongs in `load`"),
        ({"input_tokens": 1}, "unknown field `input_tokens`; it belongs in `load`"),
        ({"resource": 5}, "`resource` must be text of 1 to 128 bytes"),
        ({"resource": ""}, "`resource` must be text of 1 to 128 bytes"),
        ({"resource": "x" * 129}, "`resource` must be text of 1 to 128 bytes"),
        ({"resource": "a\nb"}, "control characters"),
        ({}, "`resource` is missing"),
        ({"resource": None}, "`resource` must be text"),
        ({"resource": "chat", "load": -1}, "`load` must be a whole number from 0"),
        ({"resource": "chat", "load": 1.5}, "`load` must be a whole number"),
        ({"resource": "chat", "load": "many"}, "`load` must be a number of tokens or an object"),
        ({"resource": "chat", "load": {"token": 1}}, "in `load`: unknown field `token`; did you"),
        ({"resource": "chat", "load": {"slots": 2}}, "in `load`: unknown field `slots`"),
        ({"resource": "chat", "load": {"usd": -0.1}}, "`usd` must be a number of US dollars"),
        ({"resource": "chat", "load": {"tokens": 10**16}}, "`tokens` must be a whole number"),
        ({"resource": "chat", "priority": 0}, "`priority` must be a whole number from 1 to 10"),
        ({"resource": "chat", "priority": 11}, "`priority` must be a whole number from 1 to 10"),
        ({"resource": "chat", "wait_ms": -1}, "`wait_ms` must be a whole number from 0 to 864"),
        ({"resource": "chat", "lease_ms": 0}, "`lease_ms` must be a whole number from 1 to 864"),
        ({"resource": "chat", "labels": {"a": 1}}, "`labels` must be an object of at most 8 texts"),
        ({"resource": "chat", "labels": {"a=b": "c"}}, "a name without `=`"),
        ({"resource": "chat", "labels": {str(i): "" for i in range(9)}}, "at most 8 texts"),
        ({"resource": "chat", "parent": "tk_0000000000000001"}, "`parent` must be a lease"),
        ({"ticket": "ls_0000000000000001"}, "`ticket` must be a ticket"),
        ({"resource": "chat", "route": "chat"}, "`resource` and `route` exclude each other"),
    ],
)
def test_an_acquire_that_is_not_valid_says_what_is_wrong(daemon, fields, words):
    answer = daemon().post("/v1/acquire", fields)
    assert answer.status == 400
    error = answer.json["error"]
    assert error["type"] == error["code"] == "invalid_request"
    assert words in error["message"]


@pytest.mark.parametrize(
    "path, fields, words",
    [
        ("/v1/release", {}, "`lease` is missing"),
        ("/v1/release", {"lease": "ls_1"}, "`lease` must be a lease"),
        ("/v1/release", {"lease": "ls_0000000000000001", "usage": 5}, "`usage` must be an object"),
        (
            "/v1/release",
            {"lease": "ls_0000000000000001", "usage": {"input_token": 5}},
            "in `usage`: unknown field `input_token`; did you mean `input_tokens`?",
        ),
        (
            "/v1/release",
            {"lease": "ls_0000000000000001", "usage": {"prompt_tokens": "5"}},
            "`usage.prompt_tokens` must be a whole number",
        ),
        (
            "/v1/release",
            {"lease": "ls_0000000000000001", "output_tokens": 5},
            "unknown field `output_tokens`; it belongs in `usage`",
        ),
        ("/v1/release", {"lease": "ls_0000000000000001", "status": 99}, "`status` must be"),
        ("/v1/release", {"lease": "ls_0000000000000001", "headers": {"a": 1}}, "object of texts"),
        ("/v1/release", {"lease": "ls_0000000000000001", "headers": {"a": ["1", 2]}}, "arrays of texts"),
        ("/v1/release", {"lease": "ls_0000000000000001", "error": 5}, "text, an object or an array"),
        ("/v1/release", {"lease": "ls_0000000000000001", "elapsed_ms": -5}, "`elapsed_ms`"),
        ("/v1/renew", {}, "either `lease` or `leases`"),
        ("/v1/renew", {"leases": []}, "`leases` must be an array of 1 to 1024"),
        ("/v1/renew", {"leases": ["ls_0000000000000001"] * 1025}, "1 to 1024"),
        ("/v1/renew", {"leases": ["x"]}, "`leases` must be a lease"),
        ("/v1/cancel", {}, "either `ticket` or `id`"),
        ("/v1/cancel", {"ticket": "tk_0000000000000001", "id": "x"}, "either `ticket` or `id`"),
        ("/v1/acquire", [], "1 to 1024 elements"),
        ("/v1/acquire", [{}] * 1025, "1 to 1024 elements"),
        ("/v1/renew", [], "a JSON object is expected"),
    ],
)
def test_other_requests_that_are_not_valid_say_what_is_wrong(daemon, path, fields, words):
    answer = daemon().post(path, fields)
    assert answer.status == 400 and answer.code == "invalid_request"
    assert words in answer.json["error"]["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b'{"resource":"chat"} x', b'{"a":1,"a":2}', b'"\xff"']
)
def test_a_body_that_is_no_json_is_refused(daemon, body):
    answer = daemon().post("/v1/acquire", body)
    assert answer.status == 400 and answer.code == "invalid_request"
    assert "the body cannot be read as JSON: " in answer.json["error"]["message"]


@pytest.mark.parametrize(
    "path, words",
    [
        ("/v1/usage?sinc=24h", "unknown parameter `sinc`; this path takes `by`, `since`, `until`"),
        ("/v1/leases?after=&page=2", "unknown parameter `page`"),
        ("/v1/resources?scopekey=a", "this path takes `scope_key`"),
        ("/v1/resources/chat?x", "unknown parameter `x`"),
        ("/v1/sessions/s-1?since=1h", "unknown parameter `since`"),
        ("/v1/events?kinds=granted", "this path takes `resource`, `kind`"),
        ("/v1/events?resource=" + "x" * 129, "`resource` must have at most 128 bytes"),
        ("/metrics?resource=chat", "unknown parameter `resource`"),
    ],
)
def test_a_parameter_that_is_not_known_is_refused_by_name(daemon, path, words):
    answer = daemon().get(path)
    assert answer.status == 400 and answer.code == "invalid_request"
    assert words in answer.json["error"]["message"]


def test_whoever_asks_for_health_may_add_what_it_likes(daemon):
    assert daemon().get("/healthz?probe=7").status == 200


def test_a_body_of_another_type_is_refused(daemon):
    answer = daemon().post(
        "/v1/acquire", {"resource": "chat"}, headers={"Content-Type": "text/plain"}
    )
    assert answer.status == 400
    assert "Content-Type" in answer.json["error"]["message"]


def test_an_unknown_resource_is_said_to_be_unknown(daemon):
    d = daemon()
    answer = d.acquire("nothing")
    assert answer.status == 404 and answer.code == "unknown_resource"
    assert answer.json["error"]["message"].startswith("`nothing`: no resource of that name")
    assert d.get("/v1/resources/nothing").code == "unknown_resource"


def test_what_can_never_fit_is_refused_at_once_naming_the_limit(daemon):
    answer = daemon(LIMITED).acquire(load=1001)
    assert answer.status == 422 and answer.code == "never_fits"
    error = answer.json["error"]
    assert error["limit"] == "tpm"
    assert "1001 tokens" in error["message"] and "1000 tokens" in error["message"]


def test_who_does_not_want_to_wait_is_told_what_holds(daemon):
    d = daemon(LIMITED)
    d.lease(load=900)
    answer = d.acquire(load=200, wait_ms=0)
    assert answer.status == 429 and answer.code == "would_wait"
    error = answer.json["error"]
    assert set(error["held_by"]) <= {"tpm", "concurrency"} and error["held_by"]
    assert error["retry_after_ms"] > 0
    assert int(answer.headers["Retry-After"]) == -(-error["retry_after_ms"] // 1000)


def test_a_budget_that_does_not_cover_a_request_refuses_it(daemon):
    d = daemon(LIMITED)
    d.release(d.lease(session="s", load={"usd": 0.75}), usage={"usd": 0.75})
    answer = d.acquire(session="s", load={"usd": 0.5})
    assert answer.status == 402 and answer.code == "budget_exceeded"
    assert answer.json["error"]["limit"] == "budget"
    assert "it asks for 0.5 USD, and limit `budget` has 0.25 USD of 1 USD left" in answer.json["error"]["message"]
    assert "Retry-After" not in answer.headers
    assert d.acquire(session="other", load={"usd": 0.5}).status == 200


def test_money_is_told_to_the_last_digit(daemon):
    answer = daemon(LIMITED).acquire(session="s", load={"usd": 1.000000000001})
    assert answer.status == 422
    assert "it asks for 1.000000000001 USD, and limit `budget` allows 1 USD in all" in answer.json["error"]["message"]


def test_who_waits_too_long_is_told_what_held_it(daemon):
    d = daemon(LIMITED)
    d.lease()
    answer = d.acquire(wait_ms=20)
    assert answer.status == 408 and answer.code == "wait_timeout"
    assert answer.json["error"]["held_by"] == ["concurrency"]


def test_a_full_line_takes_no_more(daemon):
    d = daemon(LIMITED)
    held = d.lease()
    first = d.later()
    d.waiting(1)
    answer = d.acquire()
    assert answer.status == 503 and answer.code == "line_full"
    assert int(answer.headers["Retry-After"]) >= 1
    d.release(held)
    assert first().status == 200


def test_a_client_may_not_wait_more_often_than_its_cap(daemon):
    d = daemon(
        "server: {tickets_per_client: 1}\n"
        "resources: {chat: {limits: [{unit: slots, amount: 1, name: concurrency}]}}\n"
    )
    held = d.lease()
    first = d.later()
    d.waiting(1)
    answer = d.acquire()
    assert answer.status == 503 and answer.code == "line_full"
    d.release(held)
    lease = first().json["lease"]
    d.release(lease)
    assert d.acquire().status == 200


def test_tickets_count_toward_the_cap_while_their_holder_is_away(daemon):
    d = daemon(
        "server: {tickets_per_client: 2}\n"
        "resources: {chat: {limits: [{unit: slots, amount: 1, name: concurrency}]}}\n"
    )
    held = d.lease()
    tickets = [d.acquire(hold_ms=1).json["ticket"] for _ in range(2)]
    answer = d.acquire(hold_ms=1)
    assert answer.status == 503 and answer.code == "line_full"
    (line,) = d.post("/v1/acquire", [{"resource": "chat", "hold_ms": 1}]).lines
    assert line["error"]["code"] == "line_full"
    # To come back takes no further place.
    again = d.post("/v1/acquire", {"ticket": tickets[0], "hold_ms": 1})
    assert again.status == 202 and again.json["ticket"] == tickets[0]
    assert d.post("/v1/cancel", {"ticket": tickets[1]}).status == 200
    assert d.acquire(hold_ms=1).status == 202
    assert d.acquire(hold_ms=1).code == "line_full"
    d.release(held)
    assert d.post("/v1/acquire", {"ticket": tickets[0]}).status == 200
    assert d.acquire(hold_ms=1).status == 202


ONE_RETRY = (
    "server: {tickets_per_client: 1}\n"
    "resources: {chat: {retry: {backoff: 1ms, backoff_max: 1ms}, limits: [{unit: slots, amount: 1, name: concurrency}]}}\n"
)


def test_the_tickets_of_retries_count_toward_the_cap_until_they_are_used(daemon):
    d = daemon(ONE_RETRY)
    first = d.lease()
    advice = d.release(first, status=500).json["advice"]
    assert advice["action"] == "retry"
    held = d.lease()
    assert d.acquire().code == "line_full"
    # The same release again gives the same ticket, which counts once.
    assert d.release(first, status=500).json["advice"]["ticket"] == advice["ticket"]
    d.release(held)
    retried = d.post("/v1/acquire", {"ticket": advice["ticket"]})
    assert retried.status == 200 and retried.json["attempt"] == 2
    assert d.acquire(hold_ms=1).status == 202


def test_a_retry_that_is_cancelled_counts_no_more(daemon):
    d = daemon(ONE_RETRY)
    advice = d.release(d.lease(), status=500).json["advice"]
    d.lease()
    assert d.acquire(hold_ms=1).code == "line_full"
    assert d.post("/v1/cancel", {"ticket": advice["ticket"]}).status == 200
    assert d.acquire(hold_ms=1).status == 202


def test_a_child_that_could_only_be_served_after_its_parent_is_refused(daemon):
    d = daemon(LIMITED)
    parent = d.lease()
    answer = d.acquire(parent=parent)
    assert answer.status == 409 and answer.code == "would_deadlock"


def test_a_parent_that_is_no_open_lease_is_unknown(daemon):
    answer = daemon(LIMITED).acquire(parent="ls_00000000deadbeef")
    assert answer.status == 404 and answer.code == "unknown_lease"


def test_unknown_tickets_and_ids_are_said_to_be_unknown(daemon):
    d = daemon()
    assert d.post("/v1/acquire", {"ticket": "tk_00000000deadbeef"}).code == "unknown_ticket"
    for body in ({"ticket": "tk_00000000deadbeef"}, {"id": "nobody"}):
        answer = d.post("/v1/cancel", body)
        assert answer.status == 404 and answer.code == "unknown_ticket"


@pytest.mark.parametrize("method, path", [("GET", "/v2"), ("POST", "/v1/acquires"), ("GET", "/v1")])
def test_other_paths_are_not_found(daemon, method, path):
    answer = daemon().request(method, path, {} if method == "POST" else None)
    assert answer.status == 404 and answer.code == "not_found"


@pytest.mark.parametrize(
    "method, path, allow",
    [
        ("GET", "/v1/acquire", "POST"),
        ("DELETE", "/v1/leases", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("PUT", "/v1/release", "POST"),
    ],
)
def test_other_methods_are_not_allowed(daemon, method, path, allow):
    answer = daemon().request(method, path)
    assert answer.status == 405 and answer.code == "method_not_allowed"
    assert answer.headers["Allow"] == allow


def test_caps_of_http_answer_in_the_same_form(daemon):
    d = daemon("server: {body_max: 4096}\nresources: {chat: {concurrency: 1}}\n")
    big = d.post("/v1/acquire", b" " * 5000)
    assert big.status == 413 and big.code == "body_too_large"
    assert "`server.body_max`" in big.json["error"]["message"]
    long = d.get("/" + "x" * 20000)
    assert long.status == 414 and long.code == "uri_too_long"
    heavy = d.get("/healthz", headers={"X-Heavy": "x" * 60000})
    assert heavy.status == 431 and heavy.code == "headers_too_large"
    assert "`server.header_max`" in heavy.json["error"]["message"]
