"""Abuses the real servers on loopback, measures what that costs, and ends with status 1 when a limit is broken.

    python -m tests.abuse.campaign --only half_requests

Takes a few minutes. Everything runs in try-out mode, in a folder of its own.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from pathlib import Path

from relay.channels.whatsapp.settings import SIMULATED_WHATSAPP_NUMBER
from relay.web.protocol import MAX_UNFINISHED, Stage
from tests.abuse.attacks import CLOSED, OPEN, TOKEN, Attack
from tests.abuse.meters import MEGABYTE, Cost, measured
from tests.product.running_product import SERVERS, RunningProduct

MAX_MEMORY_GROWTH = 150 * MEGABYTE
MAX_FILES = MAX_UNFINISHED + 1000
MAX_FILES_LEFT = 60
MAX_LOG_BYTES = 20_000
MAX_WEBHOOK_SECONDS = 8.0
"""Twilio gives up after 15."""
SETTLE_SECONDS = Stage.BODY.value + 10
OPEN_FILES = 20_000


def broken_limits(cost: Cost) -> list[str]:
    """A sentence for each limit that an attack has broken."""
    found = list(cost.broken)
    for server in SERVERS:
        grown, most, left = cost.memory_growth[server], cost.most_files[server], cost.files_left[server]
        if grown > MAX_MEMORY_GROWTH:
            found.append(f"{server} grew by {grown / MEGABYTE:.0f} MB")
        if most > MAX_FILES:
            found.append(f"{server} had {most} open files")
        if left > MAX_FILES_LEFT:
            found.append(f"{server} keeps {left} files open")
    if cost.log_bytes > MAX_LOG_BYTES:
        found.append(f"the log grew by {cost.log_bytes} bytes")
    if max(cost.webhooks, default=0.0) > MAX_WEBHOOK_SECONDS:
        found.append(f"a webhook took {max(cost.webhooks):.1f} s")
    if cost.failed_webhooks:
        found.append(f"{len(cost.failed_webhooks)} webhooks failed, such as with {cost.failed_webhooks[0]}")
    return found


def run(attacks: list[Attack], folder: Path, **settings: str) -> list[str]:
    """Start a product, let every attack loose on it, and return what broke."""
    if not attacks:
        return []
    folder.mkdir()
    product = RunningProduct(folder, WHATSAPP_NUMBER=SIMULATED_WHATSAPP_NUMBER, **settings)
    found: list[str] = []
    try:
        product.start()
        for attack in attacks:
            with measured(product, attack.__name__.replace("_", " "), SETTLE_SECONDS) as cost:
                cost.broken.extend(attack(product))
            print(cost.line(), flush=True)
            broken = broken_limits(cost)
            for sentence in broken[:20]:
                print("    BROKEN:", sentence, flush=True)
            found += broken
    finally:
        product.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="run the attacks whose names contain this")
    only = parser.parse_args().only
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES:
        print(f"this needs {OPEN_FILES} open files, and the system allows {hard}: ulimit -Hn", file=sys.stderr)
        return 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, OPEN_FILES), hard))
    with tempfile.TemporaryDirectory(prefix="abuse-") as folder:
        chosen = [[attack for attack in attacks if only in attack.__name__] for attacks in (OPEN, CLOSED)]
        found = run(chosen[0], Path(folder) / "open")
        found += run(chosen[1], Path(folder) / "closed", ADMIN_TOKEN=TOKEN, INTERNAL_TOKEN=TOKEN)
    print(f"BROKEN: {len(found)}" if found else "ALL LIMITS HELD")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
