"""The alerts, by what they cost when nobody looks. docs/operations.md has a page for each, `alert-<uid>`."""

from dashboards.boards.alerts import Alert
from dashboards.boards.chain import BALANCES, INTERVALS_OPEN
from dashboards.boards.fleet import BATTERY_LOW_V
from dashboards.boards.foresight import FORECAST_S, FORESEEN
from dashboards.boards.influxql import newest, where
from dashboards.boards.pipeline import named
from lading import metrics

HOUR_S, DAY_S = 3600, 86_400
OUTBOX_FRAMES = 500
ANCHOR_LAG_S = 1800
INTERVALS_OPEN_MAX = 30
DEAD_LETTERS = 10
LAG_RECORDS = 1000
SERIES_RECORDS = 10_000
DISK_FREE_BYTES = 2 * 2**30
BALANCE_WEI = 10**16
ARCHIVE_BATCHES = 10

_LEG = ("tenant", "gateway", "leg")
_GATEWAY = ("tenant", "gateway")
_PROCESS = ("stage", "instance")
_WHO = "{{ $labels.gateway }}"
_WHICH = "leg {{ $labels.leg }} of {{ $labels.gateway }}"
_PLACE = "{{ $labels.stage }} {{ $labels.instance }}"


def _silence(field: str, measurement: str, condition: str, step: str, steps: int, *tags: str) -> str:
    """A figure that is 0 once `steps` steps, the one that has just begun among them, had no point."""
    by = ", ".join(f'"{tag}"' for tag in tags)
    figure = f"moving_average({field}, {steps})"
    return f'SELECT {figure} FROM "{measurement}" {where(condition)} GROUP BY time({step}), {by} fill(0)'


def _findings(severity: str, more: str) -> str:
    condition = f'"severity" = \'{severity}\' AND "active" = 1 AND {more}'
    return newest('sum("active")', "finding", condition, *_LEG)


CARGO = (
    Alert(
        "lading-excursion",
        "Excursion open",
        "critical",
        _findings("breach", '"final" = 0'),
        14 * DAY_S,
        "gt",
        0,
        0,
        f"{_WHICH}: {{{{ $values.B }}}} findings break the limits",
        "The newest verdict, still provisional, says that the leg's limits are broken. There may be time to act.",
        ("lading-shipment", 31),
    ),
    Alert(
        "lading-breach-final",
        "Breach is final",
        "critical",
        newest('count("verdict_id")', "verdict", '"final" = 1 AND "breach" = 1 AND "superseded" = 0', *_LEG),
        DAY_S,
        "gt",
        0,
        0,
        f"{_WHICH}: the breach is final",
        "Every frame of the verdict is in a finalized anchor: agreements over this leg will pay by it.",
        ("lading-shipment", 53),
    ),
    Alert(
        "lading-foreseen",
        "Breach foreseen",
        "warning",
        newest('last("soon")', "risk", "", *_LEG, "part", "channel", "side"),
        FORECAST_S,
        "gt",
        FORESEEN,
        0,
        f"{_WHICH}: channel {{{{ $labels.channel }}}} may break its {{{{ $labels.side }}}} limit soon",
        "The newest forecast finds a breach within 45 minutes more probable than 20 %. Nothing has happened yet.",
        ("lading-shipment", 62),
    ),
    Alert(
        "lading-sensor",
        "Sensor faulty or stuck",
        "warning",
        _findings("notice", '"final" = 0'),
        14 * DAY_S,
        "gt",
        0,
        0,
        f"{_WHICH}: {{{{ $values.B }}}} notices about its sensors",
        "A sensor failed, stuck or jumped, or its gateway's clock was unset. What it missed is unknown time.",
        ("lading-shipment", 31),
    ),
    Alert(
        "lading-settlement",
        "Settlement made",
        "info",
        newest('count("amount")', "settlement", "", "tenant", "leg", "kind"),
        HOUR_S,
        "gt",
        0,
        0,
        "leg {{ $labels.leg }}: {{ $labels.kind }}",
        "An agreement or a cover over the leg has ended; the board has amount and transaction.",
        ("lading-evidence", 34),
    ),
)

GATEWAYS = (
    Alert(
        "lading-silent",
        "Gateway silent",
        "critical",
        _silence('count("frame_seq")', "gateway", "", "15m", 2, *_GATEWAY),
        2 * DAY_S,
        "lt",
        0.5,
        0,
        f"{_WHO} has sent no frame for 15 to 30 minutes",
        "Without frames there is no proof: the time counts as a gap once it is longer than the leg allows.",
        ("lading-fleet", 22),
    ),
    Alert(
        "lading-outbox",
        "Outbox filling",
        "warning",
        newest('last("outbox_frames")', "status", "", *_GATEWAY),
        HOUR_S,
        "gt",
        OUTBOX_FRAMES,
        600,
        f"{_WHO}: {{{{ $values.B }}}} frames wait for the link",
        "The gateway is heard, but its frames do not get through as fast as it signs them.",
        ("lading-fleet", 42),
    ),
    Alert(
        "lading-outbox-full",
        "Outbox full: readings are lost",
        "critical",
        newest('last("outbox_full")', "status", "", *_GATEWAY),
        DAY_S,
        "gt",
        0,
        0,
        f"{_WHO} refuses readings: its outbox is full",
        "New readings are refused and counted; what is signed stays. They will be a gap of the leg.",
        ("lading-fleet", 23),
    ),
    Alert(
        "lading-battery",
        "Battery low",
        "warning",
        newest('last("battery")', "gateway", "", *_GATEWAY),
        HOUR_S,
        "lt",
        BATTERY_LOW_V,
        600,
        f"{_WHO}: battery at {{{{ $values.B }}}} V",
        f"Below {BATTERY_LOW_V} V a gateway will soon be silent.",
        ("lading-fleet", 41),
    ),
    Alert(
        "lading-clone",
        "Two frames with one number",
        "critical",
        newest('sum("count")', "dead", "\"code\" = 'equivocation'", "tenant"),
        7 * DAY_S,
        "gt",
        0,
        0,
        "tenant {{ $labels.tenant }}: a gateway signed two frames with one number",
        "Its key is used elsewhere, or its state was put back. The leg counts as forked, and pays as its terms say.",
        ("lading-evidence", 42),
    ),
)

