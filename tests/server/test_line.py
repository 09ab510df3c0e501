"""Waiting: in order, with tickets, in arrays, and leaving the line by hanging up."""

import json

import pytest


def send(connection, path, body):
    """A request as bytes on a socket."""
    data = json.dumps(body).encode()
    connection.sendall(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data
    )


def test_a_release_lets_the_next_in_line_in(daemon):
    d = daemon()
    held = d.lease()
    first = d.later()
    d.waiting(1)
    d.release(held)
    answer = first()
    assert answer.status == 200 and answer.json["waited_ms"] >= 0
    assert d.resource()["line"]["waiting"] == 0


def test_priority_goes_before_arrival(daemon):
    d = daemon()
    held = d.lease()
    late = d.later(priority=9)
    d.waiting(1)
    urgent = d.later(priority=1)
    d.waiting(2)
    d.release(held)
    d.release(urgent().json["lease"])
    assert late().status == 200


def test_a_held_request_is_answered_with_a_ticket_that_keeps_its_place(daemon):
    d = daemon()
    held = d.lease()
    answer = d.acquire(hold_ms=0, load=7)
    assert answer.status == 202
    ticket = answer.json["ticket"]
    assert ticket.startswith("tk_") and len(ticket) == 19
    assert answer.json["position"] == 1
    assert answer.json["held_by"] == ["concurrency"]
    assert isinstance(answer.json["eta_ms"], int)
    second = d.later()
    d.waiting(2)
    assert d.resource()["line"]["away"] == 1
    d.release(held)
    d.release(second().json["lease"])
    resumed = d.post("/v1/acquire", {"ticket": ticket})
    assert resumed.status == 200 and resumed.json["held"]["tokens"] == 7


def test_a_ticket_may_come_with_the_fields_of_its_request(daemon):
    d = daemon()
    d.lease()
    ticket = d.acquire(hold_ms=0).json["ticket"]
    again = d.acquire(ticket=ticket, hold_ms=0)
    assert again.status == 202 and again.json["ticket"] == ticket


def test_a_cancelled_ticket_leaves_the_line(daemon):
    d = daemon()
    d.lease()
    ticket = d.acquire(hold_ms=0).json["ticket"]
    answer = d.post("/v1/cancel", {"ticket": ticket})
    assert answer.status == 200 and answer.json == {"cancelled": True, "ticket": ticket}
    assert d.resource()["line"]["waiting"] == 0
    assert d.post("/v1/acquire", {"ticket": ticket}).code == "unknown_ticket"


def test_who_waits_is_told_of_a_cancel(daemon):
    d = daemon()
    d.lease()
    waiting = d.later(id="one")
    d.waiting(1)
    assert d.post("/v1/cancel", {"id": "one"}).status == 200
    answer = waiting()
    assert answer.status == 409 and answer.code == "cancelled"


def test_a_second_asker_with_the_same_id_takes_the_place_of_the_first(daemon):
    d = daemon()
    held = d.lease()
    first = d.later(id="one")
    d.waiting(1)
    second = d.later(id="one")
    assert first().code == "cancelled"
    d.release(held)
    assert second().status == 200


def test_hanging_up_leaves_the_line_at_once(daemon):
    d = daemon()
    held = d.lease()
    with d.socket() as connection:
        send(connection, "/v1/acquire", {"resource": "chat"})
        d.waiting(1)
    d.waiting(0)
    d.release(held)
    assert d.acquire(wait_ms=0).status == 200


def test_pipelined_requests_are_answered_in_order(daemon):
    d = daemon()
    with d.socket() as connection:
        send(connection, "/v1/acquire", {"resource": "wide", "load": 1})
        send(connection, "/v1/acquire", {"resource": "wide", "load": 2})
        send(connection, "/v1/acquire", {"resource": "nothing"})
        received = b""
        while b"unknown_resource" not in received:
            piece = connection.recv(65536)
            assert piece, received
            received += piece
    text = received.decode()
    assert text.index('"tokens":1,') < text.index('"tokens":2,') < text.index("unknown_resource")


