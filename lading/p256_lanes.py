"""Points of P-256 in eight lanes: vector IR for doubling and addition, for verifying many signatures at once.

Field elements are ten words of 27 bits in i64 lanes, in Montgomery form with R = 2^270. p = 2^256 − 2^224 + 2^192 +
2^96 − 1 makes −1/p mod 2^27 equal 1, so a Montgomery step is shifts and additions. Sums and differences are not
carried at once: what that may reach is bounded in `tests/unit/lading/test_p256.py`, which runs these very formulas
on intervals. Only public values come here, so nothing needs to take constant time.

Source: dbl-2001-b and madd of the Explicit-Formulas Database (Bernstein, Lange), a = −3, Jacobian coordinates.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from llvmlite import ir
from numba import types

from lading.sha16 import intrinsic

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
WORDS, WORD_BITS, LANES = 10, 27, 8
R = 2 ** (WORDS * WORD_BITS)
MASK = 2**WORD_BITS - 1
POINT_WORDS = 3 * WORDS
AFFINE_WORDS = 2 * WORDS

# q·p without its lowest word: q at bits 96, 192 and 256, less q at bit 224, as (words up, bits left, sign).
_Q_TERMS = ((3, 15, 1), (7, 3, 1), (8, 8, -1), (9, 13, 1))
_TERM_BITS = {(96, 1), (192, 1), (224, -1), (256, 1)}
assert {(WORD_BITS * words + bits, sign) for words, bits, sign in _Q_TERMS} == _TERM_BITS


def words_of(value: int) -> list[int]:
    """Ten words of 27 bits, lowest first."""
    assert 0 <= value < R
    return [value >> WORD_BITS * i & MASK for i in range(WORDS)]


def _lift(word_least: int, top_least: int) -> list[int]:
    """Words of a multiple of p, none below its least: added to a difference it keeps every word positive."""
    least = sum(word_least << WORD_BITS * i for i in range(WORDS - 1)) + (
        top_least << WORD_BITS * (WORDS - 1)
    )
    rest = words_of(-least % P)
    return [word_least + word for word in rest[:-1]] + [top_least + rest[-1]]


# What is taken away: a carried value (words to 2^27 + 2^4), three products, eight products (words to 2^27 each).
LIFT_CARRIED = _lift(2**28, 2**20)
LIFT_THREE = _lift(2**29, 2**18)
LIFT_EIGHT = _lift(2**30, 2**18 + 2**10)

Word = Any  # a vector of eight i64 in the IR, or whatever the arithmetic works on
Element = Sequence[Word]


class Arithmetic(Protocol):
    """What the formulas need of words: IR vectors here, intervals in the test that bounds them."""

    def add(self, x: Word, y: Word) -> Word: ...
    def sub(self, x: Word, y: Word) -> Word: ...
    def mul(self, x: Word, y: Word) -> Word: ...
    def shl(self, x: Word, bits: int) -> Word: ...
    def shr(self, x: Word, bits: int) -> Word: ...
    def low(self, x: Word, bits: int) -> Word: ...
    def constant(self, value: int) -> Word: ...


class Point(NamedTuple):
    """Jacobian: (x / z², y / z³)."""

    x: Element
    y: Element
    z: Element


class Field:
    """Arithmetic modulo p over words."""

    def __init__(self, words: Arithmetic) -> None:
        self.w = words

    def add(self, a: Element, b: Element) -> Element:
        return [self.w.add(x, y) for x, y in zip(a, b, strict=True)]

    def times(self, a: Element, factor: int) -> Element:
        """a·3, or a·2, 4, 8."""
        if factor == 3:
            return self.add(a, self.times(a, 2))
        return [self.w.shl(x, factor.bit_length() - 1) for x in a]

    def sub(self, a: Element, b: Element, lift: Sequence[int]) -> Element:
        """a − b + a multiple of p whose words are at least b's."""
        return [self.w.sub(self.w.add(x, self.w.constant(c)), y) for x, y, c in zip(a, b, lift, strict=True)]

    def carry(self, a: Element) -> Element:
        """The same value with words a little above 27 bits: each passes its upper bits on once, all at a time."""
        low = [self.w.low(x, WORD_BITS) for x in a[:-1]]
        high = [self.w.shr(x, WORD_BITS) for x in a[:-1]]
        inner = [self.w.add(x, carried) for x, carried in zip(low[1:], high[:-1], strict=True)]
        return [low[0], *inner, self.w.add(a[-1], high[-1])]

    def mul(self, a: Element, b: Element) -> Element:
        """a·b / R: below 4p."""
        columns: list[Word] = []
        for k in range(2 * WORDS - 1):
            terms = [self.w.mul(a[i], b[k - i]) for i in range(max(0, k - WORDS + 1), min(k + 1, WORDS))]
            columns.append(self._sum(terms))
        return self._reduce(columns)

    def square(self, a: Element) -> Element:
        """a² / R."""
        double = [self.w.shl(x, 1) for x in a]
        columns: list[Word] = []
        for k in range(2 * WORDS - 1):
            terms = [self.w.mul(double[i], a[k - i]) for i in range(max(0, k - WORDS + 1), (k + 1) // 2)]
            if k % 2 == 0:
                terms.append(self.w.mul(a[k // 2], a[k // 2]))
            columns.append(self._sum(terms))
        return self._reduce(columns)

    def _sum(self, terms: Sequence[Word]) -> Word:
        total = terms[0]
        for term in terms[1:]:
            total = self.w.add(total, term)
        return total

    def _reduce(self, columns: list[Word]) -> Element:
        """Ten Montgomery steps, each clearing the lowest word, then one carry from end to end."""
        t = [*columns, self.w.constant(0)]
        for i in range(WORDS):
            q = self.w.low(t[i], WORD_BITS)
            t[i + 1] = self.w.add(t[i + 1], self.w.shr(t[i], WORD_BITS))
            for words, bits, sign in _Q_TERMS:
                combine = self.w.add if sign > 0 else self.w.sub
                t[i + words] = combine(t[i + words], self.w.shl(q, bits))
        found = t[WORDS:]
        for i in range(WORDS - 1):
            found[i + 1] = self.w.add(found[i + 1], self.w.shr(found[i], WORD_BITS))
            found[i] = self.w.low(found[i], WORD_BITS)
        return found

    def double(self, point: Point) -> Point:
        """2·point."""
        delta, gamma = self.square(point.z), self.square(point.y)
        beta = self.mul(point.x, gamma)
        alpha = self.times(self.mul(self.sub(point.x, delta, LIFT_CARRIED), self.add(point.x, delta)), 3)
        x = self.carry(self.sub(self.square(alpha), self.times(beta, 8), LIFT_EIGHT))
        turn = self.mul(alpha, self.sub(self.times(beta, 4), x, LIFT_CARRIED))
        y = self.carry(self.sub(turn, self.times(self.square(gamma), 8), LIFT_EIGHT))
        return Point(x, y, self.mul(self.times(point.y, 2), point.z))

    def join(self, point: Point, x2: Element, y2: Element) -> Point:
        """point + (x2, y2); z becomes 0 where the two are equal or opposite, and stays 0."""
        zz = self.square(point.z)
        h = self.sub(self.mul(x2, zz), point.x, LIFT_CARRIED)
        r = self.sub(self.mul(y2, self.mul(zz, point.z)), point.y, LIFT_CARRIED)
        hh = self.square(h)
        hhh, v = self.mul(h, hh), self.mul(point.x, hh)
        x = self.carry(self.sub(self.square(r), self.add(hhh, self.times(v, 2)), LIFT_THREE))
        turn = self.mul(r, self.sub(v, x, LIFT_CARRIED))
        y = self.carry(self.sub(turn, self.mul(point.y, hhh), LIFT_THREE))
        return Point(x, y, self.mul(point.z, h))


_I64 = ir.IntType(64)
_VECTOR = ir.VectorType(_I64, LANES)
_WORDS = types.Array(types.int64, 1, "C")
_LOW_32 = 2**32 - 1


def _splat(value: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [value] * LANES)


class _Vectors:
    """Eight lanes of i64 at one builder's position."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.b = builder

    def add(self, x: Word, y: Word) -> Word:
        return self.b.add(x, y)

    def sub(self, x: Word, y: Word) -> Word:
        return self.b.sub(x, y)

    def mul(self, x: Word, y: Word) -> Word:
        """The low halves, 32 bits each: masked so that LLVM takes the 32-bit multiply, which needs no mask."""
        return self.b.mul(self.b.and_(x, _splat(_LOW_32)), self.b.and_(y, _splat(_LOW_32)))

    def shl(self, x: Word, bits: int) -> Word:
        return self.b.shl(x, _splat(bits))

    def shr(self, x: Word, bits: int) -> Word:
        return self.b.ashr(x, _splat(bits))

    def low(self, x: Word, bits: int) -> Word:
        return self.b.and_(x, _splat(2**bits - 1))

    def constant(self, value: int) -> Word:
        return _splat(value)

    def load(self, base: Word, first: int, count: int) -> list[Word]:
        return [self.b.load(self.b.gep(base, [_I64(first + i)]), align=8) for i in range(count)]

    def store(self, base: Word, first: int, found: Sequence[Word]) -> None:
        for i, word in enumerate(found):
            self.b.store(word, self.b.gep(base, [_I64(first + i)]), align=8)

    def load_point(self, base: Word) -> Point:
        return Point(*(self.load(base, WORDS * i, WORDS) for i in range(3)))


class _Called(Field):
    """The field with its two products as functions of their own, so that the code stays in the processor's caches."""

    def __init__(self, vectors: _Vectors) -> None:
        super().__init__(vectors)
        self.v = vectors

    def mul(self, a: Element, b: Element) -> Element:
        return self._call("lading_p256_mul", Field.mul, a, b)

    def square(self, a: Element) -> Element:
        return self._call("lading_p256_square", Field.square, a)

    def _call(self, name: str, product: Any, *operands: Element) -> Element:
        b = self.v.b
        with b.goto_entry_block():
            rooms = [b.alloca(_VECTOR, WORDS) for _ in range(1 + len(operands))]
        for room, operand in zip(rooms[1:], operands, strict=True):
            self.v.store(room, 0, operand)
        b.call(self._function(name, product, len(operands)), rooms)
        return self.v.load(rooms[0], 0, WORDS)

    def _function(self, name: str, product: Any, operands: int) -> Any:
        module = self.v.b.module
        if name in module.globals:
            return module.globals[name]
        kind = ir.FunctionType(ir.VoidType(), [_VECTOR.as_pointer()] * (1 + operands))
        function = ir.Function(module, kind, name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        inner = _Vectors(ir.IRBuilder(function.append_basic_block()))
        found = product(Field(inner), *(inner.load(arg, 0, WORDS) for arg in function.args[1:]))
        inner.store(function.args[0], 0, found)
        inner.b.ret_void()
        return function


def _bases(context: Any, builder: ir.IRBuilder, values: Sequence[Any]) -> list[Word]:
    made = [context.make_array(_WORDS)(context, builder, value=value).data for value in values]
    return [builder.bitcast(base, _VECTOR.as_pointer()) for base in made]


@intrinsic
def double_points(typingctx: Any, point: Any) -> Any:
    """point (240,) i64, word by word, eight lanes each, becomes twice itself."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        vectors = _Vectors(builder)
        (base,) = _bases(context, builder, args)
        found = _Called(vectors).double(vectors.load_point(base))
        for i, element in enumerate(found):
            vectors.store(base, WORDS * i, element)
        return context.get_dummy_value()

    return types.void(_WORDS), codegen


@intrinsic
def join_points(typingctx: Any, point: Any, other: Any, digits: Any) -> Any:
    """point (240,) i64 += other (160,) i64, affine, in lanes whose digit (8,) i64 is not 0."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        vectors = _Vectors(builder)
        base, other, digits = _bases(context, builder, args)
        before = vectors.load_point(base)
        x2, y2 = vectors.load(other, 0, WORDS), vectors.load(other, WORDS, WORDS)
        taken = builder.icmp_signed("!=", builder.load(digits, align=8), _splat(0))
        after = _Called(vectors).join(before, x2, y2)
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            chosen = [builder.select(taken, n, o) for n, o in zip(new, old, strict=True)]
            vectors.store(base, WORDS * i, chosen)
        return context.get_dummy_value()

    return types.void(_WORDS, _WORDS, _WORDS), codegen


@intrinsic
def compare_x(typingctx: Any, point: Any, r: Any, out: Any) -> Any:
    """out (160,) i64: x − r·z² and z, out of Montgomery form, each in 0..p; r (80,) i64 is r, not in that form."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        vectors = _Vectors(builder)
        base, r, out = _bases(context, builder, args)
        field, point = _Called(vectors), vectors.load_point(base)
        into = [vectors.constant(word) for word in words_of(R * R % P)]
        one = [vectors.constant(word) for word in words_of(1)]
        wanted = field.mul(field.mul(vectors.load(r, 0, WORDS), into), field.square(point.z))
        difference = field.sub(point.x, wanted, LIFT_CARRIED)
        vectors.store(out, 0, field.mul(difference, one))
        vectors.store(out, WORDS, field.mul(point.z, one))
        return context.get_dummy_value()

    return types.void(_WORDS, _WORDS, _WORDS), codegen
