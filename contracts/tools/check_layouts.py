"""Compares contracts/layouts with the storage layouts that forge built; `--write` replaces them.

Run after `forge build` in contracts/. A changed layout is seen in review: which fields share a slot is what a call
costs, and a later version that is to read an earlier one's storage must not move any.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from check_artifacts import CONTRACTS  # type: ignore[import-not-found]  # beside this file, as a script finds it

HERE = Path(__file__).resolve().parent.parent
FOLDER = HERE / "layouts"


def fields(storage: list[dict[str, Any]], types: dict[str, Any]) -> list[dict[str, Any]]:
    """Where each field lies, without the compiler's node ids, which vary."""
    return [
        {"slot": int(one["slot"]), "offset": one["offset"], "bytes": int(types[one["type"]]["numberOfBytes"])}
        | {"name": one["label"], "type": types[one["type"]]["label"]}
        for one in storage
    ]


def layout(name: str) -> str:
    """The text to commit for one contract: its own fields, and the structs that they lead to."""
    built = json.loads((HERE / "out" / f"{name}.sol" / f"{name}.json").read_text())["storageLayout"]
    types = built["types"] or {}
    structs = {
        re.sub(r"^struct ", "", one["label"]): fields(one["members"], types)
        for one in types.values()
        if "members" in one
    }
    content = {
        "contract": name,
        "storage": fields(built["storage"], types),
        "structs": dict(sorted(structs.items())),
    }
    return json.dumps(content, indent=1) + "\n"


def main() -> int:
    """Exit 0 if all are the same (or written), 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the committed files")
    wanted = {f"{name}.json": layout(name) for name in CONTRACTS}
    if parser.parse_args().write:
        FOLDER.mkdir(exist_ok=True)
        for file_name, text in wanted.items():
            (FOLDER / file_name).write_text(text)
    found = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    for name in wrong:
        sys.stderr.write(f"contracts/layouts/{name} is not what forge builds\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