EVIDENCE = (
    Alert(
        "lading-anchor-lag",
        "Anchors are late",
        "warning",
        newest('last("lag_s")', "anchor", ""),
        6 * HOUR_S,
        "gt",
        ANCHOR_LAG_S,
        300,
        "the newest anchored interval was {{ $values.B }} s old when its block came",
        "Anchoring, the transaction's fee or the chain is slow. Evidence is delayed, none is lost.",
        ("lading-evidence", 21),
    ),
    Alert(
        "lading-not-final",
        "Chain does not finalize",
        "critical",
        INTERVALS_OPEN,
        DAY_S,
        "gt",
        INTERVALS_OPEN_MAX,
        600,
        "{{ $values.B }} intervals are not final",
        "Verdicts stay provisional and agreements unpaid until the chain finalizes these anchors.",
        ("lading-evidence", 22),
    ),
    Alert(
        "lading-balance",
        "Account runs out of gas money",
        "warning",
        newest('last("value")', "metric", BALANCES, *_PROCESS),
        HOUR_S,
        "lt",
        BALANCE_WEI,
        300,
        f"{_PLACE}: less than 0.01 ether left for gas",
        "At nothing, no anchor and no settlement can be sent any more.",
        ("lading-evidence", 15),
    ),
    Alert(
        "lading-dead-letters",
        "Dead letters rising",
        "warning",
        newest('sum("count")', "dead", "", "tenant", "code"),
        HOUR_S,
        "gt",
        DEAD_LETTERS,
        0,
        "{{ $values.B }} messages refused as {{ $labels.code }} within the hour",
        "Ingest keeps their bytes. A gateway that is not enrolled, a wrong clock, or somebody trying.",
        ("lading-evidence", 41),
    ),
    Alert(
        "lading-archive",
        "Archive is behind",
        "warning",
        newest('min("value")', "metric", named(metrics.ARCHIVE_BEHIND), "instance"),
        HOUR_S // 2,
        "gt",
        ARCHIVE_BATCHES,
        0,
        "{{ $labels.instance }}: {{ $values.B }} batches wait for the archive",
        "Proofs of readings are made from the archive: without it they must wait. The log still has the frames.",
        ("lading-pipeline", 21),
    ),
)

SERVICES = (
    Alert(
        "lading-stage-down",
        "Stage down or not ready",
        "critical",
        _silence('mean("value")', "metric", named(metrics.PROCESS_READY), "1m", 4, *_PROCESS),
        6 * HOUR_S,
        "lt",
        0.5,
        60,
        f"{_PLACE} does not answer, or says that it is not ready",
        "The process ended, hangs, or something that it needs does not work.",
        ("lading-pipeline", 17),
    ),
    Alert(
        "lading-lag",
        "A reader of the log is behind",
        "warning",
        newest('min("records")', "lag", "\"group\" != 'series'", "group", "topic"),
        600,
        "gt",
        LAG_RECORDS,
        0,
        "{{ $labels.group }} is {{ $values.B }} records behind in {{ $labels.topic }}",
        "In ten minutes it was never closer: verdicts, anchors or payments come late.",
        ("lading-pipeline", 24),
    ),
    Alert(
        "lading-series-behind",
        "Time series is behind or stopped",
        "warning",
        newest('min("records")', "lag", "\"group\" = 'series'", "topic"),
        600,
        "gt",
        SERIES_RECORDS,
        0,
        "the boards are {{ $values.B }} records behind, or nothing is written at all",
        "Boards and alerts show the past. Nothing upstream waits for them, and what was missed is filled in later.",
        ("lading-pipeline", 44),
        no_data="Alerting",
    ),
    Alert(
        "lading-disk",
        "Disk is filling",
        "critical",
        newest('last("value")', "metric", named(metrics.PROCESS_DISK_FREE), *_PROCESS),
        600,
        "lt",
        DISK_FREE_BYTES,
        120,
        f"{_PLACE}: {{{{ $values.B }}}} bytes free",
        "On a full disk nothing is acknowledged any more: gateways keep their frames until their outboxes are full.",
        ("lading-pipeline", 14),
    ),
)

ALERTS: tuple[Alert, ...] = (*CARGO, *GATEWAYS, *EVIDENCE, *SERVICES)
