"""Keys: who may do what, and what a web page may not."""

import hashlib

import pytest

KEYS = """
keys:
  - {name: all, hash: "%s"}
  - {name: reader, hash: "%s", rights: [read]}
  - {name: asker, hash: "%s", rights: [acquire]}
  - {name: ours, hash: "%s", tenant: ours}
  - {name: theirs, hash: "%s", tenant: theirs}
  - {name: operator, hash: "%s", rights: [admin]}
resources:
  chat:
    limits:
      - {unit: slots, amount: 10, name: concurrency}
      - {unit: requests, amount: 10, per: 1h, scope: tenant, name: each}
  wide:
    limits:
      - {unit: slots, amount: 100000, name: concurrency}
"""


@pytest.fixture
def keyed(daemon):
    names = ["all", "reader", "asker", "ours", "theirs", "operator"]
    hashes = tuple("sha256:" + hashlib.sha256(name.encode()).hexdigest() for name in names)
    return daemon(KEYS % hashes, key="all")


def test_without_a_key_only_health_and_the_front_door_answer(keyed):
    for path in ("/healthz", "/readyz", "/"):
        assert keyed.get(path, key="").status == 200
    for path in ("/v1/resources", "/v1/leases", "/v1/events", "/metrics"):
        answer = keyed.get(path, key="")
        assert answer.status == 401 and answer.code == "unauthorized"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic all", "Bearer", "all", "Bearer all2"])
def test_a_wrong_key_opens_nothing(keyed, header):
    answer = keyed.post("/v1/acquire", {"resource": "chat"}, key="", headers={"Authorization": header})
    assert answer.status == 401 and answer.code == "unauthorized"


def test_the_scheme_is_read_whatever_its_case(keyed):
    headers = {"Authorization": "bearer all"}
    assert keyed.post("/v1/acquire", {"resource": "chat"}, key="", headers=headers).status == 200


def test_a_key_may_do_what_its_rights_say(keyed):
    assert keyed.resource(key="reader")["resource"] == "chat"
    for path in ("acquire", "release", "renew", "cancel"):
        answer = keyed.post(f"/v1/{path}", {}, key="reader")
        assert answer.status == 403 and answer.code == "forbidden"
    assert keyed.acquire(key="asker").status == 200
    assert keyed.get("/v1/leases", key="asker").code == "forbidden"


def test_only_an_admin_reopens_a_resource(keyed):
    for key in ("all", "reader", "asker", "ours"):
        answer = keyed.post("/v1/resources/chat/reopen", None, key=key)
        assert answer.status == 403 and answer.code == "forbidden"
    answer = keyed.post("/v1/resources/chat/reopen", None, key="operator")
    assert answer.status == 200 and answer.json["state"]["name"] == "ok"
    keyed.wait_log(r"resource chat is reopened by key operator")


def test_a_bound_key_asks_for_its_tenant_and_no_other(keyed):
    lease = keyed.lease(key="ours")
    (seen,) = keyed.get("/v1/leases").json["leases"]
    assert seen["lease"] == lease and seen["tenant"] == "ours"
    assert keyed.acquire(key="ours", tenant="ours").status == 200
    answer = keyed.acquire(key="ours", tenant="theirs")
    assert answer.status == 403 and answer.code == "forbidden"
    body = [{"resource": "chat", "tenant": "theirs", "id": "x"}]
    (line,) = keyed.post("/v1/acquire", body, key="ours").lines
    assert line["status"] == 403 and line["id"] == "x"


def test_the_leases_of_others_are_unknown_to_a_bound_key(keyed):
    lease = keyed.lease(key="ours", id="one")
    assert keyed.release(lease, key="theirs").code == "unknown_lease"
    assert keyed.post("/v1/renew", {"lease": lease}, key="theirs").code == "unknown_lease"
    assert keyed.post("/v1/cancel", {"id": "one"}, key="theirs").code == "unknown_ticket"
    assert keyed.get("/v1/leases", key="theirs").json["leases"] == []
    assert keyed.release(lease, key="ours").status == 200


