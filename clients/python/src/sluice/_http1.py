"""Reads HTTP/1.1 responses from bytes. Pure: no sockets, no clock.

One parser reads one connection's responses, one after another. A body is delimited by
Content-Length, by chunks, or by the end of the connection; what stands between is handed on as it
comes. Whatever is neither is refused: a client that guesses where an answer ends would read one
caller's lease as another's.
"""

from __future__ import annotations

from typing import List, Optional, Tuple

HEAD_BYTES_MAX = 64 * 1024
CHUNK_LINE_BYTES_MAX = 1024

_HEAD, _LENGTH, _CHUNK_LINE, _CHUNK, _CHUNK_END, _TRAILER, _UNTIL_CLOSE, _DONE = range(8)


class BadResponse(Exception):
    """The peer does not speak HTTP/1.1."""


class ResponseParser:
    """Feed it bytes; read `status`, `headers`, `body` and `done`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.start()

    def start(self) -> None:
        """Gets ready for the next response of the connection."""
        self._state = _HEAD
        self._left = 0
        self.status = 0
        self.headers: List[Tuple[bytes, bytes]] = []
        self.body: List[bytes] = []
        self.keep_alive = True

    @property
    def has_head(self) -> bool:
        return self.status != 0

    @property
    def done(self) -> bool:
        return self._state == _DONE

    @property
    def clean(self) -> bool:
        """Nothing is left over that belongs to no response."""
        return not self._buffer

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while self._step():
            pass

    def end(self) -> None:
        """The connection has ended: that ends the body that waits for it, and is an error in any other."""
        if self._state == _UNTIL_CLOSE:
            self._state = _DONE
        elif self._state != _DONE:
            raise BadResponse("the connection ended in the middle of an answer")

    def _step(self) -> bool:
        """Goes one state on; False when more bytes are needed."""
        if self._state == _HEAD:
            return self._read_head()
        if self._state in (_LENGTH, _CHUNK):
            return self._read_counted()
        if self._state == _CHUNK_LINE:
            return self._read_chunk_line()
        if self._state in (_CHUNK_END, _TRAILER):
            return self._read_line_end()
        if self._state == _UNTIL_CLOSE and self._buffer:
            self.body.append(bytes(self._buffer))
            self._buffer.clear()
        return False

    def _line(self, cap: int) -> Optional[bytes]:
        at = self._buffer.find(b"\r\n")
        if at < 0:
            if len(self._buffer) > cap:
                raise BadResponse("a line is too long")
            return None
        line = bytes(self._buffer[:at])
        del self._buffer[: at + 2]
        return line

    def _read_head(self) -> bool:
        at = self._buffer.find(b"\r\n\r\n")
        if at > HEAD_BYTES_MAX or (at < 0 and len(self._buffer) > HEAD_BYTES_MAX):
            raise BadResponse("the headers are too large")
        if at < 0:
            return False
        first, *rest = bytes(self._buffer[:at]).split(b"\r\n")
        del self._buffer[: at + 4]
        version, _, tail = first.partition(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not tail[:3].isdigit():
            raise BadResponse("not an HTTP/1.1 answer")
        status = int(tail[:3])
        if 100 <= status < 200:
            return True
        self.keep_alive = version == b"HTTP/1.1"
        for line in rest:
            name, colon, value = line.partition(b":")
            if not colon or not name or name != name.strip():
                raise BadResponse("a malformed header")
            self.headers.append((name.lower(), value.strip()))
        self.status = status
        self._choose_body()
        return True

    def _choose_body(self) -> None:
        length: Optional[bytes] = None
        chunked = False
        for name, value in self.headers:
            if name == b"content-length":
                if not value.isdigit() or length not in (None, value):
                    raise BadResponse("a bad Content-Length")
                length = value
            elif name == b"transfer-encoding":
                if value.lower() != b"chunked" or chunked:
                    raise BadResponse("an unknown Transfer-Encoding")
                chunked = True
            elif name == b"connection" and value.lower() == b"close":
                self.keep_alive = False
        if chunked and length is not None:
            raise BadResponse("both a Content-Length and a Transfer-Encoding")
        if self.status in (204, 304):
            self._state = _DONE
        elif chunked:
            self._state = _CHUNK_LINE
        elif length is not None:
            self._left = int(length)
            self._state = _LENGTH if self._left else _DONE
        else:
            self._state = _UNTIL_CLOSE
            self.keep_alive = False

    def _read_counted(self) -> bool:
        if not self._buffer:
            return False
        part = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(part)
        self.body.append(part)
        if self._left == 0:
            self._state = _DONE if self._state == _LENGTH else _CHUNK_END
        return True

    def _read_chunk_line(self) -> bool:
        line = self._line(CHUNK_LINE_BYTES_MAX)
        if line is None:
            return False
        digits = line.partition(b";")[0].strip()
        try:
            if not digits or len(digits) > 8 or digits[:1] in (b"+", b"-"):
                raise ValueError
            self._left = int(digits, 16)
        except ValueError:
            raise BadResponse("a bad chunk size") from None
        self._state = _CHUNK if self._left else _TRAILER
        return True

    def _read_line_end(self) -> bool:
        line = self._line(HEAD_BYTES_MAX)
        if line is None:
            return False
        if self._state == _CHUNK_END:
            if line:
                raise BadResponse("a chunk is longer than it said")
            self._state = _CHUNK_LINE
        elif not line:
            self._state = _DONE
        return True
