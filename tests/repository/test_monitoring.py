"""The dashboard and the alert rules for Prometheus ask for figures that the servers have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from relay.core.metrics import Metrics
from relay.llm.gateway.metrics import LlmMetrics

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES, DASHBOARD = DEPLOY / "prometheus-rules.yml", DEPLOY / "grafana-dashboard.json"


def known_names() -> set[str]:
    """The names of all series, with the suffixes of their kinds."""
    metrics = Metrics()
    LlmMetrics(metrics)
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + suffix for family in metrics.registry.collect() for suffix in suffixes[family.type]}


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_every_series_exists(path: Path) -> None:
    """A misspelled one is an empty picture, or an alert that never comes."""
    asked = set(re.findall(r"\brelay_[a-z_]+", path.read_text("utf-8")))
    assert asked
    assert asked - known_names() == set()


def test_the_panels_do_not_overlap() -> None:
    """Each has its own place, and a query."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len({panel["id"] for panel in panels}) == len(panels)
    assert all(target["expr"] for panel in panels for target in panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on this machine (Debian: prometheus)")
def test_promtool_accepts_the_rules() -> None:
    """Prometheus refuses to start with a file that it cannot read."""
    subprocess.run(["promtool", "check", "rules", str(RULES)], check=True)
