"""tree.json and signature.json."""
# ruff: noqa: E501 (tables: a case a line)

from typing import Any

from tests.vectors import twin
from tests.vectors.twin import ORDER, Key, climb, h, leaf_hash, node, path, root

TREE_LEAVES_MAX = 2**32


def leaf(i: int) -> bytes:
    return b"leaf" + i.to_bytes(4, "big")


def tree() -> dict[str, Any]:
    return {
        "about": "docs/spec/tree.md. Leaf i of a tree is 'leaf' followed by i as u32. error: empty when accepted.",
        "roots": [_root(n) for n in [*range(18), 31, 32, 33, 63, 64, 65, 100]],
        "inclusion": [*_accepted(), *_largest(), *_refused()],
    }


def _root(count: int) -> dict[str, Any]:
    hashed = [leaf_hash(leaf(i)) for i in range(count)]
    return {"count": count, "leaf_hashes": hashed, "root": root(hashed)}


def _case(
    name: str, hashed: bytes, index: int, count: int, siblings: list[bytes], top: bytes, error: str
) -> dict[str, Any]:
    return {
        "name": name, "leaf_hash": hashed, "index": index, "count": count, "siblings": siblings, "root": top,
        "error": error,
    }  # fmt: skip


def _accepted() -> list[dict[str, Any]]:
    cases = []
    for count in [*range(1, 10), 13, 16, 17]:
        hashed = [leaf_hash(leaf(i)) for i in range(count)]
        for index in range(count):
            cases.append(
                _case(
                    f"{index} of {count}", hashed[index], index, count, path(hashed, index), root(hashed), ""
                )
            )
    return cases


def _largest() -> list[dict[str, Any]]:
    """The largest tree, from its siblings alone."""
    siblings = [h(b"sibling" + bytes([i])) for i in range(33)]
    one, most = leaf_hash(leaf(0)), TREE_LEAVES_MAX
    cases = []
    for index in (0, 1, 0x89ABCDEF, most - 1):
        top = climb(one, index, most, siblings[:32])
        cases.append(_case(f"{index} of the largest tree", one, index, most, siblings[:32], top, ""))
    last = climb(one, most - 2, most - 1, siblings[:31])
    cases.append(_case("last but one of 2^32 - 1", one, most - 2, most - 1, siblings[:31], last, ""))
    top = climb(one, 0, most, siblings[:32])
    cases.append(_case("index at the largest count", one, most, most, siblings[:32], top, "proof_index"))
    cases.append(_case("more leaves than the maximum", one, 0, most + 1, siblings, top, "proof_index"))
    cases.append(_case("33 siblings", one, 0, most, siblings, top, "proof_long"))
    return cases


def _refused() -> list[dict[str, Any]]:
    hashed = [leaf_hash(leaf(i)) for i in range(13)]
    top = root(hashed)

    def refused(
        name: str, error: str, leaf_: bytes = hashed[5], index: int = 5, count: int = 13, **given: Any
    ) -> dict[str, Any]:
        return _case(
            name, leaf_, index, count, given.get("siblings", path(hashed, 5)), given.get("root", top), error
        )

    good = path(hashed, 5)
    inner = node(hashed[4], hashed[5])
    three = [leaf_hash(leaf(i)) for i in range(3)]
    return [
        refused("no leaves", "proof_index", index=0, count=0, siblings=[], root=root([])),
        refused("index equals count", "proof_index", index=13),
        refused("index beyond count", "proof_index", index=2**32 - 1),
        refused("index beyond count, siblings of its low bits", "proof_index", index=13 + 5),
        refused("first sibling left out", "proof_short", siblings=good[1:]),
        refused("last sibling left out", "proof_short", siblings=good[:-1]),
        refused("no siblings", "proof_short", siblings=[]),
        refused("root given as its own leaf", "proof_short", leaf_=top, siblings=[]),
        refused("sibling added at the end", "proof_long", siblings=[*good, good[0]]),
        refused("sibling added at the start", "proof_long", siblings=[good[0], *good]),
        refused("one leaf with a sibling", "proof_long", index=0, count=1, siblings=[hashed[0]], root=node(hashed[5], hashed[0])),
        refused("promoted last leaf with an extra sibling", "proof_long", leaf_=hashed[12], index=12,
                siblings=[hashed[12], *path(hashed, 12)]),
        refused("siblings swapped", "proof_root", siblings=[good[1], good[0], *good[2:]]),
        refused("sibling changed in one bit", "proof_root", siblings=[bytes([good[0][0] ^ 1]) + good[0][1:], *good[1:]]),
        refused("another leaf", "proof_root", leaf_=hashed[6]),
        refused("right siblings, wrong index", "proof_root", index=4),
        refused("right siblings, index of the other half", "proof_root", index=5 ^ 8 if 5 ^ 8 < 13 else 1),
        refused("another root", "proof_root", root=root(hashed[:12])),
        refused("inner node as a leaf of a smaller tree", "proof_long", leaf_=inner, index=2, count=7, siblings=good),
        refused("inner node as a leaf, sibling dropped, full count", "proof_short", leaf_=inner, index=2, siblings=good[1:]),
        refused("64-byte leaf that spells an inner node", "proof_root", leaf_=leaf_hash(hashed[4] + hashed[5]), index=2, count=7,
                siblings=good[1:]),
        refused("leaf not hashed as a leaf", "proof_root", leaf_=h(leaf(5))),
        refused("last leaf counted twice", "proof_root", leaf_=three[2], index=3, count=4,
                siblings=[three[2], node(three[0], three[1])], root=root(three)),
        refused("count one too high, shape changes", "proof_root", leaf_=three[2], index=2, count=4,
                siblings=[three[2], node(three[0], three[1])], root=root(three)),
        refused("count too low, shape changes", "proof_long", leaf_=three[0], index=0, count=2,
                siblings=path(three, 0), root=root(three)),
        refused("count lie to the next power of two", "proof_short", leaf_=hashed[12], index=12, count=16,
                siblings=path(hashed, 12)),
        refused("leaves in reverse order", "proof_root", root=root(hashed[::-1])),
    ]  # fmt: skip


