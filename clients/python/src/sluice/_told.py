"""What both clients are told, and the few words they say to the coordinator themselves."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional
from urllib.parse import quote

import httpx

from ._course import Course, LastResort
from ._engine import Engine, OnUnreachable
from ._errors import Unreachable
from ._wire import TROUBLE, Answer, refusal
from ._words import LEASE_DEFAULT_S, TIMEOUT_DEFAULT_S, Defaults, Words


class Told:
    """What both clients are told."""

    def __init__(
        self,
        url: Optional[str] = None,
        *,
        api_key: Optional[str] = None,
        timeout: Optional[float] = TIMEOUT_DEFAULT_S,
        lease_seconds: float = LEASE_DEFAULT_S,
        on_unreachable: OnUnreachable = "wait",
        transport: Optional[httpx.AsyncBaseTransport] = None,
        find_parent: bool = True,
    ) -> None:
        self._defaults = Defaults(url, api_key, timeout, lease_seconds, on_unreachable, transport, find_parent)
        self._closed = False
        self._start_afresh()

    def _start_afresh(self) -> None:
        """Begins with no engine: at first, and in a forked process."""
        raise NotImplementedError

    def _course(self, words: Words, choices: Mapping[str, Any]) -> Course:
        last = LastResort(choices.get("cached"), choices.get("static"))
        return Course(words, self._defaults.timeout_of(words), last, choices.get("usage"))


def path_of(name: Optional[str]) -> str:
    return "/v1/resources" if name is None else f"/v1/resources/{quote(name, safe='')}"


async def get_from(engine: Engine, path: str) -> Answer:
    try:
        return await engine.get(path)
    except TROUBLE as e:
        raise Unreachable.because(e) from e


def shown(answer: Answer) -> Dict[str, Any]:
    if answer.status != 200 or not isinstance(answer.body, dict):
        raise refusal(answer)
    return answer.body
