"""The whole product, running over the sample data of the console."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.product.running_product import ROOT, RunningProduct


@contextmanager
def product_with_sample_data(folder: Path) -> Iterator[RunningProduct]:
    """Everything that the pages can show; the database lies in this empty folder."""
    running = RunningProduct(folder)
    data = [sys.executable, "-m", "tests.console.sample_data", str(folder / "product.db")]
    subprocess.run(data, cwd=ROOT, check=True)
    running.start()
    try:
        yield running
    finally:
        running.close()
