"""Integers at any byte offset of a u8 array, for kernels: one load each, no bounds check, offsets are the caller's."""

from typing import Any

from llvmlite import ir
from numba import types

from lading.sha16 import intrinsic

_BYTES = types.Array(types.uint8, 1, "C")


def _loader(kind: Any, swapped: bool) -> Any:
    """An intrinsic (data: u8 array, at: int64) -> kind; `swapped` for big-endian, on a little-endian host."""

    def load(typingctx: Any, data: Any, at: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            base = context.make_array(_BYTES)(context, builder, value=args[0]).data
            pointer = builder.bitcast(builder.gep(base, [args[1]]), ir.IntType(kind.bitwidth).as_pointer())
            found = builder.load(pointer, align=1)
            return builder.bswap(found) if swapped else found

        return kind(_BYTES, types.int64), codegen

    return intrinsic(load)


u16_little = _loader(types.uint16, swapped=False)
u32_little = _loader(types.uint32, swapped=False)
i32_little = _loader(types.int32, swapped=False)
u16_big = _loader(types.uint16, swapped=True)
u32_big = _loader(types.uint32, swapped=True)
i32_big = _loader(types.int32, swapped=True)
u64_big = _loader(types.uint64, swapped=True)
