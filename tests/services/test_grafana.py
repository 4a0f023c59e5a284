"""Annotations and the comparison with Grafana, against a server that speaks the routes that Grafana documents.

No real Grafana was at hand: see docs/boards.md.
"""

import copy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dashboards.annotating import Annotator, keep_annotated
from dashboards.boards import documents
from dashboards.boards.cli import annotating
from dashboards.boards.influxql import DATASOURCE_UID
from dashboards.boards.provisioned import differences
from dashboards.boards.rulebook import ALERTS
from dashboards.cli import app
from dashboards.grafana import Grafana
from dashboards.settings import DashboardsSettings
from lading import topics
from lading.errors import ServiceError
from lading.gateways import GatewayEntry, GatewayFile, save_gateways
from lading.log import SqliteLog
from lading.rules import judge
from lading.settings import load_shared
from lading.settlement import Settlement
from lading.verdict import Verdict, VerdictRecord
from tests.legs import GATEWAY, TENANT
from tests.ports import free_port
from tests.series import CHANNELS, a_leg
from tests.services.grafana_peer import TOKEN, GrafanaPeer, grafana_peer
from tests.waiting import until

LEG = a_leg()


class Place:
    """A log, and a Grafana."""

    def __init__(self, folder: Path, peer: GrafanaPeer) -> None:
        self.peer = peer
        self.log = SqliteLog(folder / "log.sqlite")
        save_gateways(folder / "gateways.json", [GatewayEntry(GATEWAY.public, TENANT, name="truck-1")])
        self.gateways = GatewayFile(folder / "gateways.json")
        self.log.append(topics.ASSIGNMENTS, [(LEG.begin.gateway, LEG.order)])

    def annotator(self, **options: Any) -> Annotator:
        """As a new process opens it."""
        return Annotator(self.log, self.gateways, CHANNELS, Grafana(self.peer.url, TOKEN), **options)

    def add(self, verdict: Verdict) -> None:
        """A verdict into the log."""
        self.log.append(topics.VERDICTS, [(verdict.leg_id, VerdictRecord(verdict, None).encode())])

    def pay(self, kind: str = "penalty") -> None:
        """A payment into the log."""
        paid = Settlement(
            b"\1" * 32, LEG.begin.leg_id, b"\2" * 20, 1, b"", kind, 5000, b"\3" * 32, 7, b"\4" * 32, 90_000
        )  # type: ignore[arg-type]
        self.log.append(topics.SETTLEMENTS, [(paid.agreement, paid.encode())])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty log and an empty Grafana."""
    with grafana_peer() as peer:
        yield Place(tmp_path, peer)


def judged(frames: int, *, final: bool = False) -> Verdict:
    """The verdict over the leg's first frames."""
    return judge(LEG.begin, LEG.frames[:frames], [], final=final)


def breaches(verdict: Verdict) -> int:
    """How many findings are excursions."""
    return sum(finding.severity == "breach" for finding in verdict.findings)


def run(annotator: Annotator) -> int:
    """Until there is nothing new; how many were written."""
    while annotator.step():
        pass
    return annotator.written


def test_each_excursion_and_payment_is_annotated_once(place: Place) -> None:
    """With leg, gateway, part and rule; a second run, one from the beginning and one after a restart write nothing."""
    final = judged(4, final=True)
    place.add(final)
    place.pay()
    assert run(place.annotator()) == breaches(final) + 1 > 3
    texts = place.peer.texts()
    assert any(text.startswith("leg 1, cold, truck-1: ") and "in one stretch" in text for text in texts)
    assert any("penalty of 5000 paid" in text for text in texts)
    tags = {tag for one in place.peer.annotations.values() for tag in one["tags"]}
    assert {"lading", "excursion", "settlement", "gateway:truck-1", "leg:leg 1, cold", "final"} <= tags
    assert run(place.annotator()) == 0
    assert run(place.annotator(from_beginning=True)) == 0
    assert place.peer.texts() == texts


def test_a_later_verdict_corrects(place: Place) -> None:
    """What goes on is changed in place, what a later verdict no longer finds goes, what is new is added."""
    place.add(judged(1))
    run(place.annotator())
    first = dict(place.peer.annotations)
    place.add(judged(4, final=True))
    run(place.annotator())
    expected = breaches(judged(4, final=True))
    assert len(place.peer.annotations) == expected
    assert all(one["text"].endswith("(final)") for one in place.peer.annotations.values())
    kept = {number for number in first if number in place.peer.annotations}
    assert kept
    assert any(call.startswith("PATCH") for call in place.peer.calls)
    place.add(judged(1))
    run(place.annotator())
    assert len(place.peer.annotations) == len(first)


