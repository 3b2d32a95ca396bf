"""What the gateway takes from the world outside: clocks, sleep, chance, and the ports where local servers may be."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

LOCAL_PORTS = (1234, 8080, 8000)
"""Where LM Studio, llama.cpp and vLLM listen unless they are told otherwise; Ollama has a setting of its own."""


@dataclass(frozen=True, slots=True)
class Environment:
    """clock only moves forward, wall is Unix time; both in seconds."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    rng: random.Random = field(default_factory=random.Random)
    local_ports: tuple[int, ...] = LOCAL_PORTS
