"""Takes each defence of tools/defences.toml out of the contracts in turn: a test named for its attack must then fail.

A defence names a statement by contract, function and text (white space does not count), what takes its place, and
tests. Copies of the sources, a defence short each, and of the tests that they need are built beside one another in
a scratch folder, because the compiler's start costs more than a contract. An untouched copy must pass every test.
A defence whose statement is not there exactly once, that does not compile, or whose tests pass without it, is an error.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
DEFENCES = HERE / "tools" / "defences.toml"
#: Copies in one build: more share the compiler's start, and need its memory, 32 bits wide.
COPIES_MAX = 12
FORGE_S_MAX = 900
IMPORT = re.compile(r'^import [^"]*"(\.[^"]+)";', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Defence:
    """A statement of a contract, and the tests that fail without it."""

    name: str
    where: str
    take: str
    put: str
    tests: tuple[str, ...]
    is_quick: bool

    @property
    def source(self) -> str:
        """The file of src/ that holds it."""
        return self.where.partition(".")[0] + ".sol"


class DefenceError(Exception):
    """What is wrong with the list of defences."""


def read_defences(path: Path = DEFENCES) -> list[Defence]:
    """The committed list, in its order."""
    rows = tomllib.loads(path.read_text("utf-8"))["defence"]
    found = [
        Defence(r["name"], r["where"], r["take"], r.get("put", ""), tuple(r["tests"]), r.get("quick", False))
        for r in rows
    ]
    if len({defence.name for defence in found}) != len(found):
        raise DefenceError("two defences of one name")
    return found


def bodies(text: str, function: str) -> Iterator[tuple[int, int]]:
    """Where functions of this name begin and end in a formatted source; the whole text if it is empty."""
    if not function:
        yield 0, len(text)
        return
    head = r"constructor\(" if function == "constructor" else rf"function {function}\("
    for match in re.finditer(rf"^    {head}", text, re.MULTILINE):
        end = text.find("\n    }\n", match.start())
        yield match.start(), end if end != -1 else len(text)


def without(text: str, defence: Defence) -> str:
    """The source without the defence."""
    words = [re.escape(word) for word in defence.take.split()]
    pattern = re.compile(r"\s+".join(words))
    function = defence.where.partition(".")[2]
    places = [match for start, end in bodies(text, function) for match in pattern.finditer(text, start, end)]
    if len(places) != 1:
        raise DefenceError(f"{defence.name}: found {len(places)} times in {defence.where}, wanted once")
    return text[: places[0].start()] + defence.put + text[places[0].end() :]


def file_of(test: str) -> Path:
    """The test file that declares the contract of `Contract.test`."""
    contract, _, function = test.partition(".")
    for path in sorted((HERE / "test").glob("*.t.sol")):
        text = path.read_text("utf-8")
        if re.search(rf"^contract {contract}\b", text, re.MULTILINE) and f"function {function}(" in text:
            return path
    raise DefenceError(f"no test {test}")


def closure(paths: Iterable[Path]) -> set[Path]:
    """The files and all that they import by relative path."""
    seen: set[Path] = set()
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += [(path.parent / name).resolve() for name in IMPORT.findall(path.read_text("utf-8"))]
    return seen


def copy(folder: Path, tests: Iterable[str], defence: Defence | None) -> None:
    """Sources and tests as far as `tests` need them, without the defence."""
    for path in closure({file_of(test) for test in tests}):
        place = folder / path.relative_to(HERE)
        place.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8")
        is_taken = defence is not None and path == HERE / "src" / defence.source
        place.write_text(without(text, defence) if is_taken and defence else text, "utf-8")


def scratch(folder: Path) -> Path:
    """An empty forge project with this one's tools, settings and vectors."""
    root = folder / "contracts"
    shutil.copytree(HERE / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "foundry.toml", root)
    (root / "node_modules").symlink_to(HERE / "node_modules")
    shutil.copytree(HERE.parent / "tests" / "vectors", folder / "tests" / "vectors")
    return root


def forge(root: Path, tests: Iterable[str]) -> dict[str, Any] | None:
    """What the tests of these names did in each suite; None if it does not compile."""
    names = "|".join(sorted({test.partition(".")[2] for test in tests}))
    command = ["forge", "test", "--json", "--match-test", rf"^({names})\("]
    tools = f"{HERE / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"FOUNDRY_PROFILE": "mutants", "PATH": tools}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=FORGE_S_MAX)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        sys.stderr.write(done.stdout[-2000:] + done.stderr[-2000:])
        return None
    return found


def statuses(suites: dict[str, Any], copy_name: str) -> dict[str, str]:
    """Of one copy: how each `Contract.test` ended."""
    found = {}
    for suite, result in suites.items():
        path, _, contract = suite.rpartition(":")
        if path.startswith(f"test/{copy_name}/"):
            for test, outcome in result["test_results"].items():
                found[f"{contract}.{test.partition('(')[0]}"] = str(outcome["status"])
    return found


def judge(defence: Defence, found: dict[str, str]) -> str:
    """ "" if every named test failed, else what went wrong."""
    if any(test.endswith(".setUp") for test in found):
        return "the set-up fails too: too much was taken out"
    passed = [test for test in defence.tests if found.get(test) != "Failure"]
    return f"passes without it: {', '.join(passed)}" if passed else ""


def run_batch(batch: Sequence[Defence]) -> dict[str, str]:
    """What went wrong, by defence; "" where the tests fail as they must."""
    tests = sorted({test for one in batch for test in one.tests})
    with tempfile.TemporaryDirectory(prefix="lading-mutants-") as folder:
        root = scratch(Path(folder))
        copy(root / "test" / "untouched", tests, None)
        for number, defence in enumerate(batch):
            copy(root / "test" / f"m{number}", defence.tests, defence)
        suites = forge(root, tests)
    if suites is None and len(batch) == 1:
        return {batch[0].name: "does not compile"}
    if suites is None:
        half = len(batch) // 2
        return run_batch(batch[:half]) | run_batch(batch[half:])
    untouched = statuses(suites, "untouched")
    bad = [test for test in tests if untouched.get(test) != "Success"]
    if bad:
        raise DefenceError(f"fails with all defences in place: {', '.join(bad)}")
    return {one.name: judge(one, statuses(suites, f"m{number}")) for number, one in enumerate(batch)}


def say(line: str) -> None:
    """A line at once, for whoever waits."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(defences: Sequence[Defence]) -> bool:
    """Prints a line a defence; whether all are as they must be."""
    by_file = sorted(defences, key=lambda one: sorted(str(file_of(test)) for test in one.tests))
    is_good = True
    for start in range(0, len(by_file), COPIES_MAX):
        batch = by_file[start : start + COPIES_MAX]
        started_s = time.monotonic()
        wrong = run_batch(batch)
        for one in batch:
            why = wrong[one.name]
            is_good = is_good and not why
            say(f"{one.name:34} {one.where:36} {why or 'fails without it'}")
        say(f"  {len(batch)} in {time.monotonic() - started_s:.0f} s")
    return is_good


def main() -> int:
    """Exit 0 if every named test fails without its defence."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="these defences; repeat")
    parser.add_argument("--quick", action="store_true", help="the short set that CI runs")
    asked = parser.parse_args()
    try:
        defences = read_defences()
        unknown = set(asked.only or ()) - {one.name for one in defences}
        if unknown:
            raise DefenceError(f"no defence {', '.join(sorted(unknown))}")
        wanted = [
            one
            for one in defences
            if (not asked.only or one.name in asked.only) and (not asked.quick or one.is_quick)
        ]
        return 0 if run(wanted) else 1
    except DefenceError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
