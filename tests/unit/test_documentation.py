"""What README.md, CONTRIBUTING.md, CHANGELOG.md and docs/ say is true: commands, options, links, names, examples.

Commands are run here, by other tests, or wait for something: ``tests/documented_commands.py`` says which.
"""

import contextlib
import doctest
import io
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from orchestration import describe
from orchestration.cli import main as oneshot
from orchestration.plan import plan
from orchestration.script import run_script
from orchestration.script.flags import parser_of
from os2d.data.shelf.parameters import ShelfParameters
from os2d.data.shelf.store import draw_shelf
from tests.command_lines import complaint
from tests.configuration_keys import known_keys
from tests.documented_commands import RUN, RUN_BY, WAITING, listed
from tests.documents import (
    DOCUMENTS,
    LANGUAGES,
    PAGES,
    PROGRAMS,
    ROOT,
    Command,
    all_commands,
    blocks,
    code_in_text,
    links,
)
from tests.unit.published_weights import write_published_weights

BY_NAME = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
ROOMS = {room: ROOT / room / "README.md" for room in ("os2d", "orchestration", "baselines", "experiments")}
WITH_ROOMS = pytest.mark.parametrize(
    "document", [*DOCUMENTS, *ROOMS.values()], ids=lambda path: str(path.relative_to(ROOT))
)
EXPERIMENTS = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")


@BY_NAME
def test_every_block_of_commands_says_so(document):
    assert [block for block in blocks(document) if block.language not in LANGUAGES] == []
    plain = [line for block in blocks(document) if block.language in ("", "text") for line in block.text.splitlines()]
    assert [line for line in plain if line.removeprefix("$ ").startswith(PROGRAMS)] == []


def test_every_command_is_listed_once_and_nothing_else_is():
    assert {command.text for command in all_commands()} ^ set(listed()) == set()
    assert [command for command, times in Counter(listed()).items() if times > 1] == []
    assert all(WAITING)


@pytest.mark.parametrize("test", RUN_BY)
def test_the_test_that_runs_a_command_is_there(test):
    file, _, name = test.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert f"def {name}(" in text or not name
    wanted = RUN_BY[test] if not name else [Command("", command).program for command in RUN_BY[test]]
    assert [command for command in wanted if command not in text] == []


@BY_NAME
def test_commands_and_options_exist(document):
    told = [Command(document.name, code) for code in code_in_text(document) if code.startswith("oneshot ")]
    wrong = {command.text: complaint(command.words) for command in all_commands() if command.is_in(document)}
    wrong |= {command.text: complaint(command.words) for command in told if not command.is_a_pattern}
    assert {command: why for command, why in wrong.items() if why} == {}


@WITH_ROOMS
def test_links_lead_somewhere(document):
    wrong = []
    for target in links(document):
        path, _, anchor = target.partition("#")
        file = document if not path else document.parent / path
        if re.match(r"https?:", target):
            continue
        if not file.exists() or (anchor and anchor not in anchors(file)):
            wrong.append(target)
    assert wrong == []


