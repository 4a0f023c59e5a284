"""Promises of training: only what is proven is learned from, a seed gives one release, and numpy serves it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anomaly.forecast import archive, network
from anomaly.forecast.release import load
from anomaly.forecast.series import Collector
from lading import topics
from lading.batch import AnchorRecord
from lading.errors import LadingError, ProofError, ServiceError
from lading.log import SqliteLog
from tests.unit.anomaly.forecast_site import Site

torch = pytest.importorskip("torch", reason="the extra `train` is not installed: make venv-train")

LIMIT_S = 280


def lading(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lading.cli", "anomaly", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("forecast") / "site")


@pytest.fixture(scope="module")
def trained(site: Site) -> Path:
    folder = site.config.parent / "release"
    done = lading("train", folder, "--config", site.config, "--steps", 60, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["release"] == load(folder).id
    return folder


def test_the_same_seed_gives_the_same_release(site: Site, trained: Path) -> None:
    """Byte for byte, on one machine; the manifest names what was read, and the metrics have intervals."""
    again = site.config.parent / "again"
    done = lading("train", again, "--config", site.config, "--steps", 60)
    assert done.returncode == 0, done.stderr
    for name in ("manifest.json", "weights.safetensors"):
        assert (again / name).read_bytes() == (trained / name).read_bytes()
    manifest = load(trained).manifest
    assert (manifest.data.source, manifest.data.batches, manifest.data.channels) == ("archive", 3, 2)
    assert manifest.data.readings == sum(
        2 for n in range(4 * 288) if n % 97
    )  # those of a failed sensor are not
    metrics = {one.name: one for one in manifest.metrics}
    assert all(one.low <= one.value <= one.high for one in metrics.values())
    assert {"pinball/value/model", "pinball/value/seasonal", "coverage/above/0.9"} <= set(metrics)


def test_serving_says_what_torch_says(trained: Path) -> None:
    """Numpy's quantiles are torch's to 2e-5 of a scale, for inputs as large as they come."""
    from anomaly.forecast.module import Network

    release = load(trained)
    inputs = np.random.default_rng(2).uniform(-8, 8, (500, release.manifest.layers[0])).astype(np.float32)
    twin = Network(release.manifest)
    twin.load_state_dict({name: torch.from_numpy(tensor.copy()) for name, tensor in release.weights.items()})
    with torch.no_grad():
        wanted = twin(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(
        network.run(release.manifest, release.weights, inputs), wanted, rtol=2e-5, atol=2e-5
    )


def test_forecasts_from_the_archive(site: Site, trained: Path) -> None:
    """`lading anomaly forecast` serves a gateway's channel, with the risk and time of a breach."""
    done = lading("forecast", trained, "--config", site.config, "--channel", 2, "--upper", 7, "--json")
    assert done.returncode == 0, done.stderr
    (channel,) = json.loads(done.stdout)["channels"]
    assert channel["channel"] == 2
    assert len(channel["quantiles"]) == len(channel["breach"]["upper"]["probability"]) == 7
    assert channel["from_ms"] < channel["breach"]["upper"]["first_ms"] <= channel["from_ms"] + 3 * 3_600_000
    assert lading("forecast", trained, "--config", site.config, "--gateway", "beef").returncode == 2


def _rewrite(path: Path, name: str, change: Callable[[int], int]) -> None:
    table = pq.read_table(path)
    values = table.column(name).to_pylist()
    values[5] = change(values[5])
    at = table.schema.get_field_index(name)
    pq.write_table(table.set_column(at, name, pa.array(values, table.schema.field(name).type)), path)


def _flip(frame: bytes) -> bytes:
    return frame[:-40] + bytes([frame[-40] ^ 1]) + frame[-39:]


def _harm(data: Path, harm: str) -> tuple[Path, str]:
    """Do it, and say which file the refusal must name, and what it says."""
    frames, columns = (data / "archive" / "demo" / f"00000002.{ending}" for ending in ("frames", "parquet"))
    if harm == "frame":
        table = pq.read_table(frames)
        changed = pa.array([_flip(frame) for frame in table.column("frame").to_pylist()], pa.binary())
        pq.write_table(table.set_column(table.schema.get_field_index("frame"), "frame", changed), frames)
        return frames, "does not decode"
    if harm == "column":
        _rewrite(columns, "value", lambda value: value - 1_000)
        return columns, r"value \d+ in row 5, wanted \d+ of its frame"
    if harm == "missing":
        columns.unlink()
        return columns, "missing, wanted the file of an anchored batch"
    if harm == "cut":
        frames.write_bytes(frames.read_bytes()[:-100])
        return frames, "wanted Parquet"
    pq.write_table(pq.read_table(frames).slice(1), frames)
    return frames, "2 frames under [0-9a-f]{64}, wanted 3 under"


