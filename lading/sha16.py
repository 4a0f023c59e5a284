"""SHA-256 of sixteen messages at a time: vector IR that LLVM maps to the widest registers the machine has.

Source: FIPS 180-4 section 6.2. The 64 rounds are unrolled over `<16 x i32>` values, one lane a message, with
`llvm.fshl` for the rotations; without AVX-512 LLVM splits the vectors, so the digests are the same everywhere.

Offsets are bytes into the arrays' data and are NOT checked: the kernels that call these own the bounds.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

LANES = 16
STATE_WORDS = 8
BLOCK_WORDS = 16
BLOCK_BYTES = 64
DIGEST_BYTES = 32

# FIPS 180-4 sections 4.2.2 and 5.3.3.
# fmt: off
_K = (
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
)
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
# fmt: on

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_I32, LANES)
_NODE_PREFIX = 0x01000000
_NODE_BITS = 8 * 65
_END_MARK = 0x00800000  # the end mark after one byte of a word

Vector = Any  # a vector of sixteen words, one a lane, in the IR that is being built: llvmlite is untyped
_cgutils: Any = cgutils


def intrinsic(function: Callable[..., Any]) -> Any:
    """numba's decorator, whose type hides the arguments that kernels pass."""
    return extending.intrinsic(function)


def _splat(word: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [word & 0xFFFFFFFF] * LANES)


class _Emitter:
    """Emits vector IR at one builder's position; names follow FIPS 180-4."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.b = builder
        self.module = builder.module

    def _call(self, name: str, *args: Vector) -> Vector:
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(args))
        function = self.module.globals.get(name) or ir.Function(self.module, kind, name)
        return self.b.call(function, args)

    def rotate(self, x: Vector, right: int) -> Vector:
        return self.join(x, x, 32 - right)

    def join(self, high: Vector, low: Vector, left: int) -> Vector:
        """The upper 32 bits of (high ‖ low) << left."""
        return self._call("llvm.fshl.v16i32", high, low, _splat(left))

    def swap(self, x: Vector) -> Vector:
        return self._call("llvm.bswap.v16i32", x)

    def xor(self, x: Vector, y: Vector, z: Vector) -> Vector:
        return self.b.xor(self.b.xor(x, y), z)

    def add(self, first: Vector, *rest: Vector) -> Vector:
        for x in rest:
            first = self.b.add(first, x)
        return first

    def schedule(self, words: Sequence[Vector]) -> list[Vector]:
        w = list(words)
        for t in range(BLOCK_WORDS, len(_K)):
            s0 = self.xor(
                self.rotate(w[t - 15], 7), self.rotate(w[t - 15], 18), self.b.lshr(w[t - 15], _splat(3))
            )
            s1 = self.xor(
                self.rotate(w[t - 2], 17), self.rotate(w[t - 2], 19), self.b.lshr(w[t - 2], _splat(10))
            )
            w.append(self.add(w[t - 16], w[t - 7], s0, s1))
        return w

    def compress(self, state: Sequence[Vector], words: Sequence[Vector]) -> list[Vector]:
        """The state after one block; the majority reuses a ⊕ b of the round before."""
        a, b, c, d, e, f, g, h = state
        b_c = self.b.xor(b, c)
        for k, word in zip(_K, self.schedule(words), strict=True):
            sum1 = self.xor(self.rotate(e, 6), self.rotate(e, 11), self.rotate(e, 25))
            choice = self.b.xor(self.b.and_(e, self.b.xor(f, g)), g)
            t1 = self.add(h, self.add(word, _splat(k)), choice, sum1)
            sum0 = self.xor(self.rotate(a, 2), self.rotate(a, 13), self.rotate(a, 22))
            a_b = self.b.xor(a, b)
            majority = self.b.xor(self.b.and_(a_b, b_c), b)
            a, b, c, d, e, f, g, h, b_c = (
                self.add(t1, sum0, majority),
                a,
                b,
                c,
                self.b.add(d, t1),
                e,
                f,
                g,
                a_b,
            )
        return [self.b.add(old, new) for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)]

    def transpose(self, rows: Sequence[Vector]) -> list[Vector]:
        """Sixteen rows of sixteen words to sixteen columns: swap off-diagonal blocks of 8, 4, 2 and 1."""
        found = list(rows)
        for block in (8, 4, 2, 1):
            low = [j if not j & block else LANES + j - block for j in range(LANES)]
            high = [j + block if not j & block else LANES + j for j in range(LANES)]
            for i in (i for i in range(LANES) if not i & block):
                upper, lower = found[i], found[i + block]
                found[i] = self._shuffle(upper, lower, low)
                found[i + block] = self._shuffle(upper, lower, high)
        return found

    def _shuffle(self, x: Vector, y: Vector, lanes: list[int]) -> Vector:
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, len(lanes)), lanes))

    def pointer(self, base: Vector, offset: Vector, kind: ir.Type) -> Vector:
        return self.b.bitcast(self.b.gep(base, [offset]), kind.as_pointer())

    def load_words(self, base: Vector, count: int) -> list[Vector]:
        """`count` vectors kept word by word, from scratch of u32."""
        at = self.b.bitcast(base, _VECTOR.as_pointer())
        return [self.b.load(self.b.gep(at, [_I64(i)]), align=4) for i in range(count)]

    def store_words(self, base: Vector, words: Sequence[Vector]) -> None:
        at = self.b.bitcast(base, _VECTOR.as_pointer())
        for i, word in enumerate(words):
            self.b.store(word, self.b.gep(at, [_I64(i)]), align=4)

    def load_rows(self, base: Vector, offsets: Vector) -> list[Vector]:
        """The 64 bytes at each lane's offset, as sixteen big-endian words across lanes."""
        rows = []
        for lane in range(LANES):
            offset = self.b.load(self.b.gep(offsets, [_I64(lane)]))
            rows.append(self.swap(self.b.load(self.pointer(base, offset, _VECTOR), align=1)))
        return self.transpose(rows)

    def store_rows(self, base: Vector, offsets: Vector, state: Sequence[Vector]) -> None:
        """Each lane's digest, 32 bytes big-endian, to its offset."""
        digest = ir.VectorType(_I32, STATE_WORDS)
        blank = ir.Constant(_VECTOR, ir.Undefined)
        rows = self.transpose([*(self.swap(word) for word in state), *[blank] * (LANES - STATE_WORDS)])
        for lane, row in enumerate(rows):
            offset = self.b.load(self.b.gep(offsets, [_I64(lane)]))
            self.b.store(
                self._shuffle(row, row, list(range(STATE_WORDS))), self.pointer(base, offset, digest), align=1
            )

    def node(self, words: Sequence[Vector]) -> list[Vector]:
        """State after 01 ‖ 64 bytes: the words move on by a byte, the last byte begins the second block."""
        start = [_splat(word) for word in IV]
        shifted = [self.join(left, right, 24) for left, right in pairwise(words)]
        first = self.b.or_(self.b.lshr(words[0], _splat(8)), _splat(_NODE_PREFIX))
        second = self.b.or_(self.b.shl(words[-1], _splat(24)), _splat(_END_MARK))
        blank = [_splat(0)] * (BLOCK_WORDS - 2)
        return self.compress(self.compress(start, [first, *shifted]), [second, *blank, _splat(_NODE_BITS)])


