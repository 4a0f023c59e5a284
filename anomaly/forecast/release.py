"""Releases of the forecaster (docs/spec/release.md): a manifest and weights in a folder, checked whole before use."""

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from anomaly.forecast import features
from lading.errors import MalformedError, ServiceError
from lading.fields import TIME_MS_MAX
from lading.tree import sha256

FORMAT: Literal["lading/release/1"] = "lading/release/1"
MANIFEST_NAME = "manifest.json"
WEIGHTS_NAME: Literal["weights.safetensors"] = "weights.safetensors"
MANIFEST_BYTES_MAX, WEIGHTS_BYTES_MAX = 1_048_576, 64 * 1_048_576
BLOCKS = 3
"""Of the outputs: value, level held above, level held below."""
_DAY_MS = 86_400_000

Weights = dict[str, npt.NDArray[np.float32]]
Count = Annotated[int, Field(ge=0, le=2**53)]
Span = Annotated[int, Field(ge=1_000, le=_DAY_MS)]
Moment = Annotated[int, Field(ge=0, le=TIME_MS_MAX)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Data(_Part):
    """What the model learned from."""

    source: Literal["archive", "csv"]
    root: Digest
    batches: Count
    frames: Count
    readings: Count
    channels: Count
    first_ms: Moment
    last_ms: Moment
    held_out_from: Annotated[float, Field(ge=0, le=1)]


class Training(_Part):
    """How it learned."""

    seed: Count
    steps: Count
    batch_rows: Count
    learning_rate: float
    weight_decay: float
    rows: Count


class Code(_Part):
    """What it was trained by."""

    commit: Annotated[str, Field(pattern="^([0-9a-f]{40}(-dirty)?|unknown)$")]
    versions: Annotated[dict[Name, Name], Field(max_length=16)]


class Metric(_Part):
    """A figure on what was held out, with its 95 % interval."""

    name: Name
    value: float
    low: float
    high: float
    count: Count


class WeightsFile(_Part):
    """The file beside the manifest."""

    file: Literal["weights.safetensors"]
    sha256: Digest
    bytes: Annotated[int, Field(ge=1, le=WEIGHTS_BYTES_MAX)]


class Shape(_Part):
    """What goes in and what comes out: the part of a manifest that serving needs."""

    features: Literal[1]
    quantity: Annotated[int, Field(ge=1, le=65_535)]
    step_ms: Span
    hold_ms: Span
    pause_ms: Annotated[int, Field(ge=0, le=_DAY_MS)]
    horizons_ms: Annotated[list[Span], Field(min_length=1, max_length=64)]
    quantiles: Annotated[list[float], Field(min_length=3, max_length=64)]
    layers: Annotated[list[Annotated[int, Field(ge=1, le=4_096)]], Field(min_length=2, max_length=8)]

    @model_validator(mode="after")
    def _check(self) -> "Shape":
        _require_ascending("horizons_ms", self.horizons_ms)
        _require_ascending("quantiles", self.quantiles)
        if not 0 < self.quantiles[0] <= self.quantiles[-1] < 1:
            raise ValueError(f"quantiles {self.quantiles}, wanted them between 0 and 1")
        if any(span % self.step_ms for span in (*self.horizons_ms, self.hold_ms, self.pause_ms)):
            raise ValueError(f"horizons, hold and pause, wanted whole rows of {self.step_ms} ms")
        wanted = (features.FEATURES, BLOCKS * len(self.horizons_ms) * len(self.quantiles))
        if (self.layers[0], self.layers[-1]) != wanted:
            raise ValueError(f"layers {self.layers}, wanted {wanted[0]} inputs and {wanted[1]} outputs")
        return self

    def rows(self, span_ms: int) -> int:
        """A span of time in rows."""
        return span_ms // self.step_ms

    @property
    def stretch(self) -> tuple[int, int]:
        """Hold and pause in rows."""
        return self.rows(self.hold_ms), self.rows(self.pause_ms)

    @property
    def horizons(self) -> tuple[int, ...]:
        """Horizons in rows."""
        return tuple(self.rows(span_ms) for span_ms in self.horizons_ms)


class Manifest(Shape):
    """`manifest.json`."""

    format: Literal["lading/release/1"]
    kind: Literal["forecaster"]
    data: Data
    training: Training
    code: Code
    metrics: Annotated[list[Metric], Field(max_length=1_000)]
    weights: WeightsFile

    def encode(self) -> bytes:
        """The one way it is written."""
        return (json.dumps(self.model_dump(), sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def _require_ascending(name: str, found: list[int] | list[float]) -> None:
    if any(b <= a for a, b in itertools.pairwise(found)):
        raise ValueError(f"{name} {found}, wanted them ascending")


@dataclass(frozen=True, slots=True)
class Release:
    """A model that was read and checked."""

    id: str
    manifest: Manifest
    weights: Weights


def load(folder: Path) -> Release:
    """Read a release. ServiceError `release` where a file is not there, MalformedError `release` where it is wrong."""
    document = _read(folder / MANIFEST_NAME, MANIFEST_BYTES_MAX)
    manifest = _decode(folder / MANIFEST_NAME, document)
    path = folder / WEIGHTS_NAME
    data = _read(path, WEIGHTS_BYTES_MAX)
    found, wanted = sha256(data).hex(), manifest.weights.sha256
    if found != wanted:
        raise MalformedError("release", f"{path}: SHA-256 {found}, wanted {wanted} of the manifest")
    return Release(sha256(document).hex(), manifest, decode_weights(path, data, manifest.layers))


def _decode(path: Path, document: bytes) -> Manifest:
    try:
        fields = json.loads(document)
    except (ValueError, RecursionError) as exc:
        raise MalformedError("release", f"{path}: {exc}, wanted JSON") from exc
    found = fields.get("format") if isinstance(fields, dict) else None
    if found != FORMAT:
        raise MalformedError("release", f"{path}: format {str(found)[:40]!r}, wanted {FORMAT!r}")
    try:
        return Manifest.model_validate(fields)
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(map(str, first["loc"])) or "as a whole"
        raise MalformedError("release", f"{path}: {place}: {first['msg']}") from exc


def decode_weights(path: Path, data: bytes, layers: list[int]) -> Weights:
    """The tensors of these layers; MalformedError where they are others."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    try:
        found: Mapping[str, npt.NDArray[np.float32]] = load_tensors(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as exc:
        raise MalformedError("release", f"{path}: {exc}, wanted safetensors") from exc
    shapes = {name: (tensor.shape, str(tensor.dtype)) for name, tensor in found.items()}
    wanted = {name: (shape, "float32") for name, shape in shapes_of(layers).items()}
    if shapes != wanted:
        raise MalformedError("release", f"{path}: tensors {shapes}, wanted {wanted}")
    if broken := [name for name, tensor in found.items() if not np.isfinite(tensor).all()]:
        raise MalformedError("release", f"{path}: {broken[0]} has a number that is not finite")
    return dict(found)


def shapes_of(layers: list[int]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor."""
    shapes: dict[str, tuple[int, ...]] = {}
    for n, (before, after) in enumerate(itertools.pairwise(layers)):
        shapes[f"layers.{n}.weight"] = (after, before)
        shapes[f"layers.{n}.bias"] = (after,)
    return shapes


def encode_weights(weights: Weights) -> bytes:
    """In the safetensors format, tensors in the order of their names."""
    from safetensors.numpy import save

    return bytes(save({name: np.ascontiguousarray(weights[name]) for name in sorted(weights)}))


def write(folder: Path, manifest: Manifest, weights: bytes) -> str:
    """Write a release whole or not at all; its id. ServiceError where it is there, or cannot be made."""
    require_new(folder)
    document = manifest.encode()
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    try:
        draft.mkdir(parents=True)
        _write(draft / WEIGHTS_NAME, weights)
        _write(draft / MANIFEST_NAME, document)
        draft.rename(folder)
        _sync(folder.parent)
    except OSError as exc:
        raise ServiceError("release", f"{folder}: {exc.strerror or exc}") from exc
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(draft, ignore_errors=True)
    return sha256(document).hex()


def require_new(folder: Path) -> None:
    """A release is never overwritten."""
    if folder.exists():
        raise ServiceError("release", f"{folder}: found something there, wanted a name that is free")


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(bytes_max + 1)
    except OSError as exc:
        raise ServiceError("release", f"{path}: {exc.strerror or exc}") from exc
    if len(data) > bytes_max:
        raise MalformedError("release", f"{path}: more than {bytes_max} bytes")
    return data


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
