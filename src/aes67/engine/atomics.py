"""Atomic loads and stores and pointers for compiled code, as LLVM instructions.

x86 would forgive plain accesses, ARM does not: whatever two processes or threads share is read with
`load_acquire` and written with `store_release`. None of these work without the compiler.
"""

from __future__ import annotations

from typing import Any

from aes67.jit import inlined, inner, kernel  # before Numba: it names the cache directory

# isort: split
import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

_WORD_BYTES = 8


def _word_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic  # type: ignore[untyped-decorator,unused-ignore]
def load_acquire(typing_context: Any, words: Any, index: Any) -> Any:
    """`words[index]` of a contiguous int64 array; later accesses stay later."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _word_pointer(context, builder, signature.args[0], *arguments)
        return builder.load_atomic(pointer, "acquire", _WORD_BYTES)

    return types.int64(words, types.int64), build


@intrinsic  # type: ignore[untyped-decorator,unused-ignore]
def store_release(typing_context: Any, words: Any, index: Any, value: Any) -> Any:
    """`words[index] = value`; earlier accesses stay earlier."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, value = arguments
        pointer = _word_pointer(context, builder, signature.args[0], array, index)
        builder.store_atomic(value, pointer, "release", _WORD_BYTES)
        return context.get_dummy_value()

    return types.void(words, types.int64, types.int64), build


def _fence(ordering: str) -> Any:
    def fence(typing_context: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            builder.fence(ordering)
            return context.get_dummy_value()

        return types.void(), build

    return intrinsic(fence)


fence_acquire = _fence("acquire")
fence_release = _fence("release")


@intrinsic  # type: ignore[untyped-decorator,unused-ignore]
def as_pointer(typing_context: Any, address: Any) -> Any:
    """An integer address as a pointer, for `numba.carray`."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), build


@inner
def words_at(address: int, count: int) -> Any:
    """`count` int64 words at an address the engine mapped itself."""
    return carray(as_pointer(address), (count,), np.int64)


@inner
def samples_at(address: int, rows: int, columns: int) -> Any:
    """An int32 matrix at an address the engine mapped itself."""
    return carray(as_pointer(address), (rows, columns), np.int32)


@inner
def begin_write(words: Any, sequence: int) -> int:
    """Open a seqlocked record for writing (one writer); returns the number `end_write` needs."""
    odd = int(words[sequence]) | 1
    store_release(words, sequence, odd)
    fence_release()
    return odd


@inner
def end_write(words: Any, sequence: int, odd: int) -> None:
    """Close the record: it is valid again."""
    store_release(words, sequence, odd + 1)


@inlined
def copy_locked(copy: Any, words: Any, sequence: int, tries: int) -> bool:
    """Copy the words after `words[sequence]` if that can be had whole within `tries`.

    False: `copy` may hold a mixture of two records.
    """
    record = words[sequence + 1 :]  # else each index is looked at for counting from the end
    for _ in range(tries):
        before = load_acquire(words, sequence)
        if before & 1:
            continue
        for i in range(copy.shape[0]):
            copy[i] = record[i]
        fence_acquire()
        if load_acquire(words, sequence) == before:
            return True
    return False


@intrinsic  # type: ignore[untyped-decorator,unused-ignore]
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Have the cache line of a contiguous array's element fetched; `index` counts rows through."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        pointer = _word_pointer(context, builder, signature.args[0], *arguments)
        pointer = builder.bitcast(pointer, byte)
        builder.call(fetch, [pointer, number(1), number(3), number(1)])  # write, keep, data
        return context.get_dummy_value()

    return types.void(array, types.int64), build


@kernel
def store_word(words: Any, index: int, value: int) -> None:
    """`store_release` for Python code."""
    store_release(words, index, value)


@kernel
def load_word(words: Any, index: int) -> int:
    """`load_acquire` for Python code."""
    return int(load_acquire(words, index))
