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
from dashboards.model import EventMark, Offline, Report
from dashboards.report import write_report
from dashboards.summary import print_summary
from demo.closing import Closing, Scene
from demo.outcome import read_outcome
from demo.run import SETTLE_MS, Run
from demo.story import BEGIN_MS, END_MS, FLEET, events
from edge.simulation import Channel
from lading import logs
from lading.errors import ServiceError
from lading.profiles import load

app = typer.Typer(add_completion=False)
MARKER = ".lading-demo"  # what tells a folder that the demo may empty


@app.command()
def demo(
    seed: Annotated[
        int, typer.Option(help="One seed gives the same verdicts, totals and roots every time.")
    ] = 1,
    out: Annotated[Path, typer.Option(help="Folder for everything that the run leaves.")] = Path("demo-out"),
    as_json: Annotated[bool, typer.Option("--json", help="One document on stdout.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines also on a terminal.")] = False,
) -> None:
    """Run the whole path, from sensors to settlements, and check what it leaves."""
    logs.configure("demo", level=logging.ERROR)  # the live view says what happens
    started_s = time.monotonic()
    prepare(out)
    with LiveView(END_MS + SETTLE_MS - BEGIN_MS, force_plain=plain) as view:
        run = Run(seed, out, view)
        try:
            run.play()
            run.finish()
            closing = Closing(
                read_outcome(run.stages.log), out, run.stages.log, run.chainside.chain, run.operator_key
            )
            closing.export(run.clock())
            report = closing.report(scene(run), run.clock())
            document = closing.document()
        finally:
            run.close()
    write(out, report, document, as_json)
    Console(stderr=True).print(
        f"\n{run.readings:,} readings in {time.monotonic() - started_s:.1f} s; report: {out / 'report.html'}"
    )


def prepare(out: Path) -> None:
    """An empty folder; one that an earlier demo left is emptied, anything else is not touched."""
    if out.exists() and any(out.iterdir()):
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
    print_summary(Console(stderr=True), report)
    if as_json:
        sys.stdout.write(text + "\n")


def scene(run: Run) -> Scene:
    """Names, stretches and events of the story."""
    names = {int(channel): channel.name.lower() for channel in Channel}
    return Scene(
        "Lading demo: three trucks and a cold room",
        "Two simulated weeks: a truck offline for 50 hours, a compressor failure, a failed sensor, a cloned key.",
        BEGIN_MS,
        END_MS,
        {member.gateway_id: dict(names) for member in run.members},
        {leg.reference: load(leg.profile).title for plan in FLEET for leg in plan.legs},
        tuple(Offline(plan.name, gap.begin_ms, gap.end_ms) for plan in FLEET for gap in plan.offline),
        tuple(EventMark(event.time_ms, event.gateway, event.text) for event in events()),
        parties={account.address: name for name, account in run.chainside.accounts.items()},
    )
