"""Checking many ECDSA P-256 signatures by keys that were seen before: lanes against one call of OpenSSL each."""

from benchmarks.measure import Result, Work, compare
from lading.cose import KeySigner
from lading.signatures import USES_BEFORE_TABLE, Claim, Signatures
from lading.tree import sha256

KEYS, CLAIMS = 16, 1_024


def check_singly(claims: list[Claim]) -> None:
    """The peer: `cryptography` over the prehashed digest, key objects kept."""
    for key, digest, signature in claims:
        key.verify_digest(digest, signature)


def run(*, quick: bool) -> list[Result]:
    """Digests of 32 bytes, low-s signatures, keys in turns."""
    signers = [KeySigner.from_seed(b"signing %d" % i) for i in range(KEYS)]
    claims: list[Claim] = []
    for i in range(CLAIMS // 4 if quick else CLAIMS):
        message, signer = b"%d" % i, signers[i % KEYS]
        claims.append((signer.public, sha256(message), signer.sign(message)))
    signatures = Signatures(claims_before_tables=0)
    for _ in range(1 + (USES_BEFORE_TABLE + 1) * KEYS // len(claims)):
        assert signatures.check(claims) == [None] * len(claims)
    few = claims[: len(claims) // 4]
    works = {
        "lading.signatures": Work(lambda: signatures.check(claims), len(claims)),
        "cryptography, one by one": Work(lambda: check_singly(few), len(few)),
    }
    data = f"{len(claims)} signatures of {KEYS} keys; peer {len(few)}; one thread"
    return [compare("signature check", "signatures/s", data, works, quick=quick)]
