"""The one-word question of `--check` and of the set-up to models that say more."""

from __future__ import annotations

from pathlib import Path

from relay.config.checks import Severity
from relay.llm.checks import check_model
from tests.llm.running_llm_server import openai
from tests.llm.scripted_upstream import COMPLETIONS, Upstream, delta, streams_then_hangs


async def test_a_model_that_goes_on_writing_is_stopped(tmp_path: Path, upstream: Upstream) -> None:
    """The answer is confirmed by its beginning; the model's work ends with the question."""
    upstream.on(COMPLETIONS, streams_then_hangs(delta("ready"), delta(" and set" * 9)))
    (finding,) = await check_model(openai(tmp_path, upstream), tmp_path)
    assert finding.severity is Severity.FINE
    assert 'answered "ready and set' in finding.text
