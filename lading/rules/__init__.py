"""The rules over one leg: pure integers, the same verdict for everyone (docs/spec/verdict.md).

`judge` takes a leg's frames at once, as a verifier has them; `LegTrack` takes them one by one in bounded state,
as a detector does. Both give the same bytes.
"""

from lading.rules.judge import SignedAs, find_fork, is_missing, judge
from lading.rules.leg import Fork, LegTrack
from lading.rules.snapshot import load, save
from lading.rules.track import Summary
from lading.rules.view import FrameView, RunView, summarize, view
from lading.rules.words import amount, describe, duration

__all__ = [
    "Fork",
    "FrameView",
    "LegTrack",
    "RunView",
    "SignedAs",
    "Summary",
    "amount",
    "describe",
    "duration",
    "find_fork",
    "is_missing",
    "judge",
    "load",
    "save",
    "summarize",
    "view",
]
