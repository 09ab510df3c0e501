"""Every Python example of the pages that have one runs as it is written."""

import re
import warnings
from pathlib import Path

import pytest
import sluice

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/python.md", "docs/routes.md", "clients/python/README.md")


def blocks(page, language):
    text = (ROOT / page).read_text()
    for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S):
        line = text[: match.start()].count("\n") + 2
        yield line, match[1]


def configuration_of(page, line):
    """The last one before an example of a page that has its own; else that of docs/python.md."""
    before = [config for at, config in blocks(page, "yaml") if at < line] if page == "docs/routes.md" else []
    return before[-1] if before else next(config for _, config in blocks("docs/python.md", "yaml"))


EXAMPLES = [pytest.param(page, line, code, id=f"{page}:{line}") for page in PAGES for line, code in blocks(page, "python")]


@pytest.mark.parametrize("page, line, code", EXAMPLES)
def test_an_example_runs(page, line, code, coordinator, mock, monkeypatch, capsys):
    c = coordinator(configuration_of(page, line))
    provider = mock("--profile", "anthropic" if "anthropic" in code else "openai")
    monkeypatch.setenv("SLUICE_URL", c.url)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url + "/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", sluice.UnsettledLeaseWarning)
        exec(compile("\n" * (line - 1) + code, str(ROOT / page), "exec"), names)
        for client in [value for value in names.values() if isinstance(value, sluice.Client)]:
            client.close()
    out = capsys.readouterr().out
    for said in re.findall(r"print\(.*\)  # (\w+)", code):
        assert said in out
    views = c.get("/v1/resources")["resources"]
    assert sum(v["leases"] for v in views) == 0
    assert sum(v["granted"] for v in views) > 0 or "except" in code


def test_the_examples_are_found():
    assert len(EXAMPLES) >= 10
    assert {example.values[0] for example in EXAMPLES} == set(PAGES)


def test_the_page_names_every_exception():
    text = (ROOT / "docs/python.md").read_text()
    missing = [
        name
        for name in sluice.__all__
        if isinstance(getattr(sluice, name), type)
        and issubclass(getattr(sluice, name), Exception)
        and f"`{name}`" not in text
    ]
    assert sorted(missing) == ["ShuttingDown", "UnknownTicket"], "the client deals with these two itself"
