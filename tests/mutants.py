"""Change one thing at a time in the code that results and recovery depend on, and tell which changes no test notices.

A command for people: ``python -m tests.mutants os2d/modeling/assignment.py``. The changes are the operators of Cosmic
Ray, and one more: a statement is left out. Nothing on the disk changes. Every mutant runs the tests named here in a
process forked from this one, which has the large packages loaded; it imports the mutated source in place of the file.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import importlib.abc
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType
from typing import NamedTuple

import pytest

BOX_CODER = [
    "tests/unit/test_box_coder.py",
    "tests/unit/test_properties_boxes.py",
    "tests/golden/test_os2d_box_coder.py",
]

JOURNAL = [
    "tests/unit/test_journal.py",
    "tests/unit/test_claim.py",
    "tests/unit/test_durable.py",
    "tests/unit/test_properties_journal.py",
]

TESTS = {
    "os2d/modeling/assignment.py": BOX_CODER,
    "os2d/modeling/box_coder.py": BOX_CODER,
    "os2d/engine/average_precision.py": [
        "tests/unit/test_average_precision.py",
        "tests/unit/test_precision_recall.py",
        "tests/unit/test_properties_boxes.py",
        "tests/golden/test_os2d_voc.py",
    ],
    "orchestration/journal.py": JOURNAL,
    "orchestration/trial_state.py": JOURNAL,
}
"""Module -> the tests that are to notice every change in it."""

OPERATORS = [
    *("AddNot", "ExceptionReplacer", "NumberReplacer", "RemoveDecorator", "ZeroIterationForLoop"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
    *(f"ReplaceUnaryOperator_Delete_{one}" for one in ("Not", "Invert", "USub")),
    *(f"ReplaceComparisonOperator_{one}" for one in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceComparisonOperator_{one}" for one in ("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt")),
    *(f"ReplaceComparisonOperator_{one}" for one in ("Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt")),
    *(
        f"ReplaceBinaryOperator_{one}"
        for one in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul")
    ),
    *(f"ReplaceBinaryOperator_{one}" for one in ("BitAnd_BitOr", "BitOr_BitAnd", "BitXor_BitAnd", "RShift_LShift")),
]
"""Cosmic Ray's, without those that only exchange one wrong operator for another."""

LOADED_ONCE = ("hypothesis", "numpy", "pandas", "torch", "torchvision", "PIL.Image")
EXAMPLES = 20
"""Of a property, where its test does not say how many."""

CPU_SECONDS, SECONDS = 60, 300
"""A mutant that takes longer hangs, which is noticed, too."""


class Mutant(NamedTuple):
    """A changed source, and where the change is."""

    operator: str
    line: int
    source: str


def mutants_of(source: str) -> list[Mutant]:
    """Return the mutants of a module that compute something else than it, as far as their syntax trees tell."""
    meanings = {_meaning(source)}
    different = []
    for mutant in [*_operator_mutants(source), *_shortened(source)]:
        try:
            meaning = _meaning(mutant.source)
        except SyntaxError:
            continue
        if meaning not in meanings:
            meanings.add(meaning)
            different.append(mutant)
    return different


def _operator_mutants(source: str) -> Iterator[Mutant]:
    import parso
    from cosmic_ray.ast import ast_nodes
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    tree = parso.parse(source)
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        places = [place for node in ast_nodes(tree) for place in operator.mutation_positions(node)]
        for occurrence, (start, _) in enumerate(places):
            yield Mutant(name, start[0], mutate_code(source, operator, occurrence))


def _shortened(source: str) -> Iterator[Mutant]:
    """Yield the module without one of its statements, and without the value of one ``return``."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.Raise) and not is_text:
            instead = "pass"
        elif isinstance(node, ast.Return) and node.value is not None:
            instead = "return None"
        else:
            continue
        before, after = lines[: node.lineno - 1], lines[node.end_lineno :]
        changed = f"{lines[node.lineno - 1][: node.col_offset]}{instead}\n"
        yield Mutant(f"{type(node).__name__}Left out", node.lineno, "".join([*before, changed, *after]))


def _meaning(source: str) -> str:
    """Return the syntax tree without what is never computed: texts of documentation and annotations."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
    return ast.dump(tree)


