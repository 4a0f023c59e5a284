"""receipt.json: ingest's word that frames are durable."""

from typing import Any

from tests.vectors.cases_documents import _but, _case
from tests.vectors.cases_frame import leg_parts, sealed
from tests.vectors.twin import cbor, h


def receipt_file() -> dict[str, Any]:
    digest = h(sealed(leg_parts())["bytes"])
    good = ["lading/receipt/1", [[3, digest]]]
    return {
        "about": "docs/spec/receipt.md. error: empty when accepted, else 'refused'.",
        "receipts": [
            _case("one frame", good),
            _case("none", _but(good, 1, [])),
            _case("256 frames, any order", _but(good, 1, [[n, digest] for n in reversed(range(256))])),
            _case("greatest number", _but(good, 1, [[2**64 - 1, digest]])),
            _case("257 frames", _but(good, 1, [[n, digest] for n in range(257)]), "refused"),
            _case("digest of 31 bytes", _but(good, 1, [[3, digest[1:]]]), "refused"),
            _case("negative number", _but(good, 1, [[-1, digest]]), "refused"),
            _case("number as text", _but(good, 1, [["3", digest]]), "refused"),
            _case("an item of three", _but(good, 1, [[3, digest, 0]]), "refused"),
            _case("another tag", _but(good, 0, "lading/receipt/2"), "refused"),
            _case("a field too many", [*good, None], "refused"),
            _case("trailing byte", cbor(good) + b"\0", "refused"),
        ],
    }