def test_only_the_newest_of_many_verdicts_is_annotated(place: Place) -> None:
    """A backlog of verdicts over one leg costs one look."""
    for frames in (1, 2, 3, 4):
        place.add(judged(frames))
    run(place.annotator())
    assert len(place.peer.annotations) == breaches(judged(4))
    assert sum(call.startswith("GET") for call in place.peer.calls) == 1


def test_an_answer_that_was_lost_makes_no_second_annotation(place: Place) -> None:
    """Grafana did it, its answer did not come: the next try finds it."""
    place.add(judged(4))
    place.pay()
    place.peer.lose = 2
    annotator = place.annotator()
    for _ in range(2):
        with pytest.raises(ServiceError, match="POST"):
            run(annotator)
    run(annotator)
    ids = [tag for one in place.peer.annotations.values() for tag in one["tags"] if tag.startswith("id:")]
    assert len(ids) == len(set(ids)) == breaches(judged(4)) + 1


def test_doubles_that_two_writers_left_are_removed(place: Place) -> None:
    """Of two with one id the later goes at the next verdict; a stranger's annotation stays."""
    place.add(judged(4))
    run(place.annotator())
    whole = place.peer.texts()
    twin = copy.deepcopy(place.peer.annotations[1])
    place.peer.annotations[900] = twin
    place.peer.annotations[901] = {"time": 1, "timeEnd": 1, "text": "mine", "tags": ["lading"]}
    run(place.annotator(from_beginning=True))
    assert 900 not in place.peer.annotations
    assert place.peer.annotations.pop(901)["text"] == "mine"
    assert place.peer.texts() == whole


def test_records_that_do_not_decode_are_passed_over(place: Place) -> None:
    """One bad record stops nothing."""
    place.log.append(topics.VERDICTS, [(b"x", b"no verdict")])
    place.log.append(topics.SETTLEMENTS, [(b"x", b"no settlement")])
    place.add(judged(4))
    assert run(place.annotator()) == breaches(judged(4))


def test_the_loop_outlives_grafana(place: Place) -> None:
    """Errors and an unreachable server are waited out; a stop ends it."""
    place.add(judged(4))
    place.peer.fail = 2
    stop = threading.Event()
    thread = threading.Thread(target=keep_annotated, args=(place.annotator, stop, 0.05))
    thread.start()
    try:
        until(lambda: len(place.peer.annotations) == breaches(judged(4)))
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_a_reference_cannot_bring_markup(place: Place) -> None:
    """Grafana shows texts as HTML."""
    hostile = a_leg(reference="<img src=x onerror=alert(1)> & " + "x" * 60)
    place.log.append(topics.ASSIGNMENTS, [(hostile.begin.gateway, hostile.order)])
    place.add(judge(hostile.begin, hostile.frames, [], final=False))
    run(place.annotator())
    assert all("<" not in text for text in place.peer.texts())


def test_a_wrong_token_is_an_error(place: Place) -> None:
    """It is told, and not taken for an empty Grafana."""
    with pytest.raises(ServiceError, match="Unauthorized"):
        Grafana(place.peer.url, "wrong").get("/annotations")
    assert Grafana(place.peer.url, TOKEN).get("/nothing") is None


