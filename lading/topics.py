"""Names on MQTT, in the log and in the archive."""

ROOT = "lading/v1"

# What decides about a gateway lies in one partition number: raw messages, frames, orders, clone proofs, verdicts,
# anomalies and dead letters have its id as key, so that who works on a partition needs no other
# (docs/adr/0043-partitions.md).
RAW = "lading.raw.v1"  # key gateway id, value lading/raw/1: what came, before any check, where admission is apart
FRAMES = "lading.frames.v1"  # key gateway id, value frame bytes that passed every check
DEAD = "lading.dead.v1"  # key gateway id as the message names it, value lading/dead/1
CLONES = "lading.clones.v1"  # key gateway id, value lading/clone/1
ASSIGNMENTS = "lading.assignments.v1"  # key gateway id, value assignment message
BATCHES = "lading.batches.v1"  # key tenant id, value lading/batch/1
ANCHORS = "lading.anchors.v1"  # key interval u64, value lading/anchor/1
VERDICTS = "lading.verdicts.v1"  # key gateway id, value lading/verdict-record/1
ANOMALIES = (
    "lading.anomalies.v1"  # key gateway id, value lading/episode/1, lading/scores/1 or lading/forecast/1
)
SETTLEMENTS = (
    "lading.settlements.v1"  # key agreement or cover id, value lading/settlement/1 or 2, or lading/payout/1
)

OF_A_GATEWAY = (RAW, FRAMES, DEAD, CLONES, ASSIGNMENTS, VERDICTS, ANOMALIES)
LOG_TOPICS = (*OF_A_GATEWAY, BATCHES, ANCHORS, SETTLEMENTS)


def gateway_topic(tenant: str, gateway_id: bytes, kind: str) -> str:
    """`lading/v1/<tenant>/<gateway id hex>/<kind>`; kinds: frames, status, assignment, senml."""
    return f"{ROOT}/{tenant}/{gateway_id.hex()}/{kind}"


def anchors_topic(tenant: str) -> str:
    """Retained: the newest anchor record, so that gateways can name it in their frames."""
    return f"{ROOT}/{tenant}/anchors"
