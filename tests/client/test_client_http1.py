"""Answers are read the same however the network cuts them up, and only if they end where they say."""

import pytest
from sluice._http1 import HEAD_BYTES_MAX, BadResponse, ResponseParser

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nab\r\nc\r\n1;ext=1\r\n\n\r\n0\r\nTrailer: x\r\n\r\n"
)
COUNTED = b"HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\nX-Y:  z \r\n\r\nabcdef"


def body(parser):
    return b"".join(parser.body)


@pytest.mark.parametrize("cut", range(len(CHUNKED) + 1))
def test_a_chunked_answer_is_read_whole_wherever_it_is_cut(cut):
    parser = ResponseParser()
    parser.feed(CHUNKED[:cut])
    parser.feed(CHUNKED[cut:])
    assert (parser.status, body(parser), parser.done, parser.clean) == (200, b"ab\r\nc\n", True, True)


@pytest.mark.parametrize("cut", range(len(COUNTED) + 1))
def test_a_counted_answer_is_read_whole_wherever_it_is_cut(cut):
    parser = ResponseParser()
    parser.feed(COUNTED[:cut])
    parser.feed(COUNTED[cut:])
    assert (parser.status, body(parser), parser.done) == (404, b"abcdef", True)
    assert (b"x-y", b"z") in parser.headers


def test_an_answer_fed_byte_by_byte_shows_its_body_as_it_comes():
    parser = ResponseParser()
    seen = []
    for byte in CHUNKED:
        parser.feed(bytes([byte]))
        seen += parser.body
        parser.body.clear()
    assert b"".join(seen) == b"ab\r\nc\n"


def test_a_connection_carries_one_answer_after_another():
    parser = ResponseParser()
    for _ in range(3):
        parser.start()
        parser.feed(COUNTED)
        assert parser.done and parser.keep_alive and parser.clean


def test_an_answer_without_a_length_ends_with_the_connection():
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 200 OK\r\n\r\nabc")
    assert not parser.done
    parser.end()
    assert parser.done and body(parser) == b"abc" and not parser.keep_alive


def test_an_interim_answer_is_passed_over():
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    assert parser.status == 204 and parser.done


@pytest.mark.parametrize("how", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: Close\r\n"])
def test_a_connection_that_will_be_closed_is_not_kept(how):
    parser = ResponseParser()
    parser.feed(how + b"Content-Length: 0\r\n\r\n")
    assert parser.done and not parser.keep_alive


def test_bytes_after_an_answer_are_noticed():
    parser = ResponseParser()
    parser.feed(COUNTED + b"more")
    assert parser.done and not parser.clean


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 2000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (HEAD_BYTES_MAX + 1),
    ],
)
def test_an_answer_that_does_not_say_clearly_where_it_ends_is_refused(answer):
    parser = ResponseParser()
    with pytest.raises(BadResponse):
        parser.feed(answer)


@pytest.mark.parametrize("answer", [CHUNKED[:-1], COUNTED[:-1], b"", b"HTTP/1.1 200"])
def test_an_answer_that_breaks_off_is_an_error(answer):
    parser = ResponseParser()
    parser.feed(answer)
    with pytest.raises(BadResponse):
        parser.end()
