"""One target in this process: `python -m tests.fuzz.child TARGET SEED…`; libFuzzer's options come after."""

import sys

import atheris

with atheris.instrument_imports(include=["lading", "edge"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
