"""`lading log`: the topics are made once, and shown with their readers, in a file and on the real Kafka."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lading import topics
from lading.errors import ServiceError
from lading.log_cli import app
from lading.opening import open_log
from lading.settings import load_shared
from tests.services.kafka_broker import KafkaBroker, fresh_prefix


@pytest.fixture(params=["sqlite", "kafka"])
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Settings of a log with three partitions."""
    lines = ["[log]", f'kind = "{request.param}"', "partitions = 3"]
    if request.param == "kafka":
        broker: KafkaBroker = request.getfixturevalue("kafka")
        lines += [
            f'bootstrap = "{broker.bootstrap}"',
            f'prefix = "{fresh_prefix()}"',
            "create_topics = false",
        ]
    path = tmp_path / "lading.toml"
    path.write_text("\n".join(lines), "utf-8")
    return path


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_topics_are_made_once(config: Path) -> None:
    """A second `init` changes nothing."""
    made = json.loads(run("init", "--config", config, "--json"))
    assert made == {"partitions": 3, "made": dict.fromkeys(topics.LOG_TOPICS, True)}
    assert "lading.frames.v1           is there" in run("init", "--config", config)


def test_who_is_how_far(config: Path) -> None:
    """Offsets by partition, and each group's lag."""
    run("init", "--config", config)
    log = open_log(load_shared(config))
    places = log.append(topics.FRAMES, [(b"%d" % n, b"x") for n in range(9)])
    log.commit("anomaly", topics.FRAMES, {places[0][0]: 1})
    log.close()
    found = {one["topic"]: one for one in json.loads(run("list", "--config", config, "--json"))["topics"]}
    frames = found[topics.FRAMES]
    assert sum(frames["end"].values()) == 9
    assert frames["begin"] == {"0": 0, "1": 0, "2": 0}
    assert frames["groups"] == {"anomaly": {"committed": {str(places[0][0]): 1}, "lag": 8}}
    assert found[topics.DEAD]["groups"] == {}
    text = run("list", "--config", config)
    assert "9 records in 3 partitions" in text
    assert "8 behind" in text


def test_other_partitions_are_refused(tmp_path: Path, kafka: KafkaBroker) -> None:
    """Keys would go elsewhere: the error names what the topic has and what the settings say."""
    path = tmp_path / "lading.toml"
    head = f'[log]\nkind = "kafka"\nbootstrap = "{kafka.bootstrap}"\nprefix = "{fresh_prefix()}"\n'
    path.write_text(head + "partitions = 2\n", "utf-8")
    run("init", "--config", path)
    path.write_text(head + "partitions = 4\n", "utf-8")
    log = open_log(load_shared(path))
    for use in (
        lambda: log.append(topics.FRAMES, [(b"k", b"v")]),
        lambda: log.read(topics.FRAMES, {}, 1),
        lambda: log.create(topics.FRAMES),
    ):
        with pytest.raises(ServiceError, match=r"log_topic: .*has 2 partitions, wanted 4"):
            use()
    log.close()


def test_a_topic_that_may_not_be_made(tmp_path: Path, kafka: KafkaBroker) -> None:
    """Where `create_topics` is false the first append says which command makes the topic."""
    path = tmp_path / "lading.toml"
    path.write_text(
        f'[log]\nkind = "kafka"\nbootstrap = "{kafka.bootstrap}"\nprefix = "{fresh_prefix()}"\ncreate_topics = false\n'
    )
    log = open_log(load_shared(path))
    with pytest.raises(ServiceError, match=r"log_topic: .*lading log init"):
        log.append(topics.FRAMES, [(b"k", b"v")])
    log.close()
