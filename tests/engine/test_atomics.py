"""Order between processes that share memory: x86 forgives what is missing here, ARM does not.

No run shows a missing barrier on x86, so the code that comes out is looked at: LLVM's everywhere,
and the processor's own on aarch64.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from aes67.engine import atomics

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="there is no machine code"
)

LOAD, STORE = r"load atomic i64.* acquire", r"store atomic i64.* release"
PLAIN_LOAD, PLAIN_STORE = r"= load (?!atomic)\S*(i64|<)", r"\bstore (?!atomic)(i64|<\d+ x i64>)"
ARM = {
    LOAD: r"\bldap?u?r\b", STORE: r"\bstlu?r\b", "fence acquire": r"\bdmb\s+ish(ld)?\b",
    "fence release": r"\bdmb\s+ish\b",
}  # fmt: skip


def publish(words: Any, value: int) -> None:
    odd = atomics.begin_write(words, 0)
    words[1] = value
    atomics.end_write(words, 0, odd)


def take(words: Any, copy: Any) -> bool:
    return bool(atomics.copy_locked(copy, words, 0, 4))


def hand_over(words: Any, value: int) -> None:
    words[1] = value
    atomics.store_release(words, 0, value)


def look(words: Any, index: int) -> int:
    return int(atomics.load_acquire(words, index))


CASES: list[tuple[Callable[..., Any], tuple[Any, ...], list[str]]] = [
    (publish, (7,), [STORE, "fence release", PLAIN_STORE, STORE]),
    (take, (np.zeros(7, "<i8"),), [LOAD, PLAIN_LOAD, "fence acquire", LOAD]),
    (hand_over, (7,), [PLAIN_STORE, STORE]),
    (look, (3,), [LOAD]),
]


@pytest.mark.parametrize(("function", "arguments", "wanted"), CASES)
def test_what_orders_shared_memory_is_in_the_code(
    function: Callable[..., Any], arguments: tuple[Any, ...], wanted: list[str]
) -> None:
    """In this order, with what is to be ordered between."""
    compiled = numba.njit(error_model="numpy")(function)  # code from a cache cannot be looked at
    compiled(np.zeros(16, "<i8"), *arguments)
    signature = compiled.signatures[0]
    code = compiled.inspect_llvm(signature)
    bodies = re.split(r"^define ", code, flags=re.MULTILINE)
    assert any(re.search(".*".join(wanted), body, re.DOTALL) for body in bodies), code
    if platform.machine() == "aarch64":
        arm = [ARM[each] for each in wanted if each in ARM]
        assert re.search(".*".join(arm), compiled.inspect_asm(signature), re.DOTALL)