def test_a_grafana_that_is_away_or_is_none_is_an_error(tmp_path: Path) -> None:
    """No server, and an address that is none."""
    with pytest.raises(ServiceError, match="grafana"):
        Grafana(f"http://127.0.0.1:{free_port()}", TOKEN).get("/annotations")
    with pytest.raises(ServiceError, match="wanted http"):
        Grafana("grafana.example", TOKEN)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        "login",
        [1],
        [{"id": "1", "time": 1, "text": "", "tags": []}],
        [{"id": 1, "time": 1, "text": ""}],
    ],
)
def test_an_answer_that_is_no_list_of_annotations_is_an_error(
    place: Place, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy's page, or another product: nothing is written, and it is tried again."""
    monkeypatch.setattr(place.peer, "_found", lambda query: answer)
    place.add(judged(4))
    with pytest.raises(ServiceError, match="annotations"):
        run(place.annotator())
    assert not place.peer.annotations


def test_annotations_are_kept_beside_other_work(place: Place, tmp_path: Path) -> None:
    """`lading dashboards run` annotates while it runs, and a second one beside it is refused."""
    (tmp_path / "grafana.token").write_text(TOKEN)
    (tmp_path / "lading.toml").write_text('[lading]\ndata = "."\n')
    shared = load_shared(tmp_path / "lading.toml")
    own = DashboardsSettings(grafana_url=place.peer.url, interval_s=1)
    with annotating(shared, own):
        place.add(judged(4))
        until(lambda: len(place.peer.annotations) == breaches(judged(4)))
        with pytest.raises(ServiceError, match="another process"), annotating(shared, own):
            pass
    with annotating(shared, own):
        pass


def test_the_command_annotates_what_the_log_has(place: Place, tmp_path: Path) -> None:
    """`lading dashboards annotate` with the settings' Grafana, and without one."""
    place.add(judged(4))
    (tmp_path / "grafana.token").write_text(TOKEN + "\n")
    (tmp_path / "lading.toml").write_text(
        f'[lading]\ndata = "."\n[dashboards]\ngrafana_url = "{place.peer.url}"\n'
        'grafana_token_file = "grafana.token"\n[lading.channels.truck-1]\n1 = "air"\n'
    )
    given = ["annotate", "--config", str(tmp_path / "lading.toml")]
    said = CliRunner().invoke(app, given)
    assert said.exit_code == 0, said.exception
    assert f"{breaches(judged(4))} annotations written" in said.output
    assert "0 annotations written" in CliRunner().invoke(app, given).output
    (tmp_path / "lading.toml").write_text('[lading]\ndata = "."\n')
    assert "grafana_url" in str(CliRunner().invoke(app, given).exception)


# What is provisioned against what is committed


def provision(peer: GrafanaPeer) -> None:
    """As Grafana would hold it: with numbers, versions and defaults of its own."""
    for board in documents.boards():
        shown = copy.deepcopy(board.document()) | {"id": 7, "version": 3}
        peer.boards[board.uid] = {"dashboard": shown, "meta": {"provisioned": True}}
    for alert in ALERTS:
        rule = copy.deepcopy(alert.document())
        seconds = int(rule["for"][:-1])
        rule["for"] = f"{seconds // 60}m" if seconds and seconds % 60 == 0 else f"{seconds}s"
        rule |= {"id": 1, "orgID": 1, "provenance": "file", "ruleGroup": "x"}
        rule["data"][0]["model"] |= {"hide": False}
        peer.rules.append(rule)
    peer.sources[DATASOURCE_UID] = {"type": "influxdb", "jsonData": {"dbName": "lading"}}


def told(peer: GrafanaPeer) -> list[str]:
    """The differences."""
    return list(differences(Grafana(peer.url, TOKEN)))


def test_what_is_provisioned_as_committed_is_no_difference(place: Place) -> None:
    """Numbers, versions, defaults and other spellings of durations are Grafana's own."""
    provision(place.peer)
    assert told(place.peer) == []


def test_an_empty_grafana_lacks_everything(place: Place) -> None:
    """Each board, each alert and the data source is named."""
    assert len(told(place.peer)) == len(documents.boards()) + len(ALERTS) + 1


def test_differences_are_named_with_their_place(place: Place) -> None:
    """A changed query, a paused alert, one that is no longer ours, another kind of source."""
    provision(place.peer)
    place.peer.boards["lading-fleet"]["dashboard"]["panels"][1]["targets"][0]["query"] = "SELECT 1"
    place.peer.rules[0]["isPaused"] = True
    place.peer.rules[1]["for"] = "3m"
    place.peer.rules.append({"uid": "lading-old"})
    place.peer.rules.append({"uid": "somebody-elses"})
    place.peer.sources[DATASOURCE_UID]["type"] = "prometheus"
    assert told(place.peer) == [
        "board lading-fleet differs: panels[1].targets[0].query",
        f"alert {ALERTS[0].uid} differs: isPaused",
        f"alert {ALERTS[1].uid} differs: for",
        "alert lading-old is there and is not ours any more",
        f"data source {DATASOURCE_UID} does not speak InfluxQL",
    ]
