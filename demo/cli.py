"""`lading demo`: the whole path in one process, on simulated or recorded sensors."""

import json
import logging
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dashboards.live import LiveView
from dashboards.model import EventMark, Offline, Report, SkippedLine
from dashboards.report import write_report
from dashboards.summary import print_summary
from demo.closing import Closing, Scene
from demo.document import cover_row, shown_row
from demo.outcome import read_outcome
from demo.replaying import ReplayRun
from demo.rig import Rig
from demo.run import SETTLE_MS, StoryRun
from demo.story import BEGIN_MS, END_MS, FLEET, events
from edge.mapping import Mapping, load_mapping
from edge.replay import detect, find_files
from edge.simulation import Channel
from lading import logs
from lading.errors import ServiceError
from lading.profiles import load
from lading.terminal import columns_of

app = typer.Typer(add_completion=False)
MARKER = ".lading-demo"  # what tells a folder that the demo may empty
SHOWN_BYTES = 200


@app.command()
def demo(
    seed: Annotated[
        int, typer.Option(help="One seed gives the same verdicts, totals and roots every time.")
    ] = 1,
    out: Annotated[Path, typer.Option(help="Folder for everything that the run leaves.")] = Path("demo-out"),
    as_json: Annotated[bool, typer.Option("--json", help="One document on stdout.")] = False,
    replay: Annotated[
        list[Path] | None,
        typer.Option("--replay", help="Recorded csv, plain or gzip, or a folder of them; may repeat."),
    ] = None,
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Further recordings.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option("--map", help="What the columns mean (docs/replay.md); else it is guessed.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines also on a terminal.")] = False,
) -> None:
    """Run the whole path, from sensors to settlements, and check what it leaves."""
    logs.configure("demo", level=logging.ERROR)  # the live view says what happens
    if (more or mapping) and not replay:
        raise ServiceError("usage", "recordings and --map are for --replay PATH…")
    started_s = time.monotonic()
    # What was asked for is read before an earlier run is thrown away.
    files = find_files([*replay, *(more or [])]) if replay else []
    meaning = (load_mapping(mapping) if mapping else detect(files)) if files else None
    prepare(out)
    if meaning is None:
        rig, report, document = run_story(seed, out, plain)
    else:
        rig, report, document = run_replay(seed, out, plain, files, meaning)
    write(out, report, document, as_json)
    Console(stderr=True).print(
        f"\n{rig.readings:,} readings in {time.monotonic() - started_s:.1f} s; report: {out / 'report.html'}"
    )


def run_story(seed: int, out: Path, plain: bool) -> tuple[Rig, Report, dict[str, object]]:
    """The two simulated weeks."""
    with LiveView(END_MS + SETTLE_MS - BEGIN_MS, force_plain=plain) as view:
        run = StoryRun(seed, out, view)
        try:
            run.play()
            return run.rig, *conclude(run.rig, out, story_scene(run))
        finally:
            run.rig.close()


def run_replay(
    seed: int, out: Path, plain: bool, files: list[Path], mapping: Mapping
) -> tuple[Rig, Report, dict[str, object]]:
    """Recorded data through the same stages."""
    with LiveView(1, title="lading demo --replay", force_plain=plain) as view:
        run = ReplayRun(seed, out, view, files, mapping)
        try:
            run.play()
            report, document = conclude(run.rig, out, replay_scene(run, files, mapping))
        finally:
            run.rig.close()
    lines = run.replay.report
    document["replay"] = {
        "files": [str(path) for path in files],
        "lines": lines.lines,
        "readings": run.rig.readings,
        "faults": lines.faults,
        "behind": lines.behind,
        "not_taken": [{"where": one.origin, "code": one.code, "why": one.reason} for one in run.refused],
    }
    return run.rig, report, document


def conclude(rig: Rig, out: Path, scene: Scene) -> tuple[Report, dict[str, object]]:
    """Evidence files, each checked; the report and the document."""
    closing = Closing(
        read_outcome(rig.stages.log),
        out,
        rig.stages.log,
        rig.chainside.chain,
        rig.chainside.deployment.anchors,
        rig.operator_key,
    )
    closing.export(rig.clock())
    shown = [shown_row(one) for one in rig.chainside.shown()]
    more = {
        "covers": [cover_row(one, closing.outcome) for one in rig.chainside.covers.values()],
        "shown": shown,
    }
    document: dict[str, object] = closing.document() | more
    return closing.report(scene, rig.clock()), document


def prepare(out: Path) -> None:
    """An empty folder; one that an earlier demo left is emptied, anything else is not touched."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / MARKER).exists():
            raise ServiceError(
                "out", f"{out} is not empty and no demo wrote it; give another folder with --out"
            )
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()


def write(out: Path, report: Report, document: dict[str, object], as_json: bool) -> None:
    """The report, the summary for people on stderr, and the document: a file, and stdout if asked for."""
    write_report(out / "report.html", report)
    text = json.dumps(document, indent=1)
    (out / "result.json").write_text(text + "\n", "utf-8")
    print_summary(Console(stderr=True, width=columns_of(sys.stderr)), report)
    if as_json:
        sys.stdout.write(text + "\n")


def story_scene(run: StoryRun) -> Scene:
    """Names, stretches and events of the story."""
    names = {int(channel): channel.name.lower() for channel in Channel}
    return Scene(
        "Lading demo: three trucks and a cold room",
        "Two simulated weeks: a truck offline for 50 hours, a compressor failure, a failed sensor, a cloned key.",
        BEGIN_MS,
        END_MS,
        {member.gateway_id: dict(names) for member in run.rig.members},
        {leg.reference: load(leg.profile).title for plan in FLEET for leg in plan.legs},
        tuple(Offline(plan.name, gap.begin_ms, gap.end_ms) for plan in FLEET for gap in plan.offline),
        tuple(EventMark(event.time_ms, event.gateway, event.text) for event in events()),
        parties=parties(run.rig),
    )


def replay_scene(run: ReplayRun, files: list[Path], mapping: Mapping) -> Scene:
    """Names of the recording's sensors, and every line that was not taken."""
    labels = {
        model.name: {one.channel: one.label or f"sensor {one.sensor}" for one in model.channel}
        for model in mapping.gateway
    }
    skipped = tuple(
        SkippedLine(
            file,
            int(line or 0),
            f"{one.code}: {one.reason}",
            one.data[:SHOWN_BYTES].decode("utf-8", "replace"),
        )
        for one in run.refused
        for file, _, line in [one.origin.rpartition(":")]
    )
    return Scene(
        "Lading replay",
        f"{run.rig.readings:,} readings of {len(files)} files, through the same stages as live ones.",
        run.begin_ms,
        run.rig.clock(),
        {member.gateway_id: labels[member.name] for member in run.rig.members},
        skipped=skipped,
        parties=parties(run.rig),
    )


def parties(rig: Rig) -> dict[bytes, str]:
    """Who is behind an address."""
    return {account.address: name for name, account in rig.chainside.accounts.items()}