def test_an_array_is_answered_line_by_line_as_each_is_decided(daemon):
    d = daemon()
    held = d.lease()
    connection = d.connect()
    body = [
        {"resource": "chat", "id": "waits"},
        {"resource": "wide", "id": "goes", "load": 5},
        {"resource": "nothing", "id": "lost"},
        {"resouce": "chat", "id": "wrong"},
        {"resource": "wide"},
    ]
    connection.request("POST", "/v1/acquire", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    early = {line["index"]: line for line in (json.loads(answer.readline()) for _ in range(4))}
    assert set(early) == {1, 2, 3, 4}
    assert early[1]["id"] == "goes" and early[1]["status"] == 200 and early[1]["lease"]
    assert early[2]["id"] == "lost" and early[2]["error"]["code"] == "unknown_resource"
    assert early[2]["status"] == 404
    assert early[3]["id"] == "wrong" and early[3]["error"]["code"] == "invalid_request"
    assert early[4]["status"] == 200 and "id" not in early[4]
    d.release(held)
    last = json.loads(answer.readline())
    assert last["index"] == 0 and last["id"] == "waits" and last["lease"]
    assert answer.read() == b""
    connection.close()


def test_elements_of_an_array_may_get_tickets(daemon):
    d = daemon()
    d.lease()
    (line,) = d.post("/v1/acquire", [{"resource": "chat", "hold_ms": 0}]).lines
    assert line["status"] == 202 and line["ticket"].startswith("tk_")


def test_hanging_up_on_an_array_cancels_what_still_waits(daemon):
    d = daemon()
    d.lease()
    with d.socket() as connection:
        send(connection, "/v1/acquire", [{"resource": "chat"} for _ in range(20)])
        d.waiting(20)
    d.waiting(0)


def test_a_whole_array_of_the_largest_length_is_answered(daemon):
    d = daemon()
    lines = d.post("/v1/acquire", [{"resource": "wide", "id": str(i)} for i in range(1024)]).lines
    assert sorted(line["index"] for line in lines) == list(range(1024))
    assert all(line["status"] == 200 and line["id"] == str(line["index"]) for line in lines)
    released = d.post("/v1/release", [{"lease": line["lease"]} for line in lines]).lines
    assert len(released) == 1024 and all(line["status"] == 200 for line in released)


def test_releases_in_an_array_are_tagged_with_their_lease(daemon):
    d = daemon()
    lease = d.lease("wide", load=9)
    body = [
        {"lease": lease, "usage": {"tokens": 4}},
        {"lease": "ls_00000000deadbeef"},
        {"lease": "ls_00000000deadbeee", "usage": 5},
        {},
    ]
    lines = sorted(d.post("/v1/release", body).lines, key=lambda line: line["index"])
    assert lines[0]["lease"] == lease and lines[0]["settled"]["tokens"] == 4
    assert lines[1]["lease"] == body[1]["lease"] and lines[1]["status"] == 404
    assert lines[2]["lease"] == body[2]["lease"] and lines[2]["status"] == 400
    assert lines[3]["status"] == 400 and "lease" not in lines[3]


@pytest.mark.parametrize("n", [3, 200])
def test_all_who_wait_are_let_in_when_there_is_room(daemon, n):
    d = daemon("resources: {chat: {limits: [{unit: tokens, amount: 1000, per: 1h, name: tpm}]}}\n")
    held = d.lease(load=1000)
    with d.socket() as connection:
        send(connection, "/v1/acquire", [{"resource": "chat", "load": 1} for _ in range(n)])
        d.waiting(n)
        d.release(held, usage={"tokens": 0})
        received = b""
        while received.count(b'"lease"') < n:
            piece = connection.recv(65536)
            assert piece, received
            received += piece
    assert d.resource()["granted"] == n + 1