def signature() -> dict[str, Any]:
    return {
        "about": "docs/spec/frame.md, Signature: ECDSA P-256 over SHA-256 of the message, low s, r and s in 1..n-1.",
        "order": ORDER.to_bytes(32, "big"),
        "cases": _signatures(),
    }


def _signatures() -> list[dict[str, Any]]:
    key, other = Key("signature one"), Key("signature two")
    header = bytes([3, 1]) + bytes(219)
    message = twin.sig_structure(header)
    good = key.sign(message)
    r, s = good[:32], int.from_bytes(good[32:], "big")
    zero, n = bytes(32), ORDER.to_bytes(32, "big")
    prime = (2**256 - 2**224 + 2**192 + 2**96 - 1).to_bytes(32, "big")

    def case(
        name: str, ok: bool, sig: bytes = good, x: bytes = key.x, y: bytes = key.y, said: bytes = message
    ) -> dict[str, Any]:
        return {
            "name": name, "valid": ok, "x": x, "y": y, "message": said, "digest": h(said), "r": sig[:32], "s": sig[32:],
        }  # fmt: skip

    cases = [case("a header's Sig_structure", True)]
    for i in range(8):
        signer, text = Key(f"signer {i}"), b"message " + bytes([i]) * i
        cases.append(case(f"signer {i}", True, signer.sign(text), signer.x, signer.y, text))
    # Two messages a bit apart in s: one just low by chance of the key, and its high twin.
    cases += [
        case("empty message", True, key.sign(b""), said=b""),
        case("high s", False, r + (ORDER - s).to_bytes(32, "big")),
        case("s = 0", False, r + zero),
        case("r = 0", False, zero + good[32:]),
        case("r = 0 and s = 0", False, zero + zero),
        case("r = n", False, n + good[32:]),
        case("s = n", False, r + n),
        case("r above n", False, b"\xff" * 32 + good[32:]),
        case("s above n", False, r + b"\xff" * 32),
        case("r = 1, s = 1", False, bytes(31) + b"\1" + bytes(31) + b"\1"),
        case("r and s swapped", False, good[32:] + r),
        case("r changed in one bit", False, bytes([r[0] ^ 1]) + good[1:]),
        case("message changed in one bit", False, said=bytes([message[0] ^ 1]) + message[1:]),
        case("message without the last byte", False, said=message[:-1]),
        case("the header alone, not its Sig_structure", False, said=header),
        case("the frame hash's input", False, said=b"\0" + message),
        case("another key", False, x=other.x, y=other.y),
        case(
            "key's y negated",
            False,
            y=(int.from_bytes(prime, "big") - int.from_bytes(key.y, "big")).to_bytes(32, "big"),
        ),
        case("key not on the curve", False, y=bytes([key.y[0] ^ 1]) + key.y[1:]),
        case("point at infinity as key", False, x=zero, y=zero),
        case("key's x not below the prime", False, x=prime, y=key.y),
    ]
    return cases
