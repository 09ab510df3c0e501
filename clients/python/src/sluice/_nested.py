"""The lease that the running code works under, found by a context variable.

An agent that calls others asks for them while its own lease is held. The coordinator must know, for a request that could
only be served after its own parent ends would wait for itself. A function that `call` or `limited` runs hands its
lease down to whatever it starts: tasks, and threads that were given its context. A block hands it down only to the
task, or thread, that stands in it: whether a block waits for what it started cannot be known, and a task that it does
not wait for may well stand in line until the block's lease has ended.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple, Optional, Tuple, Union

if TYPE_CHECKING:
    from ._lease import AsyncLease, Lease, _LeaseBase


class _Work(NamedTuple):
    """A lease, and who works under it; None: whoever runs in this context."""

    lease: _LeaseBase
    runner: Any


_current: ContextVar[Optional[_Work]] = ContextVar("sluice_lease", default=None)
Entered = Token[Optional[_Work]]


def _runner() -> Any:
    try:
        return asyncio.current_task() or threading.get_ident()
    except RuntimeError:  # no loop runs in this thread
        return threading.get_ident()


def _found() -> Optional[_LeaseBase]:
    work = _current.get()
    if work is None or work.lease.ended or (work.runner is not None and work.runner != _runner()):
        return None
    return work.lease


def current_lease() -> Union[Lease, AsyncLease]:
    """The lease that the running code works under: inside of a function that `call` or `limited` runs, or of a lease's
    block. Raises LookupError where there is none."""
    lease = _found()
    if lease is None:
        raise LookupError("this does not run under a lease")
    return lease  # type: ignore[return-value]


def parent_at(home: Tuple[str, Optional[str]]) -> Optional[str]:
    """The name of the lease that an acquire from the coordinator at `home` is nested in."""
    lease = _found()
    if lease is None or lease.local or lease._engine.home != home:
        return None
    return lease.id


def seen_by_current(response: Any) -> None:
    """Hands a provider's answer to the lease it was asked for under, if any."""
    lease = _found()
    if lease is not None:
        lease._see(response)


def enter_block(lease: _LeaseBase) -> Entered:
    return _current.set(_Work(lease, _runner()))


def leave_block(entered: Optional[Entered]) -> None:
    if entered is not None:
        try:
            _current.reset(entered)
        except ValueError:  # the block ends in another context than it began in, where nothing was set
            pass


@contextmanager
def working_under(lease: _LeaseBase) -> Iterator[None]:
    """While a function runs that was given to `call`, and for whatever it starts."""
    entered = _current.set(_Work(lease, None))
    try:
        yield
    finally:
        leave_block(entered)
