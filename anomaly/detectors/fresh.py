"""No kernel of yesterday: Numba keeps compiled code by a function's own file, but a kernel holds what it calls, too.

So what is kept of the detectors goes when any of their files changes; otherwise an update would score with both.
"""

import contextlib
from hashlib import sha256
from pathlib import Path

from anomaly.detectors.arith import ln

STAMP = "detectors.stamp"


def sources() -> str:
    """Digest of all files of the detectors."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()


def drop_stale(kept: Path, digest: str) -> bool:
    """Remove compiled kernels in `kept` that are of other sources; whether there were any."""
    stamp = kept / STAMP
    with contextlib.suppress(OSError):
        if stamp.exists() and stamp.read_text("ascii") == digest:
            return False
        kept.mkdir(parents=True, exist_ok=True)
        for index in kept.glob("*.nbi"):
            index.unlink(missing_ok=True)
        stamp.write_text(digest, "ascii")
        return True
    return False  # a folder that nobody may write to holds what was installed with it


def kept_in() -> Path:
    """Where Numba keeps the kernels of this folder."""
    return Path(str(ln.stats.cache_path))
