"""The examples of docs/routes.md are run as they are written, each against the configuration before it."""

import json
import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "routes.md").read_text()


def conversations():
    """Each configuration with the requests and answers that follow it."""
    config = None
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S):
        if language == "yaml":
            config = block
            yield config, []
        elif language == "" and config is not None:
            yield config, block.splitlines()


def grouped():
    groups = {}
    for config, lines in conversations():
        groups.setdefault(config, []).extend(lines)
    return list(groups.items())


def find(value, key):
    """The first value of that key, however deep."""
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = list(value.values())
    found = [find(one, key) for one in value] if isinstance(value, list) else []
    return next((one for one in found if one is not None), None)


def holds(shown, told):
    """Whether all that the page shows was told; what stands within is shown in full, but for times and sentences."""
    if isinstance(shown, dict):
        return isinstance(told, dict) and all(key in told and holds(value, told[key]) for key, value in shown.items())
    return shown == told


@pytest.mark.parametrize("config, lines", grouped(), ids=lambda value: "" if isinstance(value, str) else str(len(value)))
def test_what_the_page_says_is_what_happens(daemon, config, lines):
    d = daemon(config)
    names = {"$lease": None, "$ticket": None}

    def with_names(text):
        for name, value in names.items():
            text = text.replace(name, value or name)
        return text

    answer = None
    for line in lines:
        mark, rest = line[:2], line[2:]
        if mark == "> ":
            method, path, *body = rest.split(" ", 2)
            answer = d.request(method, path, json.loads(with_names(body[0])) if body else None)
            for name in names:
                names[name] = find(answer.json, name[1:]) or names[name]
        else:
            status, shown = rest.split(" ", 1)
            assert mark == "< " and answer.status == int(status), f"{line}\n{answer.text}"
            assert holds(json.loads(with_names(shown)), answer.json), f"{line}\n{answer.text}"


def test_the_examples_are_found():
    assert sum(line.startswith("< ") for _, lines in grouped() for line in lines) >= 20
    assert len(grouped()) == 4


def test_every_reason_is_explained():
    schema = (ROOT / "openapi.yaml").read_text()
    (reasons,) = re.findall(r"reason: \{type: string, enum: \[(paused, [^\]]*)\]", schema)
    section = PAGE[PAGE.index("## Why not") : PAGE.index("## The end")]
    assert not [reason for reason in reasons.split(", ") if f"`{reason}`" not in section]
