"""One acquire on its way: what is asked, until when, and who waits for the answer."""

from __future__ import annotations

import enum
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Protocol, Set, Tuple, Union

from ._wire import encode

WAIT_S_MAX = 86400.0
HOLD_S = 25.0

Load = Union[int, Mapping[str, Union[int, float]]]
Place = Tuple[str, int]  # file and line of the acquire, for warnings

UNITS = ("requests", "tokens", "input_tokens", "output_tokens", "usd")


class State(enum.Enum):
    """The life of an ask: WAITING, then one of the others for good."""

    WAITING = 1
    GRANTED = 2
    FAILED = 3
    ABANDONED = 4


class Grant(NamedTuple):
    """What the coordinator, or the local share, granted."""

    lease: str
    resource: str
    model: str
    held: Dict[str, Any]
    waited_s: float
    attempt: int
    local: bool
    place: Place
    facts: Mapping[str, Any] = {}  # all that the coordinator said


class Answerable(Protocol):
    """A future, of asyncio or of concurrent.futures."""

    def done(self) -> bool: ...

    def set_result(self, result: Any) -> None: ...

    def set_exception(self, exception: Any) -> None: ...


class Ask:
    """A request for a lease. `deadline` is the loop's time, None for as long as it takes."""

    __slots__ = ("_open_text", "deadline", "fields", "future", "given_ticket", "id", "judged", "lease", "number", "older", "parent_found", "patient", "place", "sent", "state", "stream", "ticket", "tries")

    def __init__(
        self, fields: Dict[str, Any], future: Answerable, deadline: Optional[float], place: Place, patient: bool = True
    ) -> None:
        self.fields = fields
        self.given_ticket: Optional[str] = fields.pop("ticket", None)  # by the caller, from a settlement's advice
        self.parent_found = False  # the parent was found, not given
        self.patient = patient  # whether it waits at all
        self._open_text = encode(fields)[:-1]  # all but the closing brace
        self.id: str = fields["id"]
        self.future = future
        self.deadline = deadline
        self.place = place
        self.state = State.WAITING
        self.number = 0  # in the order of asking
        self.stream: Optional[object] = None  # the stream that will bring the answer
        self.ticket = self.given_ticket
        self.lease: Optional[str] = None  # once granted
        self.judged = False  # by the local share, the coordinator being away
        self.sent = False  # the coordinator may know of it
        self.older: Set[object] = set()  # streams it was asked for on before, and which have not answered for it
        self.tries = 0  # times a connection broke under it

    def request(self, now: float) -> str:
        """The object to send, in JSON."""
        left = WAIT_S_MAX if self.deadline is None else min(self.deadline - now, WAIT_S_MAX)
        # None at all means something else: whoever was ready to wait is told that its time was up.
        wait_ms = max(int(left * 1000), 1 if self.patient else 0)
        ticket = "" if self.ticket is None else f',"ticket":"{self.ticket}"'
        return f'{self._open_text},"wait_ms":{wait_ms}{ticket}}}'

    @property
    def name(self) -> str:
        """What was asked for: a resource, or a route."""
        return str(self.fields.get("resource") or self.fields.get("route"))

    def lose_ticket(self) -> None:
        """The place is gone, the request is not: it is asked anew, by its id."""
        self.ticket = self.given_ticket = None

    def lose_parent(self) -> None:
        """The lease that was found around it has ended meanwhile."""
        self.parent_found = False
        del self.fields["parent"]
        self._open_text = encode(self.fields)[:-1]

    def late(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline

    def fail(self, error: BaseException) -> None:
        if self.state is State.WAITING:
            self.state = State.FAILED
            if not self.future.done():
                self.future.set_exception(error)

    def grant(self, grant: Grant) -> bool:
        """Hands the grant over; False where nobody takes it any more."""
        if self.state is not State.WAITING or self.future.done():
            return False
        self.state = State.GRANTED
        self.lease = grant.lease
        self.future.set_result(grant)
        return True


def load_of(
    load: Optional[Load],
    tokens: Optional[int],
    input_tokens: Optional[int],
    max_output_tokens: Optional[int],
) -> Optional[Union[int, Dict[str, Any]]]:
    """The `load` field from the words a caller may use for it; None where nothing was said."""
    given = {"tokens": tokens, "input_tokens": input_tokens, "output_tokens": max_output_tokens}
    named = {unit: amount for unit, amount in given.items() if amount is not None}
    if load is None:
        return named or None
    if isinstance(load, int):
        if named:
            raise TypeError("a load in tokens and amounts by name contradict each other; give one of them")
        return load
    both = {**load, **named}
    if "max_output_tokens" in both:
        both.setdefault("output_tokens", both.pop("max_output_tokens"))
    unknown = set(both) - set(UNITS)
    if unknown:
        raise TypeError(f"not a unit of a load: {', '.join(sorted(unknown))} (known: {', '.join(UNITS)})")
    return both


def fields_of(
    resource: Optional[str],
    route: Optional[str],
    load: Optional[Union[int, Dict[str, Any]]],
    optional: Mapping[str, Any],
    lease_ms: int,
    make_id: Callable[[], str],
) -> Dict[str, Any]:
    """The object of an acquire, without what changes between attempts."""
    if (resource is None) == (route is None):
        raise TypeError("name either a resource or a route")
    name = resource if route is None else route
    if not isinstance(name, str) or not name:
        raise TypeError("a resource, or a route, is a name")
    fields: Dict[str, Any] = {"resource" if route is None else "route": name}
    if load is not None:
        fields["load"] = load
    for name, value in optional.items():
        if value is not None:
            fields[name] = value
    if fields.get("id") is None:
        fields["id"] = make_id()
    fields["lease_ms"] = lease_ms
    fields["hold_ms"] = int(HOLD_S * 1000)
    return fields
