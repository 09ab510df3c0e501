"""The daemon keeps to openapi.yaml, whatever it is asked within and beyond it."""

import hypothesis
import pytest
import schemathesis
import yaml
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from conftest import ROOT

CONFIG = """
resources:
  gpt-4o:
    price: {input: 0, output: 0}
    limits:
      - {unit: slots, amount: 50, name: concurrency}
      - {unit: tokens, amount: 1M, per: 1h, name: tpm}
      - {unit: usd, amount: 5, scope: session, per: lifetime, exceed: refuse, name: budget}
"""

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)

SETTINGS = hypothesis.settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture
def running(daemon):
    return daemon(CONFIG)


@pytest.fixture
def schema(running):
    return schemathesis.from_path(str(ROOT / "openapi.yaml"), base_url=running.url)


lazy = schemathesis.from_pytest_fixture(
    "schema", data_generation_methods=list(schemathesis.DataGenerationMethod)
)


def aim(body):
    """Most names that are made up lead nowhere, and a full line answers in a minute: aim at the
    resource there is, and ask for tickets at once."""
    if isinstance(body, dict) and isinstance(body.get("resource"), str):
        return {**body, "resource": "gpt-4o", "hold_ms": 0}
    return body


# The event stream has no end; its own tests read it.
@lazy.exclude(path="/v1/events").parametrize()
@SETTINGS
def test_requests_within_and_beyond_the_schema_are_answered_by_it(case):
    if case.path == "/v1/acquire":
        if isinstance(case.body, list):
            case.body = [aim(element) for element in case.body]
        else:
            case.body = aim(case.body)
    case.call_and_validate(checks=CHECKS, headers={"Host": "localhost"})


def examples():
    document = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    for path, item in document["paths"].items():
        for content in item.get("post", {}).get("requestBody", {}).get("content", {}).values():
            for name, example in content["examples"].items():
                yield pytest.param(path, example["value"], id=f"{path}-{name}")


@pytest.mark.parametrize("path, body", examples())
def test_every_example_of_a_request_is_valid(running, path, body):
    answer = running.post(path.replace("{name}", "gpt-4o"), body)
    assert answer.status in (200, 404), answer.text
    if answer.status == 404:
        assert answer.code in ("unknown_lease", "unknown_ticket")


def test_every_error_code_is_in_the_schema(running):
    document = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    listed = set(document["components"]["schemas"]["ErrorCode"]["enum"])
    table = (ROOT / "docs" / "api.md").read_text().split("## Errors")[1]
    for code in listed:
        assert f"`{code}`" in table
