"""Client of the Sluice coordinator: ask before you call a language model, settle with what the call used."""

from ._async_client import Acquiring, AsyncClient
from ._client import Client
from ._errors import (
    BreakerOpen,
    BudgetExceeded,
    Cancelled,
    ClientClosed,
    Forbidden,
    GaveUp,
    IdInUse,
    InvalidRequest,
    LineFull,
    NeverFits,
    OverCap,
    RouteExhausted,
    SdkRetriesWarning,
    ShuttingDown,
    SluiceError,
    StoreFailed,
    Unauthorized,
    UnknownLease,
    UnknownResource,
    UnknownTicket,
    Unreachable,
    UnsettledLeaseWarning,
    UsdMissing,
    WaitTimeout,
    WouldDeadlock,
    WouldWait,
)
from ._lease import Advice, AsyncLease, AsyncReceipt, Lease, Receipt, Settlement
from ._local import LocalShare
from ._nested import current_lease
from ._watch import watch

__version__ = "0.1.0"

__all__ = [
    "Acquiring",
    "Advice",
    "AsyncClient",
    "AsyncLease",
    "AsyncReceipt",
    "BreakerOpen",
    "BudgetExceeded",
    "Cancelled",
    "Client",
    "ClientClosed",
    "Forbidden",
    "GaveUp",
    "IdInUse",
    "InvalidRequest",
    "Lease",
    "LineFull",
    "LocalShare",
    "NeverFits",
    "OverCap",
    "Receipt",
    "RouteExhausted",
    "SdkRetriesWarning",
    "Settlement",
    "ShuttingDown",
    "SluiceError",
    "StoreFailed",
    "Unauthorized",
    "UnknownLease",
    "UnknownResource",
    "UnknownTicket",
    "Unreachable",
    "UnsettledLeaseWarning",
    "UsdMissing",
    "WaitTimeout",
    "WouldDeadlock",
    "WouldWait",
    "current_lease",
    "watch",
]