def anchors(document):
    """Return the anchors of a document's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_index_names_every_page():
    assert {path.name for path in PAGES} - {"README.md"} <= set(
        re.findall(r"\(([\w]+\.md)", (ROOT / "docs" / "README.md").read_text(encoding="utf-8"))
    )


@WITH_ROOMS
def test_files_that_are_named_exist(document):
    paths = [code for code in code_in_text(document) if re.fullmatch(r"[\w./-]+/[\w.-]+\.(py|yml|yaml|md|sh)", code)]
    places = (ROOT, ROOT / "docs", ROOT / "baselines" / "detector_retrieval")
    ours = [path for path in paths if path.split("/")[0] in {*OUR_FOLDERS, "examples"}]
    assert [path for path in ours if not any((place / path).is_file() for place in places)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_the_list_of_a_room_names_what_is_there(room):
    rows = re.findall(r"^\| (`[^|]+) \|", ROOMS[room].read_text(encoding="utf-8"), re.M)
    named = [name for row in rows for name in re.findall(r"`(\w+\.\w+|\w+/)`", row)]
    assert len(named) > 10
    assert [name for name in named if not list((ROOT / room).glob(f"**/{name.removesuffix('/')}"))] == []


OUR_FOLDERS = {"baselines", "docs", "experiments", "orchestration", "os2d", "tests"}


KEYS = known_keys()
SECTIONS = {key.split(".")[0] for key in KEYS}
FILE_ENDINGS = (".pth", ".py", ".pkl")


@WITH_ROOMS
def test_keys_that_are_named_exist(document):
    named = {code.split()[0] for code in code_in_text(document)}
    keys = {name for name in named if re.fullmatch(r"\w+(\.\w+)+", name) and name.split(".")[0] in SECTIONS}
    assert {key for key in keys if not {key, f"visualization.{key}"} & KEYS and not key.endswith(FILE_ENDINGS)} == set()


@BY_NAME
def test_python_can_be_read(document):
    for block in blocks(document):
        if block.language == "python" and ">>>" not in block.text:
            compile(block.text, block.place, "exec")


@BY_NAME
def test_every_example_gives_what_it_shows(document):
    names: dict[str, object] = {}
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    for block in blocks(document):
        if ">>>" in block.text:
            example = doctest.DocTestParser().get_doctest(block.text, names, block.place, block.place, 0)
            runner.run(example, out=told.append, clear_globs=False)
            names = example.globs
    assert runner.tries > 20 or document.name != "experiments.md"
    assert runner.failures == 0, "".join(told)


def test_the_experiment_of_the_readme_can_be_planned():
    names = executed("README.md", "losses = Experiment(")
    assert len(plan([names["losses"], names["table"]]).trials) == 12


def test_the_sweep_that_is_shown_can_be_planned():
    names = executed(
        "docs/sweeps.md", "sweep = Sweep(", MY_CONFIG={"train.dataset_name": "shelf-train", "is_cuda": False}
    )
    assert names["sweep"].metric == "mAP@0.50_shelf-val-new-cl"
    plan([names["sweep"]])


def executed(document, words, **names):
    """Return the names that the first Python block with some words in it defines."""
    code = next(block.text for block in blocks(ROOT / document) if block.language == "python" and words in block.text)
    exec(compile(code, document, "exec"), names)
    return names


@pytest.mark.parametrize("name", describe.__all__)
def test_everything_that_can_be_described_is_explained(name):
    assert re.search(rf"\b{name}\b", EXPERIMENTS)


def test_every_flag_of_a_script_is_explained():
    flags = {flag for flag in parser_of("file.py")._option_string_actions if flag.startswith("--")} - {"--help"}
    assert [flag for flag in sorted(flags) if flag not in EXPERIMENTS] == ["--partition"]  # explained as -p


def test_messages_in_the_troubleshooting_are_those_of_the_program():
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| ") and "---" not in line]
    quoted = [code for row in rows for code in re.findall(r"`([^`]+ [^`]+)`", row)]
    fragments = [part.strip() for code in quoted for part in re.split(r"\.\.\.|'[^']*'|\d+", code)]
    fragments = [part for part in fragments if len(part.split()) > 2 and part not in OF_OTHERS]
    sources = " ".join(text_of(path) for folder in OUR_CODE for path in (ROOT / folder).rglob("*.py"))
    assert len(fragments) > 10
    assert [part for part in fragments if part not in sources] == []


OUR_CODE = ("os2d", "orchestration", "baselines")
OF_OTHERS = {"operator torchvision::nms does not exist", "No module named orchestration", "database is locked"}


def text_of(path):
    """Return a source with the texts that stand below one another joined."""
    return re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("ONESHOT_DATA", "ONESHOT_RUNS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def run(text, monkeypatch, **placeholders):
    """Run a command of the table in this process; return what it printed."""
    program, *words = [placeholders.get(word, word) for word in Command("", text).words]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if program == "python":
            code = run_script(Path(words[0]), words[1:])
        else:
            assert program == "oneshot"
            monkeypatch.setattr(sys, "argv", ["oneshot", *words])
            with pytest.raises(SystemExit) as ended:
                oneshot()
            code = ended.value.code
    assert code == 0, text
    return printed.getvalue()


def test_commands_about_weights_work(folder, monkeypatch):
    write_published_weights(folder)
    told = "".join(run(command, monkeypatch) for command in RUN["weights"])
    assert told.count("  written ") == 6 and told.count("  problem ") == 0
    assert "  loads with    model.backbone_arch ResNet101" in told
    assert (folder / "models" / "resnet50_caffe2_groupnorm.pth").is_file()


def test_commands_that_plan_work(folder, monkeypatch):
    for name in ("experiments", "docs"):
        (folder / name).symlink_to(ROOT / name)
    told = {command: run(command, monkeypatch, FILE="experiments/quickstart.py") for command in RUN["plans"]}
    assert "7  rates/RLL,train.optim.lr=0.0003-seed1  planned" in told["python my_experiments.py --list"]
    assert "oneshot data fetch grozi" in told["oneshot plan experiments/table3_retail.py"]
    assert not (folder / "runs").exists()


def test_the_starter_file_is_not_replaced(folder, monkeypatch, capsys):
    (folder / "my_experiments.py").write_text("mine = 1\n")
    monkeypatch.setattr(sys, "argv", ["oneshot", "init", "my_experiments.py"])
    with pytest.raises(SystemExit) as ended:
        oneshot()
    assert ended.value.code == 2
    assert "it exists already, and is left as it is" in capsys.readouterr().err


def test_commands_about_photos_work(folder, monkeypatch):
    parameters = ShelfParameters(
        train_classes=2, unseen_classes=1, distractors=1, train_images=2, val_images=1, image_size=160, objects=(2, 3)
    )
    draw_shelf(folder / "my_photos", parameters)
    told = [run(command, monkeypatch) for command in RUN["photos"]]
    assert "scale" in told[1]
