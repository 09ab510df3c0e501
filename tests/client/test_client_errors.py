"""Refusals become exceptions of their own kind, with the facts."""

import pickle

import pytest
import sluice
from pretend import refusal


def refuse_with(pretend, status, code, **facts):
    async def answer(items, reply):
        reply.start()
        for index, item in enumerate(items):
            reply.line(refusal(index, item, status, code, **facts))
        reply.end()

    pretend.on_acquire = answer


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "invalid_request", sluice.InvalidRequest),
        (400, "usd_missing", sluice.UsdMissing),
        (402, "budget_exceeded", sluice.BudgetExceeded),
        (403, "forbidden", sluice.Forbidden),
        (404, "unknown_resource", sluice.UnknownResource),
        (404, "unknown_lease", sluice.UnknownLease),
        (408, "wait_timeout", sluice.WaitTimeout),
        (409, "would_deadlock", sluice.WouldDeadlock),
        (409, "id_in_use", sluice.IdInUse),
        (409, "cancelled", sluice.Cancelled),
        (422, "never_fits", sluice.NeverFits),
        (429, "would_wait", sluice.WouldWait),
        (503, "line_full", sluice.LineFull),
        (503, "breaker_open", sluice.BreakerOpen),
        (503, "over_cap", sluice.OverCap),
        (503, "store_failed", sluice.StoreFailed),
        (418, "something_new", sluice.SluiceError),
    ],
)
def test_each_code_has_its_exception(pretend, status, code, kind):
    refuse_with(pretend, status, code, limit="tpm", retry_after_ms=2500, held_by=["tpm", "rpm"])
    with sluice.Client(pretend.url) as client:
        with pytest.raises(sluice.SluiceError) as caught:
            client.acquire("a")
    error = caught.value
    assert type(error) is kind
    assert (error.code, error.status, error.limit) == (code, status, "tpm")
    assert (error.retry_after, error.held_by) == (2.5, ("tpm", "rpm"))
    assert str(error) == f"refused: {code}"


def test_a_timeout_is_a_timeout_and_an_absence_a_connection_error():
    assert issubclass(sluice.WaitTimeout, TimeoutError)
    assert issubclass(sluice.Unreachable, ConnectionError)


def test_exceptions_survive_the_way_between_processes():
    error = sluice.WaitTimeout("late", code="wait_timeout", status=408, facts={"limit": "tpm", "held_by": ["tpm"]})
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is sluice.WaitTimeout
    assert (str(back), back.status, back.limit, back.held_by) == ("late", 408, "tpm", ("tpm",))


def test_a_missing_key_is_told_to_all_who_asked(pretend):
    pretend.status = {"status": 401, "error": {"code": "unauthorized", "message": "a valid API key is required"}}
    with sluice.Client(pretend.url) as client:
        with pytest.raises(sluice.Unauthorized):
            client.acquire("a")


@pytest.mark.parametrize("url", ["http://", "localhost:7411", "ftp://x", "7411", "unix:", "http://[::"])
def test_an_address_that_is_none_is_refused_where_it_is_written(url):
    with pytest.raises(ValueError):
        sluice.Client(url)
    with pytest.raises(ValueError):
        sluice.AsyncClient(url)