@pytest.mark.parametrize("harm", ["frame", "column", "missing", "cut", "left out"])
def test_a_tampered_archive_is_refused_by_name(site: Site, tmp_path: Path, harm: str) -> None:
    """A changed frame or column, a file missing or cut, a frame left out: its name, what was found and wanted."""
    shutil.copytree(site.config.parent / "data", tmp_path / "data")
    path, match = _harm(tmp_path / "data", harm)
    log = SqliteLog(tmp_path / "data" / "log.sqlite")
    with pytest.raises(ProofError, match=match) as refused:
        archive.load(log, tmp_path / "data" / "archive", Collector(1), lambda *_: None)
    log.close()
    assert str(path) in str(refused.value)


def _only_first(anchor: AnchorRecord) -> None:
    """A chain that has one interval."""
    if anchor.interval != 1:
        raise ProofError("anchor", f"the chain has no interval {anchor.interval}")


def test_a_log_that_lies_of_batches_is_refused(site: Site, tmp_path: Path) -> None:
    """A batch left out of the log, another root, a chain that does not know it: named. No anchors: no training."""
    log, records = SqliteLog(site.config.parent / "data" / "log.sqlite"), {}
    for topic in (topics.BATCHES, topics.ANCHORS):
        records[topic] = [(one.key, one.value) for one in log.read(topic, {}, 100)]
    log.close()
    batches, anchors = records[topics.BATCHES], records[topics.ANCHORS]
    forged = replace(AnchorRecord.decode(anchors[1][1]), super_root=bytes(32))
    wrong = [anchors[0], (anchors[1][0], forged.encode()), anchors[2]]

    def refused(error: type[LadingError], match: str, *told: list[tuple[bytes, bytes]]) -> None:
        other = SqliteLog(tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite")
        for topic, items in zip((topics.BATCHES, topics.ANCHORS), told, strict=True):
            other.append(topic, items)
        with pytest.raises(error, match=match):
            archive.load(other, site.archive, Collector(1), lambda *_: None, _only_first)
        other.close()

    after = r"00000003\.parquet: batch 3 after .*, wanted batch 2 after"
    refused(ProofError, after, [batches[0], batches[2]], anchors)
    refused(ProofError, r"00000002\.parquet: not in interval 2: root .*, wanted 00", batches, wrong)
    refused(ProofError, "the chain has no interval 2", batches, anchors)
    refused(ServiceError, "no batch of the log is anchored yet", batches, [])


def test_a_tampered_archive_ends_training_with_exit_1(site: Site, tmp_path: Path) -> None:
    """One line that names the file; neither a release nor a draft of one."""
    copy = tmp_path / "site"
    shutil.copytree(site.config.parent, copy, ignore=shutil.ignore_patterns("release", "again"))
    path, _ = _harm(copy / "data", "column")
    done = lading("train", copy / "out", "--config", copy / "lading.toml", "--steps", 10)
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert not [path for path in copy.iterdir() if "out" in path.name]


def test_an_interrupted_training_leaves_nothing(site: Site, tmp_path: Path) -> None:
    """SIGINT in the middle of it: exit 130, and neither a release nor a draft of one."""
    command = [sys.executable, "-m", "lading.cli", "anomaly", "train", str(tmp_path / "out")]
    command += ["--config", str(site.config), "--steps", "1000000"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # what a shell's `&` leaves ignored
    ) as it:
        assert it.stderr is not None
        for line in it.stderr:
            if "loss" in line:
                break
        it.send_signal(signal.SIGINT)
        it.stderr.read()
        assert it.wait(LIMIT_S) == 130
    assert not list(tmp_path.iterdir())


def test_too_few_rows_are_told(tmp_path: Path) -> None:
    """A csv with six rows, shorter than the furthest horizon: what was found and wanted, no release."""
    (tmp_path / "short.csv").write_text(
        "time,value\n" + "".join(f"2026-01-01 00:{5 * n:02d}:00,{n}\n" for n in range(6))
    )
    done = lading("train", tmp_path / "out", "--csv", tmp_path / "short.csv")
    assert done.returncode == 2
    assert "0 rows to learn from in 1 channels, wanted at least 200" in done.stderr
    assert not (tmp_path / "out").exists()
