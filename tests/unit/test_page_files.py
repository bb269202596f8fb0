"""The files of the page: they need nothing but each other, and run under the server's policy."""

import re
from graphlib import TopologicalSorter
from html.parser import HTMLParser

import pytest

from os2d.serve.app import PAGE
from os2d.serve.gate import CONTENT_SECURITY_POLICY

HTML = (PAGE / "index.html").read_text(encoding="utf-8")
MODULES = {path.name: path.read_text(encoding="utf-8") for path in PAGE.glob("*.js")}
SCRIPT = "".join(MODULES.values())
IMPORT = re.compile(r'^import \{ (.*) \} from "\./([\w.]+)";$', flags=re.MULTILINE)
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
    assert len(re.findall(r"\bimport\b", SCRIPT)) == len(IMPORT.findall(SCRIPT))
    imported = {module for _, module in IMPORT.findall(SCRIPT)}
    assert loaded | imported == {path.name for path in PAGE.iterdir()} - {"index.html"}
    assert not re.search(r"@import|url\(", STYLE)
    assert set(re.findall(r"https?://[^\"'\s]+", SCRIPT)) == {"http://www.w3.org/2000/svg"}


def test_the_modules_import_in_one_direction() -> None:
    imports = {name: {module for _, module in IMPORT.findall(text)} for name, text in MODULES.items()}
    assert list(TopologicalSorter(imports).static_order())[-1] == "page.js"


def test_what_a_module_imports_is_exported_and_used() -> None:
    for name, text in MODULES.items():
        for names, module in IMPORT.findall(text):
            for imported in names.split(", "):
                exported = rf"^export (?:async )?(?:function|const|class) {re.escape(imported)}(?![\w$])"
                assert re.search(exported, MODULES[module], flags=re.MULTILINE), (name, imported)
                assert len(re.findall(rf"(?<![\w$]){re.escape(imported)}(?![\w$])", text)) > 1, (name, imported)


def test_the_modules_find_what_they_look_for() -> None:
    assert len(IDS) == len(set(IDS))
    assert set(re.findall(r'\$\("([\w-]+)"\)', SCRIPT)) <= set(IDS)


@pytest.mark.parametrize("tag, named_by", [("label", "for"), ("section", "aria-labelledby"), ("output", "for")])
def test_names_lead_to_elements(tag: str, named_by: str) -> None:
    named = {attributes[named_by] for found, attributes in ELEMENTS if found == tag and named_by in attributes}
    assert named
    assert named <= set(IDS)
