"""An episode's reason in words. No measured value is in them: readings may be erased, records of the log are not."""

from lading import quantities

REASONS = {
    "shape": "runs unlike any before",
    "daily": "unlike the same time of the last days",
    "sustained": "on one side of its middle for long",
}
OTHERWISE = "unlike what it was before"


def reason(detector: str, quantity: int) -> str:
    """Why the detector speaks, of a quantity."""
    return f"{quantities.name(quantity)} {REASONS.get(detector, OTHERWISE)}"
