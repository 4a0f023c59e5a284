"""Runs slither on what forge built in out/slither and holds its findings against the answers in slither.md.

Run it by the Python of the environment that slither is in. A finding is named by its detector and place, so that a
moved line changes nothing.
"""

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
ANSWERS = HERE / "slither.md"
#: `| detector | Contract.function | results | why |`
ROW = re.compile(r"^\| ([a-z0-9-]+) \| `([\w.]+)` \| ([1-9]\d*) \| \S.* \|$", re.MULTILINE)
COMMAND = [
    str(Path(sys.executable).parent / "slither"),
    ".",
    "--foundry-ignore-compile",
    "--foundry-out-directory=out/slither",
    "--filter-paths=contracts/node_modules/",
    "--fail-none",
    "--json=-",
]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What a detector reports of a place, `Contract.function`; it may do so several times."""

    detector: str
    place: str


def place_of(element: dict[str, Any]) -> str:
    """An element of slither's JSON with all that it lies in, outermost first."""
    parent = element.get("type_specific_fields", {}).get("parent")
    return f"{place_of(parent)}.{element['name']}" if parent else str(element["name"])


def read_findings(text: str) -> dict[Finding, list[str]]:
    """slither's own words on each finding, from its JSON. ValueError where slither failed."""
    said = json.loads(text)
    if not said["success"]:
        raise ValueError(f"slither failed: {said['error']}")
    found: defaultdict[Finding, list[str]] = defaultdict(list)
    for one in said["results"].get("detectors", []):
        found[Finding(one["check"], place_of(one["elements"][0]))].append(one["description"])
    return dict(found)


def read_answers(text: str) -> Counter[Finding]:
    """How many results each row of slither.md answers."""
    answered: Counter[Finding] = Counter()
    for detector, place, results in ROW.findall(text):
        answered[Finding(detector, place)] += int(results)
    return answered


def differences(found: dict[Finding, list[str]], answered: Counter[Finding]) -> list[str]:
    """One line, and what slither says, for each finding without its answer and answer without its finding."""
    return [
        f"{one.detector} of {one.place}: {len(found.get(one, []))} found, {answered[one]} answered\n"
        + "".join(found.get(one, []))
        for one in sorted(found.keys() | answered.keys())
        if len(found.get(one, [])) != answered[one]
    ]


def main() -> int:
    """Exit 0 if findings and answers are the same."""
    ran = subprocess.run(COMMAND, cwd=HERE, capture_output=True, text=True)
    if ran.returncode or not ran.stdout:
        sys.stderr.write(ran.stdout + ran.stderr)
        return 1
    found = read_findings(ran.stdout)
    wrong = differences(found, read_answers(ANSWERS.read_text("utf-8")))
    sys.stderr.writelines(wrong)
    sys.stdout.write(
        f"{sum(map(len, found.values()))} results of slither, {len(wrong)} not as in slither.md\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
