"""``docs/weights.md`` names what can be downloaded; ``test_documentation.py`` runs its commands."""

from pathlib import Path

from os2d.download.sources import MODELS
from os2d.modeling.conversion.conversions import CONVERSIONS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "weights.md"


def test_the_document_names_every_published_file_that_is_loaded() -> None:
    text = DOCUMENT.read_text()
    for entry in MODELS:
        if entry.name not in ("os2d-instre", "onenet"):
            assert f"`{entry.name}`" in text, entry.name


def test_downloads_name_conversions_that_exist() -> None:
    for entry in MODELS:
        assert not entry.convert or entry.convert in CONVERSIONS, entry.name
        if entry.convert:
            conversion, depth = CONVERSIONS[entry.convert], "101" if "101" in entry.name else "50"
            assert str(conversion.output_path(Path(entry.files[0].file), f"ResNet{depth}")) == entry.converted
