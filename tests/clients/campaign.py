"""Uses the LLM server by clients that others wrote, each in the newest version that its registry has.

    python -m tests.clients.campaign --folder .clients

A scripted model is behind the server: it greets, calls tools, and writes objects. Prints what each client got, and ends
with status 1 when one of them got something else than the model gave.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.llm.running_llm_server import openai, running
from tests.llm.scripted_upstream import (
    COMPLETIONS,
    DONE,
    Call,
    Script,
    completion,
    delta,
    responds,
    scripted_upstream,
    streams,
)

HERE = Path(__file__).parent
GREETING = "Hello from the model"
CITY = {"city": "Paris"}
VECTORS = {"data": [{"index": 0, "embedding": [1.0, 0.0]}, {"index": 1, "embedding": [0.5, 0.25]}]}
EXPECTED: dict[str, list[Any]] = {
    "tools": [CITY, json.dumps(CITY), json.dumps(CITY, separators=(",", ":")), "It is sunny."],
    "list": [["default", "scripted"]],
    "models": [["default", "scripted"], ["ollama/default", "ollama/scripted"]],
    "model": ["scripted"],
    "show": [["completion", "tools", "vision"], ["completion", "tools"]],
    "embed": [[1.0, 0.0]],
    "embeddings": [[0.5, 0.25], [1.0, 0.0]],
    "load": ["load"],
    "context": [32_768],
    "structured": ["Rex"],
    "native output": ["Rex"],
    "object": ["Rex"],
}
"""What each use may get; all others get the greeting."""


def _calls_weather() -> Script:
    function = {"name": "weather", "arguments": json.dumps(CITY)}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    event = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}
    return streams(f"data: {json.dumps(event)}\n\n", delta(finish="tool_calls"), DONE)


async def model(call: Call) -> None:
    """Calls the tool it is offered, answers from its result, writes an object where a form is asked for, or greets."""
    body = call.body
    if body["messages"][-1]["role"] == "tool":
        script = completion("It is ", "sunny.")
    elif body.get("tools"):
        script = _calls_weather()
    elif body.get("response_format"):
        script = completion('{"name": ', '"Rex"}')
    else:
        script = completion("Hello ", "from the model")
    await script(call)


async def embeddings(call: Call) -> None:
    """As many vectors as there are texts."""
    count = len(call.body["input"])
    await responds(200, {"data": VECTORS["data"][:count]})(call)


async def _lines(*command: str | Path) -> AsyncIterator[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(b"{"):
            yield json.loads(line)
    if status := await process.wait():
        yield {"client": Path(command[-2]).name, "use": "all", "error": f"ended with status {status}"}


def is_right(row: dict[str, Any]) -> bool:
    """Whether a client got what the model gave."""
    return "error" not in row and row["got"] in EXPECTED.get(row["use"], [GREETING])


async def use_all(url: str, folder: Path) -> int:
    """Print what each client got; how many got something else than they should."""
    wrong = 0
    commands: list[tuple[str | Path, ...]] = [(folder / "bin" / "python", HERE / "python_clients.py", url)]
    if node := shutil.which("node"):
        commands.append((node, HERE / "vercel.mjs", url, folder))
    for command in commands:
        async for row in _lines(*command):
            wrong += not is_right(row)
            outcome = row.get("error") or json.dumps(row["got"])
            print(f"{row['client']:22} {row['use']:14} {'ok   ' if is_right(row) else 'WRONG'} {outcome}", flush=True)
    return wrong


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where `make clients` installed them")
    folder = parser.parse_args().folder.absolute()
    with tempfile.TemporaryDirectory() as name:
        async with scripted_upstream() as upstream:
            upstream.on("/models", responds(200, {"data": [{"id": "scripted", "max_model_len": 32_768}]}))
            upstream.on(COMPLETIONS, model)
            upstream.on("/embeddings", embeddings)
            async with running(openai(Path(name), upstream, embedding_model="scripted")) as server:
                wrong = await use_all(server.url, folder)
    print(f"WRONG: {wrong}" if wrong else "ALL CLIENTS GOT WHAT THE MODEL GAVE")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
