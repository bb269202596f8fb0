"""The files of the page: they need nothing but each other, and run under the server's policy."""

import re
from html.parser import HTMLParser

import pytest

from os2d.serve.app import PAGE
from os2d.serve.gate import CONTENT_SECURITY_POLICY

HTML = (PAGE / "index.html").read_text(encoding="utf-8")
SCRIPT = (PAGE / "page.js").read_text(encoding="utf-8")
STYLE = (PAGE / "page.css").read_text(encoding="utf-8")


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(HTML)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


ELEMENTS = _Elements().found
IDS = [attributes["id"] for _, attributes in ELEMENTS if "id" in attributes]


def test_nothing_runs_or_is_styled_inside_the_html() -> None:
    assert "'unsafe" not in CONTENT_SECURITY_POLICY
    for tag, attributes in ELEMENTS:
        assert tag != "style"
        assert tag != "script" or attributes["src"]
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_nothing_comes_from_elsewhere() -> None:
    named = [attributes.get("src") or attributes.get("href") for tag, attributes in ELEMENTS if tag != "a"]
    loaded = {address for address in named if address and not address.startswith("data:")}
    assert loaded == {path.name for path in PAGE.iterdir()} - {"index.html"}
    assert not re.search(r"@import|url\(", STYLE)
    assert set(re.findall(r"https?://[^\"'\s]+", SCRIPT)) == {"http://www.w3.org/2000/svg"}


def test_the_script_finds_what_it_looks_for() -> None:
    assert len(IDS) == len(set(IDS))
    assert set(re.findall(r'\$\("([\w-]+)"\)', SCRIPT)) <= set(IDS)


@pytest.mark.parametrize("tag, named_by", [("label", "for"), ("section", "aria-labelledby"), ("output", "for")])
def test_names_lead_to_elements(tag: str, named_by: str) -> None:
    for found, attributes in ELEMENTS:
        assert found != tag or attributes.get(named_by, IDS[0]) in IDS
