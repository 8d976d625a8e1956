"""Findings: one figure each, with the target it has to reach, if there is one."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .candidates import FLOOR, HAPPYBASE, POOL, STUBBED, version_of

_OF_OTHER_MODELS = ("gevent", "aiohappybase", "asyncpg")  # what brings their candidates would import asyncio


@dataclass(frozen=True)
class Target:
    """A bound: an upper one if ``at_most``, else a lower one."""

    bound: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


@dataclass(frozen=True)
class Finding:
    """One row of the tables.

    ``value`` in ``unit`` is what the target is about: ``what`` as a multiple of ``base``, where there is a base. It is
    None if it could not be measured: ``missing`` then says why. ``figures`` has the figures that it was made of.
    """

    question: str
    what: str
    base: str = ""
    value: float | None = None
    unit: str = "×"
    target: Target | None = None
    missing: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """``reached``, ``missed``, or nothing where there is no target or no figure."""
        if self.target is None or self.value is None:
            return ""
        return "reached" if self.target.met(self.value) else "missed"

    def as_json(self) -> dict[str, Any]:
        return {
            "question": self.question,
            "what": self.what,
            "base": self.base or None,
            "value": self.value,
            "unit": self.unit,
            "target": str(self.target) if self.target else None,
            "verdict": self.verdict or None,
            "missing": self.missing,
            "figures": dict(self.figures),
        }


def environment() -> dict[str, Any]:
    """Where the figures come from: Python, the machine and its present load, and the versions of all candidates."""
    gil = getattr(sys, "_is_gil_enabled", None)
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "gil": True if gil is None else gil(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "busy": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "versions": {
            package: version
            for package in (*(candidate.package for candidate in (POOL, HAPPYBASE, FLOOR, *STUBBED)), *_OF_OTHER_MODELS)
            if package and (version := version_of(package))
        },
    }


def report(where: Mapping[str, Any], findings: Iterable[Finding]) -> dict[str, Any]:
    """All findings, as JSON can hold them; ``where`` is the environment() before anything was measured."""
    return {"environment": dict(where), "findings": [finding.as_json() for finding in findings]}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
