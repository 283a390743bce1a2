"""Memory that steps free stays until training ends: no page is mapped twice."""

from __future__ import annotations

import platform
import resource
from collections.abc import Callable

import pytest
import torch

from lipsort_cli.processes import keep_memory, keeping_all_memory

LARGE = 40 << 20
"""Bytes: more than glibc keeps however it is told to."""


def faults(action: Callable[[], object]) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    action()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def steps() -> None:
    for _ in range(10):
        made = [torch.ones(LARGE, dtype=torch.uint8) for _ in range(2)]
        del made


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's memory")
def test_a_step_takes_what_the_last_one_freed() -> None:
    keep_memory()
    pages = 2 * LARGE // resource.getpagesize()
    assert faults(steps) > 9 * pages, "otherwise nothing would be gained"
    with keeping_all_memory():
        steps()
        assert faults(steps) < pages / 10
    assert faults(steps) > 9 * pages, "afterwards it goes back"