_BYTES = types.Array(types.uint8, 1, "C")
_WORDS = types.Array(types.uint32, 1, "C")
_OFFSETS = types.Array(types.int64, 1, "C")


def _data(context: Any, builder: ir.IRBuilder, kinds: Sequence[Any], values: Sequence[Any]) -> list[Vector]:
    return [
        context.make_array(kind)(context, builder, value=v).data
        for kind, v in zip(kinds, values, strict=True)
    ]


@intrinsic
def compress_rows(typingctx: Any, state: Any, source: Any, offsets: Any) -> Any:
    """One block a lane: state (128,) u32 word by word; 64 bytes at source[offsets[lane]]."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        state, source, offsets = _data(context, builder, signature.args, args)
        emit = _Emitter(builder)
        found = emit.compress(emit.load_words(state, STATE_WORDS), emit.load_rows(source, offsets))
        emit.store_words(state, found)
        return context.get_dummy_value()

    return types.void(_WORDS, _BYTES, _OFFSETS), codegen


@intrinsic
def store_digests(typingctx: Any, state: Any, target: Any, offsets: Any) -> Any:
    """Each lane's state as a digest of 32 bytes to target[offsets[lane]]."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        state, target, offsets = _data(context, builder, signature.args, args)
        emit = _Emitter(builder)
        emit.store_rows(target, offsets, emit.load_words(state, STATE_WORDS))
        return context.get_dummy_value()

    return types.void(_WORDS, _BYTES, _OFFSETS), codegen


@intrinsic
def hash_words(typingctx: Any, words: Any, target: Any, offsets: Any) -> Any:
    """Digests of one-block messages kept word by word, padding included: words (256,) u32, to target[offsets[lane]]."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        words, target, offsets = _data(context, builder, signature.args, args)
        emit = _Emitter(builder)
        state = emit.compress([_splat(word) for word in IV], emit.load_words(words, BLOCK_WORDS))
        emit.store_rows(target, offsets, state)
        return context.get_dummy_value()

    return types.void(_WORDS, _BYTES, _OFFSETS), codegen


@intrinsic
def hash_nodes(typingctx: Any, source: Any, sources: Any, target: Any, targets: Any, first: Any) -> Any:
    """H(01 ‖ 64 bytes at source[sources[first + lane]]) to target[targets[first + lane]]: reads come before writes."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        source, sources, target, targets = _data(context, builder, signature.args[:4], args[:4])
        sources, targets = builder.gep(sources, [args[4]]), builder.gep(targets, [args[4]])
        emit = _Emitter(builder)
        emit.store_rows(target, targets, emit.node(emit.load_rows(source, sources)))
        return context.get_dummy_value()

    return types.void(_BYTES, _OFFSETS, _BYTES, _OFFSETS, types.int64), codegen


@intrinsic
def copy_bytes(typingctx: Any, target: Any, to: Any, source: Any, at: Any, count: Any) -> Any:
    """memcpy of `count` bytes from source[at] to target[to]: a slice assignment goes byte by byte."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        target, source = _data(context, builder, [_BYTES, _BYTES], [args[0], args[2]])
        _cgutils.raw_memcpy(
            builder, builder.gep(target, [args[1]]), builder.gep(source, [args[3]]), args[4], 1
        )
        return context.get_dummy_value()

    return types.void(_BYTES, types.int64, _BYTES, types.int64, types.int64), codegen
