"""Routes and pools of accounts from outside: which resource serves, why not those before it, and what the end of a route is."""

import threading
import time

import pytest
from conftest import PATIENCE_S
from test_looking import Listener, metric

TWO = """
resources:
  first: {provider: openai, model: big, feedback: {pause: 1ms, ramp: 0s}, %s}
  second: {provider: openai, model: small}
routes:
  chat: {try: [first, second], %s}
"""
ONE_AT_A_TIME = "concurrency: 1"


def two(first="concurrency: 9", route="finally: refuse"):
    return TWO % (first, route)


def ask(d, route="chat", **fields):
    return d.post("/v1/acquire", {"route": route, **fields})


def served(d, route="chat", **fields):
    """The resource that served, and why not others."""
    answer = ask(d, route, **fields)
    assert answer.status == 200, answer.text
    return answer.json["resource"], {p["resource"]: p["reason"] for p in answer.json["passed"]}


def passed(answer):
    return {p["resource"]: p["reason"] for p in answer.json["error"]["passed"]}


def until_waiting(d, resource):
    until = time.monotonic() + PATIENCE_S
    while d.resource(resource)["line"]["waiting"] == 0:
        assert time.monotonic() < until, f"nobody came to wait for {resource}"
        time.sleep(0.002)


def until_served_by(d, resource, reason=None, **fields):
    """Asks until that resource serves, or until the first is passed over for that reason."""
    until = time.monotonic() + PATIENCE_S
    while True:
        answer = ask(d, **fields).json
        d.release(answer["lease"], status=200)
        why = {p["resource"]: p["reason"] for p in answer["passed"]}.get("first")
        if answer["resource"] == resource and why == reason:
            return
        assert time.monotonic() < until, f"it never came to that: {answer}"
        time.sleep(0.005)


