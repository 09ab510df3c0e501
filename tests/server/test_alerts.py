"""Alerts: told as events, counted in the metrics, logged, and only when there is something to tell."""

import pytest
from test_looking import Listener, metric

ONE = "resources: {chat: {provider: openai, limits: [{unit: slots, amount: 1}, {unit: requests, amount: 100, per: 1m, name: rpm}]%s}}\n"
PAUSE = {"status": 429, "headers": {"retry-after": "60"}, "error": {"error": {"code": "rate_limit_exceeded"}}}


def counted(d, alert):
    return metric(d.get("/metrics").text, f'sluice_alerts_total{{alert="{alert}",resource="chat"}}')


def alerts_after(d, deed):
    """What is told while something is done, up to the alert that ends it."""
    listener = Listener(d, "?kind=alert")
    deed()
    kind, event = listener.next()
    listener.close()
    assert kind == "alert"
    return event


def test_an_open_breaker_is_an_alert(daemon):
    d = daemon(ONE % ", breaker: {refusals: 1}")
    assert counted(d, "breaker_open") == 0
    event = alerts_after(d, lambda: d.release(d.lease(), **PAUSE))
    assert event["alert"] == "breaker_open" and event["resource"] == "chat"
    assert event["state"]["name"] == "breaker_open" and event["state"]["reason"] == "rate_limit_exceeded"
    assert event["message"].startswith("resource chat: closed for 60.0 s (breaker_open) after the provider answered wait")
    assert counted(d, "breaker_open") == 1
    d.wait_log(r"resource chat: breaker_open for \d+ ms \(wait, rate_limit_exceeded\); it was ok")


def test_a_long_pause_is_an_alert_and_a_short_one_is_not(daemon):
    d = daemon(ONE % "")
    d.release(d.lease(), status=429, headers={"retry-after": "9"})
    assert counted(d, "long_backoff") == 0
    d.post("/v1/resources/chat/reopen", None)
    event = alerts_after(d, lambda: d.release(d.lease(), **PAUSE))
    assert event["alert"] == "long_backoff" and event["state"]["name"] == "paused"
    assert counted(d, "long_backoff") == 1


def test_a_line_that_outlasts_the_patience_of_who_is_last_is_an_alert(daemon):
    d = daemon(ONE % "")
    d.lease()

    def crowd():
        for _ in range(10):
            d.later(wait_ms=50000)

    event = alerts_after(d, crowd)
    assert event["alert"] == "long_line" and event["wait_ms"] == 50000 and event["eta_ms"] > 50000
    assert d.waiting(10)["line"]["last_eta_ms"] > 50000
    d.wait_log(r"alert long_line: resource chat: the last in line is expected to wait")


def test_a_providers_other_number_is_an_alert(daemon):
    d = daemon(ONE % "")
    headers = {"x-ratelimit-limit-requests": "40", "x-ratelimit-remaining-requests": "39", "x-ratelimit-reset-requests": "1.5s"}
    event = alerts_after(d, lambda: d.release(d.lease(), status=200, headers=headers))
    assert event["alert"] == "numbers_differ" and event["limit"] == "rpm"
    assert event["told"] == 40 and event["amount"] == 100
    (rpm,) = [limit for limit in d.resource()["limits"] if limit["limit"] == "rpm"]
    assert rpm["told"] == 40
    assert d.get("/v1/resources").text.count('"told"') == 1
    assert "the provider allows 40 requests, and 100 requests are configured of limit rpm" in event["message"]


def test_tokens_without_a_price_are_an_alert_where_money_is_counted(daemon):
    d = daemon(
        "resources:\n"
        "  chat: {model: no-such-model, limits: [{unit: slots, amount: 9}]}\n"
        "  paid: {price: {input: 1, output: 2}, limits: [{unit: slots, amount: 9}]}\n"
    )
    event = alerts_after(d, lambda: d.release(d.lease(load=70), usage={"tokens": 50}))
    assert event["alert"] == "unpriced" and event["tokens"] == 50


def test_a_warning_of_a_budget_says_how_much_of_which(daemon):
    d = daemon(
        "resources: {chat: {price: given, limits: ["
        "{unit: usd, amount: 2, per: day, scope: tenant, warn_at: 80%, exceed: refuse, name: each}]}}\n"
    )

    def spend(tenant):
        d.release(d.lease(tenant=tenant, load={"usd": 1.75}), usage={"usd": 1.75})

    event = alerts_after(d, lambda: spend("a"))
    assert event["alert"] == "budget_warn" and event["scope_key"] == "a"
    assert event["used"] == 1.75 and event["amount"] == 2 and event["unit"] == "usd"
    assert event["message"] == "resource chat: 1.75 USD of 2 USD of limit each (a) are used"
    spend("b")
    d.wait_log(r"alert budget_warn: resource chat: 1.75 USD of 2 USD of limit each \(b\) are used")
    assert counted(d, "budget_warn") == 2


@pytest.mark.parametrize("config", [ONE % "", "resources: {chat: {limits: [{unit: slots, amount: 1}]}}\n"])
def test_a_quiet_resource_gives_no_alert(daemon, config):
    d = daemon(config)
    d.release(d.lease(), usage={"tokens": 5})
    text = d.get("/metrics").text
    assert 'sluice_alerts_total{alert="unpriced",resource="chat"} 0' in text
    assert not [line for line in text.splitlines() if line.startswith("sluice_alerts_total{") and not line.endswith(" 0")]


def test_counts_of_alerts_outlive_a_reload(daemon):
    d = daemon(ONE % ", breaker: {refusals: 1}")
    d.release(d.lease(), **PAUSE)
    d.write_config((ONE % ", breaker: {refusals: 1}") + "# another\n")
    d.signal(1)
    d.wait_log(r"reloaded ")
    assert counted(d, "breaker_open") == 1
