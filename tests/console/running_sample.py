"""The whole product, running over the sample data of the console."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.product.running_product import ROOT, RunningProduct


@contextmanager
def product_with_sample_data(
    folder: Path, before: Callable[[RunningProduct], None] = lambda _: None, **settings: str
) -> Iterator[RunningProduct]:
    """Everything that the pages can show; the database lies in this empty folder.

    before: adds to it what has to be there at the start.
    """
    running = RunningProduct(folder, **settings)
    data = [sys.executable, "-m", "tests.console.sample_data", str(folder / "product.db")]
    subprocess.run(data, cwd=ROOT, check=True)
    before(running)
    running.start()
    try:
        yield running
    finally:
        running.close()
