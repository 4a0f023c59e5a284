"""Python agrees with the frozen evidence files, which the twin made without it."""

from typing import Any

from lading.evidence import Evidence
from lading.verify import EXIT_GOOD, EXIT_UNUSABLE, Expected, verify
from tests.vectors.read import cases, vectors


@cases("evidence", "cases")
def test_evidence(case: dict[str, Any]) -> None:
    file = vectors("evidence")
    report = verify(case["bytes"], Expected(file["gateway"], file["operator"]))
    if case["error"]:
        assert report.exit_code(strict=True) == EXIT_UNUSABLE
        return
    assert report.exit_code(strict=True) == EXIT_GOOD, report.results
    evidence = Evidence.decode(case["bytes"])
    assert [proof.frame.header.hash for proof in evidence.frames] == file["frame_hashes"]
    assert evidence.encode() == case["bytes"]
