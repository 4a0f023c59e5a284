"""forecast.json: forecasts of channels (docs/spec/anomaly.md)."""

from typing import Any

from tests.vectors.cases_documents import _but, _case
from tests.vectors.cases_frame import KEY, LEG, LIMITS, START
from tests.vectors.twin import cbor, h, limits_bytes


def forecast() -> dict[str, Any]:
    return {
        "about": "docs/spec/anomaly.md. error: empty when accepted, else 'refused'.",
        "forecasts": _forecasts(),
    }


def _forecasts() -> list[dict[str, Any]]:
    whose = [h(b"release"), LEG, KEY.id, h(limits_bytes(LIMITS)), 1, 1]
    upper = [8_000, [12_000, 431_000], START + 1_200_000]
    good = [
        "lading/forecast/1", *whose, START, [900_000, 3_600_000], [100_000, 500_000, 900_000],
        [[-1_200, 4_000, 4_000], [3_100, 4_500, 9_700]], upper, None,
    ]  # fmt: skip

    def risk(index: int, value: Any) -> list[Any]:
        return _but(good, 11, _but(upper, index, value))

    return [
        _case("upper limit", good), _case("both limits", _but(good, 12, [2_000, [0, 1_000_000], None])),
        _case("no limit", _but(good, 11, None)),
        _case("another tag", _but(good, 0, "lading/forecast/2"), "refused"),
        _case("an item too few", good[:-1], "refused"), _case("an item too many", [*good, None], "refused"),
        _case("release of 31 bytes", _but(good, 1, bytes(31)), "refused"),
        _case("channel 65536", _but(good, 5, 65_536), "refused"),
        _case("no horizon", _but(_but(good, 8, []), 10, []), "refused"),
        _case("horizon of now", _but(good, 8, [0, 3_600_000]), "refused"),
        _case("horizons that descend", _but(good, 8, [3_600_000, 900_000]), "refused"),
        _case("quantile of 1", _but(good, 9, [100_000, 500_000, 1_000_000]), "refused"),
        _case("a quantile twice", _but(good, 9, [100_000, 500_000, 500_000]), "refused"),
        _case("a row too few", _but(good, 10, good[10][:1]), "refused"),
        _case("a value too few", _but(good, 10, [good[10][0], good[10][1][:2]]), "refused"),
        _case("values that descend", _but(good, 10, [good[10][0], [3_100, 4_500, 4_499]]), "refused"),
        _case("limit as text", risk(0, "8000"), "refused"), _case("share above 1", risk(1, [0, 1_000_001]), "refused"),
        _case("shares that descend", risk(1, [2, 1]), "refused"), _case("a share too few", risk(1, [1]), "refused"),
        _case("first time below 0", risk(2, -1), "refused"),
        _case("risk of two items", _but(good, 11, upper[:2]), "refused"),
        _case("trailing byte", cbor(good) + b"\0", "refused"),
    ]  # fmt: skip
