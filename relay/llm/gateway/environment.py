"""Injected dependencies of the gateway: clocks, sleep, random generator, ports to probe."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

LOCAL_PORTS = (1234, 8080, 8000)
"""Default ports of LM Studio, llama.cpp and vLLM; Ollama has its own setting."""


@dataclass(frozen=True, slots=True)
class Environment:
    """clock is monotonic, wall is Unix time; both in seconds."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    rng: random.Random = field(default_factory=random.Random)
    local_ports: tuple[int, ...] = LOCAL_PORTS
