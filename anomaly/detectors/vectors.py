"""Vectors by hand, in the IR that LLVM compiles: eight lanes at once, whatever the machine makes of them.

Only + − ×, |x| and comparisons, each lane in the order of the formula; the least of several is the same in any order.
So the bits are those of a loop. `at` counts from the array's begin and is not checked: places are the caller's.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _intrinsic

intrinsic: Any = _intrinsic  # its type hides the arguments that kernels pass
_DOUBLE = ir.DoubleType()
_LANES = 8
_SIZE = (1 << 63) - 1
_INFINITE = float("inf")
_numba: Any = types
_place_and_square = _numba.Tuple([types.int64, types.float64])
Vector = Any  # in the IR that is being built: llvmlite is untyped


class _Row:
    """An array of f64 in the IR that is being built."""

    def __init__(self, context: Any, builder: ir.IRBuilder, kind: Any, value: Any) -> None:
        self.builder = builder
        self.base = context.make_array(kind)(context, builder, value=value).data

    def load(self, at: Any, lanes: int = _LANES) -> Vector:
        """Numbers that follow one another."""
        return self.builder.load(self._pointer(at, lanes), align=8)

    def store(self, at: Any, vector: Vector, lanes: int) -> None:
        """The same back."""
        self.builder.store(vector, self._pointer(at, lanes), align=8)

    def splat(self, number: Any, lanes: int = _LANES) -> Vector:
        """One number in all lanes."""
        kind = ir.VectorType(_DOUBLE, lanes)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), number, _int(0))
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), _lanes(0, lanes, 0))

    def choose(self, order: str, a: Vector, b: Vector) -> Vector:
        """`a` where it compares so with `b`, else `b`: so what is no number in `a` is passed over."""
        return self.builder.select(self.builder.fcmp_ordered(order, a, b), a, b)

    def size(self, vector: Vector) -> Vector:
        """|x|: all bits but the sign."""
        words = ir.VectorType(ir.IntType(64), _LANES)
        bits = self.builder.and_(self.builder.bitcast(vector, words), ir.Constant(words, [_SIZE] * _LANES))
        return self.builder.bitcast(bits, vector.type)

    def fold(self, order: str, vector: Vector, lanes: int = _LANES) -> Any:
        """The least or greatest of all lanes, in halves."""
        undefined = ir.Constant(vector.type, ir.Undefined)
        while lanes > 1:
            lanes //= 2
            low, high = (
                self.builder.shuffle_vector(vector, undefined, _lanes(first, lanes)) for first in (0, lanes)
            )
            vector, undefined = self.choose(order, high, low), ir.Constant(low.type, ir.Undefined)
        return self.builder.extract_element(vector, _int(0))

    def places(self, at: Any, count: int) -> Sequence[Any]:
        """Where vectors begin that cover `count` numbers; the last overlaps the one before."""
        firsts = [*range(0, count - _LANES, _LANES), count - _LANES]
        return [self.builder.add(at, ir.Constant(ir.IntType(64), first)) for first in firsts]

    def _pointer(self, at: Any, lanes: int) -> Any:
        place = self.builder.gep(self.base, [at])
        return self.builder.bitcast(place, ir.VectorType(_DOUBLE, lanes).as_pointer())


def _int(number: int) -> ir.Constant:
    return ir.Constant(ir.IntType(32), number)


def _lanes(first: int, count: int, step: int = 1) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), count), [first + step * lane for lane in range(count)])


def extreme(count: int, order: str) -> Any:
    """An intrinsic (row, at) -> f64: the least, by "<", or greatest, by ">", of `count` ≥ 8 numbers, none NaN."""

    def made(typingctx: Any, row: Any, at: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            found = _Row(context, builder, signature.args[0], args[0])
            vectors = [found.load(place) for place in found.places(args[1], count)]
            most = vectors[0]
            for vector in vectors[1:]:
                most = found.choose(order, vector, most)
            return found.fold(order, most)

        return types.float64(row, types.int64), codegen

    return intrinsic(made)


def least_difference(count: int) -> Any:
    """An intrinsic (row, at, value) -> f64: the least |value − row[k]| of `count` ≥ 8; infinite if all are NaN."""

    def made(typingctx: Any, row: Any, at: Any, value: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            found = _Row(context, builder, signature.args[0], args[0])
            value, least = (
                found.splat(args[2]),
                ir.Constant(ir.VectorType(_DOUBLE, _LANES), [_INFINITE] * _LANES),
            )
            for place in found.places(args[1], count):
                difference = found.size(builder.fsub(value, found.load(place)))
                least = found.choose("<", difference, least)
            return found.fold("<", least)

        return types.float64(row, types.int64, types.float64), codegen

    return intrinsic(made)


def nearest(numbers: int, stride: int, points: int, point_at: int, distances_at: int, book_at: int) -> Any:
    """An intrinsic (row) -> i64, f64: which of `points` is the first of the nearest, and its squared distance.

    `points` is 8, 16, 32 or 64. None of their numbers is NaN.

    The point's `numbers` are at `point_at`; the others' first numbers at `book_at`, all second ones `stride` after
    them …. Squared distances, u₀² + u₁² + … from the left, are written at `distances_at`.
    """

    def made(typingctx: Any, row: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            found = _Row(context, builder, signature.args[0], args[0])
            total = None
            for k in range(numbers):
                at = ir.Constant(ir.IntType(64), point_at + k)
                number = builder.load(builder.gep(found.base, [at]), align=8)
                others = found.load(ir.Constant(ir.IntType(64), book_at + k * stride), points)
                u = builder.fsub(found.splat(number, points), others)
                square = builder.fmul(u, u)
                total = square if total is None else builder.fadd(total, square)
            found.store(ir.Constant(ir.IntType(64), distances_at), total, points)
            least = found.fold("<", total, points)
            same = builder.fcmp_ordered("==", total, found.splat(least, points))
            bits = builder.zext(builder.bitcast(same, ir.IntType(points)), ir.IntType(64))
            place = builder.cttz(bits, ir.Constant(ir.IntType(1), 0))
            return context.make_tuple(builder, signature.return_type, [place, least])

        return _place_and_square(row), codegen

    return intrinsic(made)


def draw(numbers: int, stride: int, point_at: int, book_at: int) -> Any:
    """An intrinsic (row, place, share): the point at `place` moves by a share of its way to the point at `point_at`.

    Points lie as for `nearest`. Eight are read and written, of which seven stay: what is compared next as vectors must
    not be written as numbers, or the processor waits until they are in memory.
    """

    def made(typingctx: Any, row: Any, place: Any, share: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            found, place, size = _Row(context, builder, signature.args[0], args[0]), args[1], ir.IntType(64)
            words = ir.VectorType(size, _LANES)
            lane = builder.and_(place, ir.Constant(size, _LANES - 1))
            one = builder.insert_element(ir.Constant(words, ir.Undefined), lane, _int(0))
            same = builder.shuffle_vector(one, ir.Constant(words, ir.Undefined), _lanes(0, _LANES, 0))
            here = builder.icmp_signed("==", same, ir.Constant(words, list(range(_LANES))))
            first, share = builder.sub(place, lane), found.splat(args[2])
            for k in range(numbers):
                at = builder.add(first, ir.Constant(size, book_at + k * stride))
                number = builder.load(builder.gep(found.base, [ir.Constant(size, point_at + k)]), align=8)
                points = found.load(at)
                moved = builder.fmul(share, builder.fsub(found.splat(number), points))
                found.store(at, builder.select(here, builder.fadd(points, moved), points), _LANES)
            return context.get_dummy_value()

        return types.void(row, types.int64, types.float64), codegen

    return intrinsic(made)


def least_differences(count: int) -> Any:
    """An intrinsic (row, at, value, i, out): of eight values, from `i` on, at once what `least_difference` says.

    The first is compared with the numbers from `at` on, each with those one further than the one before.
    """

    def made(typingctx: Any, row: Any, at: Any, value: Any, i: Any, out: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            found, given, said = (_Row(context, builder, signature.args[k], args[k]) for k in (0, 2, 4))
            values = given.load(args[3])
            least = ir.Constant(ir.VectorType(_DOUBLE, _LANES), [_INFINITE] * _LANES)
            for k in range(count):
                place = builder.add(args[1], ir.Constant(ir.IntType(64), k))
                difference = found.size(builder.fsub(values, found.load(place)))
                least = found.choose("<", difference, least)
            said.store(args[3], least, _LANES)
            return context.get_dummy_value()

        return types.void(row, types.int64, value, types.int64, out), codegen

    return intrinsic(made)
