"""Asks the LLM server by Python clients that others wrote; run by the environment that `make clients` installs.

    python python_clients.py http://127.0.0.1:8033

Prints a line for each use: the client, what it did, and what it got, as JSON.
"""

# mypy: ignore-errors
from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = [{"role": "user", "content": "How is the weather in Paris?"}]


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def ollama(url: str) -> dict[str, Callable[[], Any]]:
    from ollama import Client

    client = Client(host=url)
    return {
        "chat": lambda: client.chat("default", HELLO).message.content,
        "stream": lambda: "".join(part.message.content or "" for part in client.chat("default", HELLO, stream=True)),
        "tools": lambda: dict(
            client.chat("default", WEATHER, tools=[weather]).message.tool_calls[0].function.arguments
        ),
        "list": lambda: [model.model for model in client.list().models],
        "show": lambda: client.show("default").capabilities,
        "embed": lambda: list(client.embed("default", ["a", "b"]).embeddings[0]),
        "load": lambda: client.chat("default", []).done_reason,
    }


def openai(url: str) -> dict[str, Callable[[], Any]]:
    from openai import OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key="none")
    completions = client.chat.completions
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    return {
        "chat": lambda: completions.create(model="default", messages=HELLO).choices[0].message.content,
        "stream": lambda: "".join(
            part.choices[0].delta.content or ""
            for part in completions.create(model="default", messages=HELLO, stream=True)
            if part.choices
        ),
        "tools": lambda: (
            completions.create(model="default", messages=WEATHER, tools=[tool])
            .choices[0]
            .message.tool_calls[0]
            .function.arguments
        ),
        "models": lambda: [model.id for model in client.models.list()],
        "model": lambda: client.models.retrieve("scripted").id,
        "embeddings": lambda: client.embeddings.create(model="default", input=["a", "b"]).data[1].embedding,
    }


def llama_index(url: str) -> dict[str, Callable[[], Any]]:
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.ollama import Ollama

    model = Ollama(model="scripted", base_url=url)
    asked = [ChatMessage(role="user", content="Hello")]
    return {
        "chat": lambda: model.chat(asked).message.content,
        "complete": lambda: model.complete("Hello").text,
        "stream": lambda: list(model.stream_chat(asked))[-1].message.content,
        "context": lambda: model.metadata.context_window,
    }


def llm_ollama(url: str) -> dict[str, Callable[[], Any]]:
    os.environ |= {"OLLAMA_HOST": url, "LLM_USER_PATH": f"{sys.prefix}/llm"}
    import llm

    return {
        "models": lambda: sorted(m.model_id for m in llm.get_models() if type(m).__module__.startswith("llm_ollama")),
        "prompt": lambda: llm.get_model("ollama/scripted").prompt("Hello", stream=False).text(),
        "stream": lambda: "".join(llm.get_model("ollama/scripted").prompt("Hello")),
        "tools": lambda: llm.get_model("ollama/scripted").chain("How is the weather in Paris?", tools=[weather]).text(),
    }


def langchain(url: str) -> dict[str, Callable[[], Any]]:
    from langchain_ollama import ChatOllama, OllamaEmbeddings
    from pydantic import BaseModel

    class Pet(BaseModel):
        name: str

    model = ChatOllama(model="default", base_url=url)
    return {
        "invoke": lambda: model.invoke("Hello").content,
        "stream": lambda: "".join(part.content for part in model.stream("Hello")),
        "tools": lambda: model.bind_tools([weather]).invoke("How is the weather in Paris?").tool_calls[0]["args"],
        "structured": lambda: model.with_structured_output(Pet).invoke("A pet").name,
        "embeddings": lambda: OllamaEmbeddings(model="default", base_url=url).embed_query("a"),
    }


def pydantic_ai(url: str) -> dict[str, Callable[[], Any]]:
    from pydantic import BaseModel
    from pydantic_ai import Agent, NativeOutput
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.ollama import OllamaProvider

    class Pet(BaseModel):
        name: str

    model = OpenAIChatModel("default", provider=OllamaProvider(base_url=f"{url}/v1"))
    return {
        "text": lambda: Agent(model).run_sync("Hello").output,
        "tools": lambda: Agent(model, tools=[weather]).run_sync("How is the weather in Paris?").output,
        "native output": lambda: Agent(model, output_type=NativeOutput(Pet)).run_sync("A pet").output.name,
    }


CLIENTS = (ollama, openai, llama_index, llm_ollama, langchain, pydantic_ai)


def _got(use: Callable[[], Any]) -> Mapping[str, Any]:
    try:
        return {"got": use()}
    except Exception as error:  # noqa: BLE001 (a client's failure is what is looked for)
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def main() -> None:
    for client in CLIENTS:
        for what, use in client(sys.argv[1]).items():
            print(json.dumps({"client": client.__name__, "use": what, **_got(use)}), flush=True)


if __name__ == "__main__":
    main()
