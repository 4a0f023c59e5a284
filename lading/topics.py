"""Names on MQTT, in the log and in the archive."""

ROOT = "lading/v1"

FRAMES = "lading.frames.v1"  # key gateway id, value frame bytes that passed every check
DEAD = "lading.dead.v1"  # key code, value lading/dead/1
CLONES = "lading.clones.v1"  # key gateway id, value lading/clone/1
ASSIGNMENTS = "lading.assignments.v1"  # key gateway id, value assignment message
BATCHES = "lading.batches.v1"  # key tenant id, value lading/batch/1
ANCHORS = "lading.anchors.v1"  # key interval u64, value lading/anchor/1
VERDICTS = "lading.verdicts.v1"  # key leg id, value lading/verdict-record/1
SETTLEMENTS = "lading.settlements.v1"  # key agreement id, value lading/settlement/1

LOG_TOPICS = (FRAMES, DEAD, CLONES, ASSIGNMENTS, BATCHES, ANCHORS, VERDICTS, SETTLEMENTS)


def gateway_topic(tenant: str, gateway_id: bytes, kind: str) -> str:
    """`lading/v1/<tenant>/<gateway id hex>/<kind>`; kinds: frames, status, assignment, senml."""
    return f"{ROOT}/{tenant}/{gateway_id.hex()}/{kind}"


def anchors_topic(tenant: str) -> str:
    """Retained: the newest anchor record, so that gateways can name it in their frames."""
    return f"{ROOT}/{tenant}/anchors"