def test_the_few_leases_of_a_bound_key_are_found_among_many_page_by_page(keyed):
    for _ in range(4):
        lines = keyed.post("/v1/acquire", [{"resource": "wide"}] * 1000, key="theirs").lines
        assert {line["status"] for line in lines} == {200}
    ours = keyed.lease("wide", key="ours")
    pages = [keyed.get("/v1/leases", key="ours").json]
    while pages[-1]["next"]:
        assert pages[-1]["leases"] == []  # one turn looks at so many and no more
        pages.append(keyed.get(f"/v1/leases?after={pages[-1]['next']}", key="ours").json)
    assert [lease["lease"] for lease in pages[-1]["leases"]] == [ours]
    assert len(pages) == 3


def test_a_bound_key_sees_the_counter_of_its_own_tenant_only(keyed):
    def seen(tenant, key):
        shown = keyed.get(f"/v1/resources/chat?scope_key={tenant}", key=key).json
        return {limit["limit"]: limit for limit in shown["limits"]}["each"].get("used")

    keyed.lease(key="ours")
    assert seen("ours", "ours") == 1 and seen("ours", "all") == 1
    assert seen("ours", "theirs") is None


def test_the_events_of_others_do_not_reach_a_bound_key(keyed):
    connection = keyed.connect()
    connection.request("GET", "/v1/events", headers={"Authorization": "Bearer ours"})
    answer = connection.getresponse()
    keyed.release(keyed.lease(key="theirs"), key="theirs")
    keyed.acquire(key="theirs", load={"requests": 11})
    mine = keyed.lease(key="ours")
    data = next(line for line in answer if line.startswith(b"data: "))
    assert mine.encode() in data
    keyed.release(mine, key="ours")
    data = next(line for line in answer if line.startswith(b"data: "))
    assert mine.encode() in data
    keyed.acquire(key="ours", load={"requests": 11})
    data = next(line for line in answer if line.startswith(b"data: "))
    assert b"never_fits" in data
    connection.close()


def test_a_key_taken_away_opens_nothing_after_a_reload(keyed):
    import signal

    text = keyed.config.read_text()
    keyed.config.write_text("\n".join(line for line in text.splitlines() if "name: asker" not in line))
    keyed.signal(signal.SIGHUP)
    keyed.wait_log(r"reloaded ")
    assert keyed.acquire(key="asker").code == "unauthorized"
    assert keyed.acquire().status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.evil.example"])
def test_without_keys_a_foreign_web_page_is_refused(daemon, origin):
    answer = daemon().post("/v1/acquire", {"resource": "chat"}, headers={"Origin": origin})
    assert answer.status == 403 and answer.code == "forbidden"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.1"])
def test_without_keys_a_host_that_is_not_loopback_is_refused(daemon, host):
    answer = daemon().get("/v1/resources", headers={"Host": host})
    assert answer.status == 403 and answer.code == "forbidden"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://localhost:3000"}, {"Host": "localhost"}, {"Host": "[::1]:9"}, {"Host": "127.8.9.1"}],
)
def test_without_keys_this_machine_is_welcome(daemon, headers):
    assert daemon().get("/v1/resources", headers=headers).status == 200


def test_with_keys_a_browser_may_ask_from_anywhere_if_it_has_one(keyed):
    headers = {"Origin": "https://app.example", "Host": "sluice.example"}
    assert keyed.get("/v1/resources", headers=headers).status == 200


def test_a_key_that_is_bound_is_told_of_its_tenants_usage_alone(keyed):
    for tenant in ("ours", "theirs"):
        lease = keyed.lease("wide", key=tenant, load=10, session="shared")
        keyed.release(lease, key=tenant)
    assert [row["key"] for row in keyed.get("/v1/usage").json["rows"]] == ["ours", "theirs"]
    assert [row["key"] for row in keyed.get("/v1/usage", key="ours").json["rows"]] == ["ours"]
    assert keyed.get("/v1/usage?tenant=theirs", key="ours").code == "forbidden"
    assert keyed.get("/v1/sessions/shared").json["calls"] == 2
    assert keyed.get("/v1/sessions/shared", key="ours").json["calls"] == 1
    assert keyed.get("/v1/usage", key="asker").code == "forbidden"


def test_only_an_operator_corrects_budgets(keyed):
    body = {"resource": "chat", "limit": "each", "scope_key": "ours", "reset": True}
    assert keyed.post("/v1/budget", body, key="reader").code == "forbidden"
    assert keyed.post("/v1/budget", body, key="asker").code == "forbidden"
    assert keyed.post("/v1/budget", body, key="operator").code == "invalid_request"
