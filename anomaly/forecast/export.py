"""From what was learned to a release."""

import subprocess
from importlib import metadata
from pathlib import Path

from anomaly.forecast import release
from anomaly.forecast.release import Code, Data, Manifest, Metric, Shape, Training, Weights, WeightsFile
from lading import __version__
from lading.tree import sha256

PACKAGES = ("numpy", "numba", "torch", "pytorch-lightning")
GIT_LIMIT_S = 10.0


def export(
    folder: Path, shape: Shape, weights: Weights, data: Data, training: Training, metrics: list[Metric]
) -> str:
    """Write the release; its id."""
    encoded = release.encode_weights(weights)
    manifest = Manifest(
        **shape.model_dump(),
        format=release.FORMAT,
        kind="forecaster",
        data=data,
        training=training,
        code=Code(commit=commit(Path(__file__).parent), versions=versions()),
        metrics=metrics,
        weights=WeightsFile(file=release.WEIGHTS_NAME, sha256=sha256(encoded).hex(), bytes=len(encoded)),
    )
    return release.write(folder, manifest, encoded)


def versions() -> dict[str, str]:
    """Of what the result depends on."""
    return {"lading-evidence": __version__, **{name: metadata.version(name) for name in PACKAGES}}


def commit(folder: Path) -> str:
    """The commit of the checkout that this code lies in; `unknown` for an installed package."""
    head = _git(folder, "rev-parse", "--verify", "HEAD")
    tracked = _git(folder, "ls-files", "--error-unmatch", "release.py")
    if head is None or tracked is None:
        return "unknown"
    return head + ("-dirty" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
