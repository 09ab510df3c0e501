"""The refusals of the coordinator as exceptions, one class per code of its error table.

Every exception carries the facts the coordinator gave: the limit that refused, what held the
request, when to come back. Depends on nothing.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple, Type


class SluiceError(Exception):
    """Whatever keeps an acquire from becoming a lease.

    `code` is the coordinator's own word, `status` the HTTP status that carries it, `limit` the limit
    that refused, `retry_after` seconds after which asking again may help, `held_by` the limits
    that kept the request waiting, and `facts` all that the coordinator said.
    """

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: Optional[str] = None,
        status: Optional[int] = None,
        facts: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.status = status
        self.facts: Dict[str, Any] = dict(facts or {})
        self.limit: Optional[str] = self.facts.get("limit")
        self.retry_after: Optional[float] = _seconds(self.facts.get("retry_after_ms"))
        self.held_by: Tuple[str, ...] = tuple(self.facts.get("held_by") or ())
        self.resource: Optional[str] = self.facts.get("resource")

    def __str__(self) -> str:
        return self.message


class InvalidRequest(SluiceError, ValueError):
    """The coordinator could not make sense of the request."""

    code = "invalid_request"


class UsdMissing(SluiceError, ValueError):
    """The resource's configuration says `price: given`, and the request does not say what it can cost: `load={"usd": …}`."""

    code = "usd_missing"


class Unauthorized(SluiceError):
    """A valid API key is required."""

    code = "unauthorized"


class Forbidden(SluiceError):
    """The API key lacks the right to do that."""

    code = "forbidden"


class UnknownResource(SluiceError):
    """No resource of that name is configured."""

    code = "unknown_resource"


class UnknownLease(SluiceError):
    """No lease of that name is held or was recently."""

    code = "unknown_lease"


class UnknownTicket(SluiceError):
    """The place in line is gone."""

    code = "unknown_ticket"


class WaitTimeout(SluiceError, TimeoutError):
    """The time given for waiting in line was up; `held_by` says what held the request, and `passed` why no other resource of
    its route served it."""

    code = "wait_timeout"

    @property
    def passed(self) -> Tuple[Tuple[str, str], ...]:
        return _passed(self.facts)


class WouldDeadlock(SluiceError):
    """The request could only be served after its own parent lease has ended."""

    code = "would_deadlock"


class IdInUse(SluiceError):
    """The id already names a request with another load or resource."""

    code = "id_in_use"


class NeverFits(SluiceError):
    """The request is larger than `limit` allows at any time."""

    code = "never_fits"


class WouldWait(SluiceError):
    """The request would have to wait, and asked not to."""

    code = "would_wait"


class BudgetExceeded(SluiceError):
    """A budget does not cover the request."""

    code = "budget_exceeded"


class Cancelled(SluiceError):
    """The request was withdrawn, by someone else than the caller."""

    code = "cancelled"


class LineFull(SluiceError):
    """Too many requests are waiting."""

    code = "line_full"


class BreakerOpen(SluiceError):
    """The provider is failing; the coordinator lets nothing through for a while. `state` is what the resource is in."""

    code = "breaker_open"

    @property
    def state(self) -> Optional[str]:
        return self.facts.get("state")


class RouteExhausted(SluiceError):
    """No resource of the route can serve the call in time.

    `passed` says why not, a resource and a reason each; `finally_` what the route ends in: "refuse", "cached" (an answer
    that the program has kept) or "static", whose `text` is the answer.
    """

    code = "route_exhausted"

    @property
    def passed(self) -> Tuple[Tuple[str, str], ...]:
        return _passed(self.facts)

    @property
    def finally_(self) -> str:
        return str(self.facts.get("finally", "refuse"))

    @property
    def text(self) -> Optional[str]:
        return self.facts.get("static_answer")


class GaveUp(SluiceError):
    """A call failed, and trying again will not help; its `__cause__` is the exception of the last attempt.

    `reason` is the coordinator's: what the failure was ("bad_request", "auth", "out_of_money", …), or what there is no more of
    ("attempts", "deadline", "retry_budget"). `attempts` counts the calls, `tried` names the resource and the model of each
    with its reason, `resource` is the last. Where that was the end of a route, `passed` says why none of its resources will do,
    and `finally_` and `text` what the route ends in, as in `RouteExhausted`; else `finally_` is None.
    """

    code = "gave_up"

    @property
    def reason(self) -> str:
        return str(self.facts.get("reason", ""))

    @property
    def attempts(self) -> int:
        return len(self.tried)

    @property
    def tried(self) -> Tuple[Tuple[str, str, str], ...]:
        return tuple(self.facts.get("tried") or ())

    @property
    def passed(self) -> Tuple[Tuple[str, str], ...]:
        return _passed(self.facts)

    @property
    def finally_(self) -> Optional[str]:
        return self.facts.get("finally")

    @property
    def text(self) -> Optional[str]:
        return self.facts.get("static_answer")


class ShuttingDown(SluiceError):
    """The coordinator is shutting down."""

    code = "shutting_down"


class StoreFailed(SluiceError):
    """The coordinator cannot write its store, and so grants nothing."""

    code = "store_failed"


class OverCap(SluiceError):
    """A cap of the coordinator was reached."""

    code = "over_cap"


class Unreachable(SluiceError, ConnectionError):
    """The coordinator does not answer."""

    code = "unreachable"

    @classmethod
    def because(cls, cause: object) -> "Unreachable":
        """Names the knob and not its value, for an address may carry secrets."""
        words = f"the coordinator does not answer: {cause} (its address is `url`, or SLUICE_URL)"
        return cls(words, code=cls.code)


class ClientClosed(SluiceError, RuntimeError):
    """The client was closed."""

    code = "client_closed"


class SdkRetriesWarning(UserWarning):
    """A provider's package tries failed calls again by itself, behind the coordinator's back."""


class UnsettledLeaseWarning(UserWarning):
    """A lease ended without a word about what was used, and was charged in full."""


_BY_CODE: Dict[str, Type[SluiceError]] = {
    kind.code: kind
    for kind in (
        InvalidRequest,
        UsdMissing,
        Unauthorized,
        Forbidden,
        UnknownResource,
        UnknownLease,
        UnknownTicket,
        WaitTimeout,
        WouldDeadlock,
        IdInUse,
        NeverFits,
        WouldWait,
        BudgetExceeded,
        Cancelled,
        LineFull,
        BreakerOpen,
        RouteExhausted,
        ShuttingDown,
        StoreFailed,
        OverCap,
    )
}


def _passed(facts: Mapping[str, Any]) -> Tuple[Tuple[str, str], ...]:
    return tuple((str(p.get("resource")), str(p.get("reason"))) for p in facts.get("passed") or ())


def _seconds(ms: Any) -> Optional[float]:
    return ms / 1000 if isinstance(ms, (int, float)) else None


def error_from(answer: Any, status: Optional[int] = None) -> SluiceError:
    """The exception for an answer of the shape {"error": {...}}; of any other shape, too."""
    facts = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(facts, dict):
        return SluiceError(f"the coordinator gave an unexpected answer: {answer!r:.200}", status=status)
    code = str(facts.get("code", "error"))
    message = str(facts.get("message") or code)
    return _BY_CODE.get(code, SluiceError)(message, code=code, status=status, facts=facts)