DAY = {"error": {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}]}}}
MONEY = {"error": {"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}}


@pytest.mark.parametrize(
    "reason, first, refusal",
    [
        ("paused", "concurrency: 9", {"status": 429, "headers": {"retry-after": "100"}}),
        ("backoff", "concurrency: 9", {"status": 529, "headers": {"retry-after": "100"}}),
        ("breaker_open", "breaker: {refusals: 1, pause: 1h}", {"status": 429}),
        ("day_over", "concurrency: 9", {"status": 429, **DAY}),
        ("out_of_money", "concurrency: 9", {"status": 429, **MONEY}),
    ],
)
def test_a_resource_that_is_closed_is_passed_over_until_it_is_well_again(daemon, reason, first, refusal):
    config = two(first)
    d = daemon(config.replace("first: {provider: openai", "first: {provider: gemini") if reason == "day_over" else config)
    answer = ask(d, wait_ms=10_000_000).json
    assert (answer["resource"], answer["model"], answer["route"], answer["step"], answer["passed"]) == ("first", "big", "chat", 1, [])
    advice = d.release(answer["lease"], **refusal).json["advice"]
    assert (advice["action"], advice["resource"]) == ("fallback", "second")
    again = d.post("/v1/acquire", {"ticket": advice["ticket"]}).json
    assert (again["resource"], again["model"], again["step"], again["attempt"]) == ("second", "small", 2, 2)
    assert again["passed"] == [{"resource": "first", "reason": reason}]
    assert served(d) == ("second", {"first": reason})
    assert d.post("/v1/resources/first/reopen", None).status == 200
    assert served(d) == ("first", {})


def test_a_resource_that_was_refused_cools_down_and_comes_back_by_itself(daemon):
    d = daemon(two("cooldown: 1s"))
    d.release(ask(d).json["lease"], status=429)
    until_served_by(d, "second", "cooling_down")
    until_served_by(d, "first")


def test_one_call_probes_whether_a_resource_is_well_again(daemon):
    d = daemon(two("cooldown: 0s, breaker: {refusals: 1, pause: 100ms, pause_max: 100ms}"))
    d.release(ask(d).json["lease"], status=429)
    until = time.monotonic() + PATIENCE_S
    while (probe := ask(d).json)["resource"] != "first":
        assert time.monotonic() < until
        time.sleep(0.005)
    assert served(d) == ("second", {"first": "probing"})
    d.release(probe["lease"], status=200)
    assert served(d) == ("first", {})


@pytest.mark.parametrize("exceed", ["downgrade", "refuse"])
def test_a_budget_that_is_out_is_passed_over_until_it_is_given_back(daemon, exceed):
    d = daemon(two(f"price: given, limits: [{{unit: usd, amount: 1, per: day, exceed: {exceed}, name: purse}}]"))
    lease = ask(d, load={"usd": 0.75}).json["lease"]
    assert served(d, load={"usd": 0.5}) == ("second", {"first": "budget_exceeded"})
    d.release(lease, usage={"usd": 0.75})
    assert served(d, load={"usd": 0.5}) == ("second", {"first": "budget_exceeded"})
    assert d.post("/v1/budget", {"resource": "first", "limit": "purse", "reset": True}).status == 200
    assert served(d, load={"usd": 0.5}) == ("first", {})


@pytest.mark.parametrize("refusal", [{"status": 529, "headers": {"retry-after": "100"}}, {"status": 429, **MONEY}])
def test_a_session_that_has_spent_nothing_elsewhere_falls_back_there(daemon, refusal):
    purse = "price: given, limits: [{unit: usd, amount: 1, per: lifetime, scope: session, exceed: refuse, name: purse}]"
    d = daemon(two().replace("model: small", f"model: small, {purse}"))
    for session in ("one", "two"):
        lease = ask(d, session=session, load={"usd": 0.75}).json["lease"]
        advice = d.release(lease, **refusal).json["advice"]
        assert (advice["action"], advice.get("resource")) == ("fallback", "second")
        assert d.post("/v1/acquire", {"ticket": advice["ticket"]}).json["held"]["usd"] == 0.75
        assert d.post("/v1/resources/first/reopen", None).status == 200


def test_what_does_not_fit_goes_where_it_does(daemon):
    d = daemon(
        """
resources:
  a: {concurrency: 9}
  b: {tpm: 500}
  c: {concurrency: 9}
routes:
  chat: {try: [{resource: a, context: 1k}, b, {resource: c, context: 4k}]}
"""
    )
    assert served(d, load={"input_tokens": 900, "output_tokens": 100}) == ("a", {})
    assert served(d, load={"input_tokens": 900, "output_tokens": 101}) == ("c", {"a": "context", "b": "never_fits"})
    refused = ask(d, load={"input_tokens": 4000, "output_tokens": 1})
    assert (refused.status, refused.code) == (503, "route_exhausted")
    assert passed(refused) == {"a": "context", "b": "never_fits", "c": "context"}


def test_a_line_that_would_outlast_the_caller_is_passed_over(daemon):
    d = daemon(two("limits: [{unit: requests, amount: 1, per: 1h, name: rph}]"))
    assert served(d) == ("first", {})
    assert served(d, wait_ms=60_000) == ("second", {"first": "deadline"})
    assert served(d, wait_ms=0) == ("second", {"first": "deadline"})


def test_a_line_that_is_full_and_a_parent_that_holds_what_is_needed_are_passed_over(daemon):
    d = daemon(two(ONE_AT_A_TIME + ", line: 1"))
    parent = ask(d).json["lease"]
    assert served(d, parent=parent) == ("second", {"first": "would_deadlock"})
    waiting = d.later("first")
    until_waiting(d, "first")
    assert served(d, wait_ms=50_000_000) == ("second", {"first": "line_full"})
    d.release(parent)
    assert waiting().status == 200


def test_who_does_not_say_what_a_call_costs_is_served_where_it_need_not_be_said(daemon):
    d = daemon(two("price: given"))
    assert served(d) == ("second", {"first": "usd_missing"})
    assert served(d, load={"usd": 0.5}) == ("first", {})
    refused = d.acquire("first", load=10)
    assert (refused.status, refused.code) == (400, "usd_missing")
    assert "`price: given`" in refused.json["error"]["message"] and "`usd`" in refused.json["error"]["message"]


def test_what_was_said_to_cost_is_booked_where_the_release_does_not_say(daemon):
    d = daemon("resources: {chat: {price: given, limits: [{unit: usd, amount: 1, per: day, name: purse}]}}\n")
    settled = d.release(d.lease(load={"usd": 0.25}), status=200, usage={"tokens": 7}).json
    assert settled["cost_usd"] == 0.25
    assert d.release(d.lease(load={"usd": 0.25}), status=429).json["cost_usd"] == 0
    (purse,) = d.resource()["limits"]
    assert purse["used"] == 0.25


def test_the_fastest_serves_where_it_is_preferred(daemon):
    d = daemon(two("limits: [{unit: requests, amount: 1, per: 1h, name: rph}]", "prefer: fastest"))
    assert [served(d, wait_ms=86_400_000)[0] for _ in range(3)] == ["first", "second", "second"]


def test_a_request_that_waits_goes_on_when_its_resource_closes(daemon):
    d = daemon(two(ONE_AT_A_TIME + ", breaker: {refusals: 1, pause: 1h}").replace("model: small", "model: small, concurrency: 1"))
    held = [ask(d).json["lease"], ask(d, wait_ms=0).json["lease"]]
    got = []
    thread = threading.Thread(target=lambda: got.append(ask(d, wait_ms=10_000_000)), daemon=True)
    thread.start()
    until_waiting(d, "first")
    d.release(held[0], status=429)
    until_waiting(d, "second")
    d.release(held[1])
    thread.join(PATIENCE_S)
    assert got[0].json["resource"] == "second" and got[0].json["passed"] == [{"resource": "first", "reason": "breaker_open"}]


# --- Models, caps and prices of steps. ---

STEPS = """
resources:
  openai:
    provider: openai
    model: gpt-4o
    limits: [{unit: usd, amount: 10, per: day, name: purse}]
    feedback: {pause: 1h}
  claude: {provider: anthropic, model: claude-sonnet-4-5, price: {input: 3, output: 15}}
routes:
  chat: {try: [{resource: openai, model: gpt-4o-mini, max_tokens: 1k}, {resource: claude, max_tokens: 100}]}
"""


def test_a_step_says_the_model_and_the_longest_answer_and_is_held_and_booked_at_that_models_price(daemon):
    d = daemon(STEPS)
    lease = ask(d, load={"input_tokens": 10_000, "output_tokens": 5000}).json
    assert (lease["resource"], lease["model"], lease["max_output_tokens"]) == ("openai", "gpt-4o-mini", 1000)
    assert lease["held"]["usd"] == 0.0021 and lease["held"]["output_tokens"] == 1000
    settled = d.release(lease["lease"], status=200, usage={"input_tokens": 10_000, "output_tokens": 500}).json
    assert settled["cost_usd"] == 0.0018
    assert d.lease("openai", load={"input_tokens": 10_000, "output_tokens": 1000})
    (purse,) = d.resource("openai")["limits"]
    assert (purse["used"], purse["held"]) == (0.0018, 0.035)
    lease = ask(d, load={"input_tokens": 1000, "output_tokens": 5000}).json
    advice = d.release(lease["lease"], **{"status": 429, **MONEY}).json["advice"]
    lease = d.post("/v1/acquire", {"ticket": advice["ticket"]}).json
    assert (lease["model"], lease["max_output_tokens"], lease["held"]["usd"]) == ("claude-sonnet-4-5", 100, 0.0075)


# --- The end of a route. ---

NESTED = """
resources:
  a: {provider: openai, retry: {attempts: 1}, feedback: {pause: 1h}}
  b: {provider: openai, concurrency: 1}
routes:
  chat: {try: [a, b], finally: %s}
"""


@pytest.mark.parametrize("end, told", [("cached", {"finally": "cached"}), ("{static: Later.}", {"finally": "static", "static_answer": "Later."}), ("refuse", {"finally": "refuse"})])
def test_a_chain_of_failures_ends_in_what_its_route_ends_in(daemon, end, told):
    d = daemon(NESTED % end)
    lease = ask(d).json
    advice = d.release(lease["lease"], status=529).json["advice"]
    assert (advice["action"], advice["reason"], advice["resource"]) == ("fallback", "attempts", "b")
    lease = d.post("/v1/acquire", {"ticket": advice["ticket"]}).json
    advice = d.release(lease["lease"], status=429, **MONEY).json["advice"]
    why = [{"resource": "a", "reason": "attempts"}, {"resource": "b", "reason": "out_of_money"}]
    assert advice == {"action": "give_up", "after_ms": 0, "reason": "out_of_money", "route": "chat", "passed": why, **told}
    lease = ask(d).json
    assert (lease["resource"], lease["passed"]) == ("a", [])
    advice = d.release(lease["lease"], status=400, error="no such thing").json["advice"]
    assert advice == {"action": "give_up", "after_ms": 0, "reason": "bad_request"}


@pytest.mark.parametrize("end, told", [("cached", {"finally": "cached"}), ("{static: Later.}", {"finally": "static", "static_answer": "Later."})])
def test_a_request_for_which_nothing_is_left_is_told_what_to_take_instead(daemon, end, told):
    d = daemon(NESTED % end)
    d.release(ask(d).json["lease"], status=429, **MONEY)
    d.lease("b")
    refused = ask(d, wait_ms=0)
    assert (refused.status, refused.code) == (503, "route_exhausted")
    error = refused.json["error"]
    assert {key: error[key] for key in told} == told and error["route"] == "chat"
    assert passed(refused) == {"a": "out_of_money", "b": "deadline"}


def test_whose_time_in_line_is_up_takes_what_the_route_ends_in(daemon):
    d = daemon("resources: {a: {concurrency: 1}}\nroutes: {kept: {try: [a], finally: cached}, bare: {try: [a]}}\n")
    d.release(d.lease("a"))
    d.lease("a", lease_ms=86_400_000)
    refused = ask(d, "kept", wait_ms=200)
    assert refused.code == "route_exhausted" and refused.json["error"]["finally"] == "cached"
    assert passed(refused) == {"a": "deadline"}
    refused = ask(d, "bare", wait_ms=200)
    assert (refused.status, refused.code) == (408, "wait_timeout") and passed(refused) == {"a": "deadline"}


# --- Accounts. ---

POOL = """
resources:
  claude:
    provider: anthropic
    sticky: session
    limits: [{unit: tokens, amount: 10k, per: 1h, name: tph}]
    accounts: {main: {limits: [{unit: requests, amount: 100, per: 1h, name: rph}]}, spare: {limits: [{unit: requests, amount: 50, per: 1h, name: rph}]}}
  other: {provider: openai}
routes:
  chat: {try: [claude, other]}
"""


@pytest.mark.parametrize("name", [{"resource": "claude"}, {"route": "chat"}])
def test_the_least_loaded_account_serves_and_a_session_stays_where_it_was(daemon, name):
    d = daemon(POOL)

    def account(**fields):
        answer = d.post("/v1/acquire", {**name, "load": 10, **fields}).json
        assert answer["resource"] == "claude@" + answer["account"]
        return answer["account"]

    assert account(session="s") == "main"
    assert account(session="t") == "spare"
    assert [account(session="t") for _ in range(3)] == ["spare"] * 3
    assert account(session="s") == "main"
    assert [account() for _ in range(2)] == ["main", "main"]


def test_a_shared_limit_of_the_pool_counts_over_all_accounts_within_a_route_too(daemon):
    d = daemon(POOL)
    assert served(d, load=6000)[0] == "claude@main"
    resource, why = served(d, load=6000, wait_ms=0)
    assert resource == "other" and why == {"claude@main": "deadline", "claude@spare": "deadline"}


def test_a_key_that_is_refused_falls_back_to_another_account_and_is_passed_over_for_a_while(daemon):
    d = daemon(POOL)
    lease = d.acquire("claude").json
    assert lease["account"] == "main"
    advice = d.release(lease["lease"], status=401, error={"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}).json["advice"]
    assert (advice["action"], advice["reason"], advice["resource"]) == ("fallback", "auth", "claude@spare")
    lease = d.post("/v1/acquire", {"ticket": advice["ticket"]}).json
    assert lease["account"] == "spare" and lease["passed"] == [{"resource": "claude@main", "reason": "auth"}]
    assert served(d) == ("claude@spare", {"claude@main": "cooling_down"})
    advice = d.release(lease["lease"], status=401).json["advice"]
    assert (advice["action"], advice["reason"], advice["finally"]) == ("give_up", "auth", "refuse")


SECRET = "sk-proj-0123456789abcdefSECRET"


def test_a_providers_key_is_told_to_nobody(daemon):
    """Sluice holds no keys of providers; one that a caller lets slip with an answer goes no further."""
    d = daemon(POOL)
    listener = Listener(d)
    lease = d.acquire("claude").json
    told = d.release(
        lease["lease"],
        status=401,
        headers={"authorization": f"Bearer {SECRET}", "x-api-key": SECRET, "set-cookie": SECRET},
        error={"error": {"type": "authentication_error", "message": f"Incorrect API key provided: {SECRET}"}},
    )
    seen = [told.text, *(d.get(path).text for path in ("/v1/resources", "/v1/leases", "/v1/usage?by=account", "/metrics"))]
    again = d.post("/v1/acquire", {"ticket": told.json["advice"]["ticket"]})
    d.release(again.json["lease"], status=200)
    kinds = []
    while kinds.count("settled") < 2:
        kind, event = listener.next()
        kinds.append(kind)
        seen.append(str(event))
    listener.close()
    d.stop()
    seen += [again.text, *d.log]
    assert not [text for text in seen if "SECRET" in text or "0123456789abcdef" in text]
    store = b"".join(path.read_bytes() for path in d.directory.glob("sluice.db*"))
    assert SECRET.encode() not in store


# --- What is counted. ---


def test_metrics_count_fallbacks_by_route_and_reason(daemon):
    d = daemon(two("breaker: {refusals: 1, pause: 1h}", "finally: cached"))
    d.release(ask(d).json["lease"], status=429)
    assert served(d) == ("second", {"first": "breaker_open"})
    d.release(d.lease("second"), status=429, headers={"retry-after": "100"})
    assert ask(d, wait_ms=0).code == "route_exhausted"
    text = d.get("/metrics").text
    granted = 'sluice_route_granted_total{route="chat",resource="%s",step="%d"}'
    assert metric(text, granted % ("first", 1)) == 1 and metric(text, granted % ("second", 2)) == 1
    assert metric(text, 'sluice_route_passed_total{route="chat",reason="breaker_open"}') == 2
    assert metric(text, 'sluice_route_passed_total{route="chat",reason="paused"}') == 1
    assert metric(text, 'sluice_route_passed_total{route="chat",reason="auth"}') == 0
    assert metric(text, 'sluice_route_exhausted_total{route="chat"}') == 1
    assert metric(text, 'sluice_route_fallbacks_total{route="chat"}') == 1
    (chat,) = d.get("/v1/resources").json["routes"]
    assert chat["passed"] == {"breaker_open": 2, "paused": 1} and (chat["exhausted"], chat["fallbacks"]) == (1, 1)


def test_a_limit_by_model_counts_what_a_step_calls(daemon):
    d = daemon(
        """
resources:
  first: {model: big, limits: [&NO]}
  second: {model: small, limits: [{shared: models}]}
routes:
  chat: {try: [{resource: first, model: small}]}
""".replace("&NO", "{shared: models, unit: requests, amount: 2, per: 1h, scope: model}")
    )
    assert served(d) == ("first", {})
    d.lease("second")
    assert passed(ask(d, wait_ms=0)) == {"first": "deadline"}
    d.lease("first")
    used = [d.get(f"/v1/resources/first?scope_key={model}").json["limits"][0]["used"] for model in ("small", "big")]
    assert used == [2, 1]
