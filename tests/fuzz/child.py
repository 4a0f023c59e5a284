"""One target in this process: `python -m tests.fuzz.child TARGET SEED…`; libFuzzer's options come after."""

import sys

import atheris

# numba compiles these from their bytecode, which must be as it was written.
KERNELS = [
    f"lading.{name}"
    for name in ("fast", "lanes", "p256_lanes", "p256", "refold", "sha16", "unaligned", "walk")
]

with atheris.instrument_imports(include=["lading"], exclude=KERNELS):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
