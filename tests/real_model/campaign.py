"""Ten questions to the example shop, on both channels, answered by a small real model and without any model.

    python -m tests.real_model.campaign --python .real-model/bin/python --evals

The real processes run with the simulator and the documents of evals/shop. Prints a table in Markdown and, with --evals,
the figures of `make evals` for the model and for the demo source. Ends with status 1 when a question got no answer.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from evals.run import FOLDER
from tests.english import english
from tests.ports import Ports
from tests.product.running_product import ROOT, Phone, RunningProduct

QUESTIONS = {
    "sms": (
        "Are you open on Sunday?",
        "And on Saturday?",
        "What does it cost to mend a flat tyre?",
        "Where can I park?",
        "¿Cuánto cuesta alquilar una bicicleta eléctrica por un día?",
    ),
    "telegram": (
        "For how many years is a frame guaranteed?",
        "Do gift vouchers expire?",
        "Wie kann ich bezahlen?",
        "Do you repair cars?",
        "Write two lines about my old bicycle.",
    ),
}
ANSWER_SECONDS = 900.0
"""A model of this size needs a few seconds on two free cores, and far longer beside other work."""
_WAIT_SECONDS = 60.0
_SETTINGS = {
    "KNOWLEDGE_FOLDER": str(FOLDER / "shop"),
    "DEMO_FAQ_FILE": "there-is-none.json",
    "BUSINESS_NAME": "the Willow Bicycle Shop",
    "SMS_REGISTRATION": "off",
    "SMS_MAX_SEGMENTS": "4",
    "KNOWLEDGE_MAX_BYTES": "600",  # the passages that fit best: a long prompt takes a model of this size long
    "SMS_ANSWER_TOKENS": "60",
    "TELEGRAM_ANSWER_TOKENS": "80",
    "TEMPERATURE": "0",
    "LLM_FIRST_TOKEN_SECONDS": str(ANSWER_SECONDS),
    "LLM_SILENCE_SECONDS": str(ANSWER_SECONDS),
    "LLM_TOTAL_SECONDS": str(ANSWER_SECONDS),
}


@contextmanager
def model_server(python: Path) -> Iterator[str]:
    """llama.cpp's server with the model, on a free port of this machine; its base URL."""
    ports = Ports()
    port = ports.take()
    model = python.parent.parent / "gemma-3-270m.gguf"
    command = [str(python), str(Path(__file__).with_name("serve.py")), str(model), str(port)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/v1"
        _await_models(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(60)
        ports.give_back()


def _await_models(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/models").is_success:
                return
        except httpx.TransportError:
            pass
        assert server.poll() is None, "the model server ended"
        time.sleep(0.2)  # another process's socket gives no event to wait for
    raise AssertionError("the model server did not become ready")


Answers = dict[tuple[str, str], tuple[str, float]]
"""By channel and question: the answer, and the seconds until it came."""


def conversation(product: RunningProduct) -> Answers:
    """Ask all questions, each after the answer to the one before."""
    answers: Answers = {}
    for platform, questions in QUESTIONS.items():
        phone = Phone(product, platform, "Alice")
        for question in questions:
            began = time.monotonic()
            phone.send(question)
            answers[platform, question] = _next_answer(phone), time.monotonic() - began
    return answers


def _next_answer(phone: Phone) -> str:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        try:
            if (text := phone.next_reply(_WAIT_SECONDS)) != english("answer-later"):
                return text
        except AssertionError:
            continue  # it is still being written
    return ""


def evaluated(product: RunningProduct) -> str:
    """What `make evals` prints about the product's model."""
    command = [sys.executable, "-m", "evals.run"]
    environment = {**product.environment, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=product.folder, env=environment, capture_output=True, text=True, check=False
    ).stdout


def run(folder: Path, *, with_evals: bool, **settings: str) -> tuple[Answers, str]:
    """The answers of a product with these settings, and the figures of the evaluation if wanted."""
    with closing(PatientProduct(folder, **{**_SETTINGS, **settings})) as product:
        product.start()
        return conversation(product), evaluated(product) if with_evals else ""


class PatientProduct(RunningProduct):
    """On a machine where the model takes all of the processor."""

    def await_ready(self, server: str, seconds: float = ANSWER_SECONDS) -> None:
        super().await_ready(server, seconds)


def table(with_model: Answers, without: Answers) -> str:
    """The questions with both answers, in Markdown."""
    rows = ["| channel | question | answer of the model | s | without a model |", "|---|---|---|---|---|"]
    for (platform, question), (text, seconds) in with_model.items():
        other, _ = without[platform, question]
        cells = (platform, question, _cell(text), f"{seconds:.0f}", _cell(other))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return " / ".join(text.replace("|", "\\|").splitlines()) or "(no answer)"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="the Python that has the model and its server")
    parser.add_argument("--evals", action="store_true", help="ask the 30 questions of `make evals` too")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped then too
    with tempfile.TemporaryDirectory(prefix="real-model-") as name:
        folders = [Path(name, kind) for kind in ("without", "with")]
        for folder in folders:
            folder.mkdir()
        without, figures_without = run(folders[0], with_evals=options.evals, LLM_SOURCE="demo")
        with model_server(options.python.absolute()) as url:
            own = {"LLM_SOURCE": "openai", "OPENAI_BASE_URL": url}
            with_model, figures = run(folders[1], with_evals=options.evals, **own)
    print(table(with_model, without))
    if options.evals:
        print(f"\nevals, with the model:\n{figures}\nevals, without a model:\n{figures_without}")
    return 0 if all(text for text, _ in (*with_model.values(), *without.values())) else 1


if __name__ == "__main__":
    sys.exit(main())
