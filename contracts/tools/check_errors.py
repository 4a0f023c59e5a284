"""Every custom error of src/ is expected by name in a test; what this prints is refused by nobody's test."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def main() -> int:
    """Exit 0 if each error is named in test/."""
    source = "\n".join(path.read_text() for path in (HERE / "src").rglob("*.sol"))
    tests = "\n".join(path.read_text() for path in (HERE / "test").glob("*.t.sol"))
    wanted = sorted(set(re.findall(r"\berror (\w+)\(", source)))
    untested = [name for name in wanted if not re.search(rf"\b{name}\b", tests)]
    for name in untested:
        sys.stderr.write(f"contracts/test names no revert {name}\n")
    return 1 if untested or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
