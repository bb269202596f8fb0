"""The issue forms are forms that GitHub accepts; a form with a mistake in it is not offered to anybody."""

import re

import pytest
import yaml

from tests.documents import ROOT

FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
KINDS = {"markdown", "input", "textarea", "dropdown", "checkboxes"}
ATTRIBUTES = {
    "input": {"label", "description", "placeholder", "value"},
    "textarea": {"label", "description", "placeholder", "value", "render"},
    "dropdown": {"label", "description", "multiple", "options", "default"},
    "checkboxes": {"label", "description", "options"},
}
"""Kind of a question -> what it may say."""

BY_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)


def read(form):
    return yaml.safe_load(form.read_text(encoding="utf-8"))


def questions(form):
    return [element for element in read(form)["body"] if element["type"] != "markdown"]


@BY_FORM
def test_a_form_says_what_it_is_for_and_asks_something(form):
    content = read(form)
    assert set(content) <= {"name", "description", "title", "labels", "assignees", "body"}
    assert all(isinstance(content[key], str) and content[key].strip() for key in ("name", "description"))
    assert {element["type"] for element in content["body"]} <= KINDS
    assert questions(form)
    assert all(element["attributes"]["value"].strip() for element in content["body"] if element["type"] == "markdown")


@BY_FORM
def test_every_question_has_an_id_of_its_own_and_a_label(form):
    asked = questions(form)
    ids = [element["id"] for element in asked]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", one) for one in ids)
    labels = [element["attributes"]["label"] for element in asked]
    assert len(set(labels)) == len(labels) and all(isinstance(label, str) and label.strip() for label in labels)
    for element in asked:
        assert set(element) <= {"type", "id", "attributes", "validations"}
        assert set(element["attributes"]) <= ATTRIBUTES[element["type"]]
        assert isinstance(element.get("validations", {}).get("required", False), bool)


@BY_FORM
def test_choices_are_texts_that_differ(form):
    for element in questions(form):
        options = element["attributes"].get("options")
        assert (options is not None) == (element["type"] in ("dropdown", "checkboxes"))
        texts = [option["label"] if element["type"] == "checkboxes" else option for option in options or ()]
        assert all(isinstance(text, str) and text.strip() and text.lower() != "none" for text in texts)
        assert len(set(texts)) == len(texts)


def test_the_forms_ask_for_what_an_answer_needs():
    required = {
        form.stem: {e["id"] for e in questions(form) if e.get("validations", {}).get("required")} for form in FORMS
    }
    assert {"happened", "command", "doctor", "version"} <= required["bug_report"]
    assert {"published", "ours", "command", "trial", "data", "doctor"} <= required["reproduction"]
    assert {"purpose", "today"} <= required["feature_request"]


def test_nothing_is_reported_without_a_form():
    config = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml").read_text(encoding="utf-8"))
    assert config == {"blank_issues_enabled": False}


def test_links_of_the_forms_lead_to_files():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / ".github").rglob("*") if path.is_file()]
    linked = [target for text in texts for target in re.findall(r"\]\(\.\./blob/main/([^)#]+)", text)]
    assert linked
    assert [target for target in linked if not (ROOT / target).is_file()] == []


def test_the_changelog_begins_with_the_version_of_the_package():
    version = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text(encoding="utf-8"))
    first = re.search(r"^## \[(.+?)\] - (unreleased|\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert version and first and version[1] == first[1]