class MutatedSource(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a text instead of its file."""

    def __init__(self, path: str, source: str) -> None:
        self._path, self._source = path, source
        self._name = path.removesuffix(".py").replace("/", ".")

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self, origin=self._path) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self._path
        exec(compile(self._source, self._path, "exec"), vars(module))


class NoShrinking:
    """Lets Hypothesis stop at the first example that fails: that it fails is all that counts here."""

    def pytest_collection(self) -> None:
        from hypothesis import Phase, settings

        settings.register_profile("mutants", settings(), phases=[Phase.explicit, Phase.generate], max_examples=EXAMPLES)
        settings.load_profile("mutants")


class UsedLines:
    """Notes which lines of a module each test runs, and how long the test takes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.of_tests: dict[str, tuple[float, list[int]]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        lines: set[int] = set()

        def trace(frame: FrameType, event: str, argument: object) -> object:
            if frame.f_code.co_filename != self._path:
                return None
            lines.add(frame.f_lineno)
            return trace

        start = time.process_time()
        sys.settrace(trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self.of_tests[item.nodeid] = time.process_time() - start, sorted(lines)


def exit_status(path: str, source: str, tests: Sequence[str], used: UsedLines | None = None) -> int:
    """Run the tests on a changed module in a process of its own; return pytest's exit status, or -1 if it hangs.

    Args:
        path: of the module.
        source: what is imported in its place.
        tests: files, or single tests.
        used: filled, for a run that is not to fail.
    """
    with tempfile.TemporaryFile("w+") as told:
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            if used is None:
                resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, 1)
                os.dup2(nothing, 2)
            sys.meta_path.insert(0, MutatedSource(path, source))
            options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not cluster and not slow"]
            status = pytest.main([*options, *tests], plugins=[NoShrinking(), *([used] if used else [])])
            if used is not None:
                json.dump(used.of_tests, told)
                told.flush()
            os._exit(status)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or used is not None:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                if used is not None:
                    told.seek(0)
                    used.of_tests = json.load(told)
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return -1


def tests_of(line: int, source: str, used: UsedLines) -> list[str]:
    """Return the tests that run the function around a line, the quickest first; all where there is none."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    around = [node for node in functions if min(n.lineno for n in ast.walk(node) if hasattr(n, "lineno")) <= line]
    around = [node for node in around if line <= (node.end_lineno or 0)]
    lines = range(around[-1].lineno, (around[-1].end_lineno or 0) + 1) if around else None
    suitable = {name: t for name, t in used.of_tests.items() if lines is None or set(t[1]) & set(lines)}
    return sorted(suitable, key=lambda name: suitable[name][0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the mutants of modules that no test notices; the exit status is 1 where there are some."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TESTS)}; none are all")
    parser.add_argument("--lines", type=int, nargs="+", help="only changes in these lines")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.modules) - TESTS.keys():
        parser.error(f"no tests are named for {', '.join(sorted(unknown))}; add them to TESTS in tests/mutants.py")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # of a mutant's time, most would go to loading plugins
    for name in LOADED_ONCE:
        importlib.import_module(name)
    return 1 if sum(survivors_of(path, chosen.lines) for path in chosen.modules or TESTS) else 0


def survivors_of(path: str, lines: Sequence[int] | None) -> int:
    """Print the mutants of one module that no test notices; return how many there are."""
    source, used = Path(path).read_text(), UsedLines(path)
    if exit_status(path, source, TESTS[path], used) != 0:
        sys.exit(f"{path}: its tests fail without any change: {' '.join(TESTS[path])}")
    mutants = [mutant for mutant in mutants_of(source) if not lines or mutant.line in lines]
    survived = 0
    for number, mutant in enumerate(mutants, 1):
        print(f"{path}: {number} of {len(mutants)}, line {mutant.line} ", end="\r", file=sys.stderr, flush=True)
        tests = tests_of(mutant.line, source, used)
        if tests and exit_status(path, mutant.source, tests) != 0:
            continue
        survived += 1
        note = "" if tests else " (no test runs it)"
        print(
            f"{path}:{mutant.line}: {mutant.operator}{note}",
            *_difference(source, mutant.source),
            sep="\n  ",
            flush=True,
        )
    print(f"{path}: {len(mutants)} mutants, {len(mutants) - survived} noticed, {survived} not", flush=True)
    return survived


def _difference(source: str, changed: str) -> list[str]:
    lines = difflib.unified_diff(source.splitlines(), changed.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


if __name__ == "__main__":
    sys.exit(main())
