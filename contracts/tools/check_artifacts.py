"""Compares contracts/artifacts with what forge built, byte for byte; `--write` replaces them.

Run after `forge build` in contracts/. The committed files let Python deploy and call the contracts without Node.
Those of earlier versions, in artifacts/v1 and so on, are frozen: each must have the digest in the folder's SHA256SUMS.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
CONTRACTS = (
    "AccessManager",
    "AnchorRegistry",
    "CoverPools",
    "CreditVault",
    "GatewayRegistry",
    "MockToken",
    "ParametricCover",
    "PenaltyEscrow",
)


def immutable_places(deployed: dict[str, Any]) -> list[dict[str, int]]:
    """Where immutables are written into the runtime code; the compiler's node ids vary, places do not."""
    references = deployed.get("immutableReferences", {})
    return sorted((place for places in references.values() for place in places), key=lambda p: p["start"])


def artifact(name: str) -> str:
    """The text to commit for one contract."""
    built = json.loads((HERE / "out" / f"{name}.sol" / f"{name}.json").read_text())
    metadata = built["metadata"]
    settings = metadata["settings"]
    content = {
        "contract": name,
        "compiler": metadata["compiler"]["version"],
        "settings": {key: settings[key] for key in ("evmVersion", "optimizer", "metadata", "remappings")},
        "sources": {path: source["keccak256"] for path, source in sorted(metadata["sources"].items())},
        "abi": built["abi"],
        "bytecode": built["bytecode"]["object"],
        "deployedBytecode": built["deployedBytecode"]["object"],
        "immutableReferences": immutable_places(built["deployedBytecode"]),
    }
    return json.dumps(content, indent=1) + "\n"


def frozen_wrong(folder: Path) -> list[str]:
    """Files of earlier versions that are not as committed, or that nothing vouches for."""
    wrong = []
    for version in sorted(path for path in folder.iterdir() if path.is_dir()):
        lines = (version / "SHA256SUMS").read_text().splitlines()
        wanted = {name: digest for digest, name in (line.split("  ") for line in lines)}
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in version.glob("*.json")}
        names = sorted(wanted.keys() | found.keys())
        wrong += [f"{version.name}/{name}" for name in names if wanted.get(name) != found.get(name)]
    return wrong


def main() -> int:
    """Exit 0 if all are the same (or written), 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the committed files")
    write = parser.parse_args().write
    folder = HERE / "artifacts"
    wanted = {f"{name}.json": artifact(name) for name in CONTRACTS}
    if write:
        folder.mkdir(exist_ok=True)
        for file_name, text in wanted.items():
            (folder / file_name).write_text(text)
    found = {path.name: path.read_text() for path in folder.glob("*.json")}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    for name in wrong:
        sys.stderr.write(f"contracts/artifacts/{name} is not what forge builds\n")
    frozen = frozen_wrong(folder)
    for name in frozen:
        sys.stderr.write(f"contracts/artifacts/{name} is frozen and not as SHA256SUMS says\n")
    return 1 if wrong or frozen else 0


if __name__ == "__main__":
    sys.exit(main())
