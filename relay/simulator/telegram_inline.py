"""What people write behind the bot's name in other chats: inline queries, and guest messages with their answers.

https://core.telegram.org/bots/api#answerinlinequery, https://core.telegram.org/bots/api#answerguestquery
"""

from __future__ import annotations

from typing import Any, Final

from relay.simulator.people import Person
from relay.simulator.telegram_chats import Chats, TelegramMessage
from relay.simulator.telegram_params import BotError, Params, bad_request
from relay.simulator.telegram_updates import UpdateQueue

MAX_RESULTS: Final = 50


class InlineMessages:
    """The open queries, what the bot answered, and its messages in chats that it does not see."""

    def __init__(self, chats: Chats, updates: UpdateQueue) -> None:
        self._chats = chats
        self._updates = updates
        self._queries: set[str] = set()
        self._guests: dict[str, int] = {}
        self._messages: dict[str, TelegramMessage] = {}
        self.results: dict[str, list[dict[str, Any]]] = {}
        """What a person is offered, by the id of their query."""

    def clear(self) -> None:
        """Forget all of it."""
        for known in (self._queries, self._guests, self._messages, self.results):
            known.clear()

    # -- people -------------------------------------------------------------------------------------------------------

    def write_query(self, person: Person, text: str) -> tuple[int | None, str]:
        """Write behind the bot's name; returns the ids of the update and of the query."""
        query = str(self._chats.next_message_id())
        self._queries.add(query)
        body = {"id": query, "from": self._chats.user(person), "query": text, "offset": ""}
        return self._updates.put({"inline_query": body}, person.chat_id, text=text), query

    def write_as_guest(self, person: Person, chat_id: int, text: str) -> tuple[int | None, int]:
        """Mention the bot in a chat of others; returns the ids of the update and of the message."""
        message = self._chats.add(chat_id, text, person)
        query = str(self._chats.next_message_id())
        self._guests[query] = chat_id
        body = {**self._chats.to_json(message), "guest_query_id": query}
        return self._updates.put({"guest_message": body}, person.chat_id, text=text), message.message_id

    # -- the bot ------------------------------------------------------------------------------------------------------

    def answer_query(self, params: Params) -> bool:
        """Answer an open query with results. Raises BotError."""
        query, results = params.text("inline_query_id"), params.structure("results")
        if query not in self._queries:
            raise _over()
        if not isinstance(results, list) or len(results) > MAX_RESULTS:
            raise bad_request(f"can't parse results: an Array of at most {MAX_RESULTS} is expected")
        for result in results:
            _text_of(result)
        self._queries.remove(query)
        self.results[query] = results
        return True

    def answer_guest(self, params: Params) -> dict[str, Any]:
        """Answer an open guest message; the name of the answer. Raises BotError."""
        query, text = params.text("guest_query_id"), _text_of(params.structure("result"))
        if query not in self._guests:
            raise _over()
        message = self._chats.add(self._guests.pop(query), text, None)
        name = f"inline-{message.message_id}"
        self._messages[name] = message
        return {"inline_message_id": name}

    def message(self, name: str) -> TelegramMessage:
        """The message of an inline_message_id. Raises BotError."""
        if name not in self._messages:
            raise bad_request("MESSAGE_ID_INVALID")
        return self._messages[name]


def _over() -> BotError:
    return bad_request("query is too old and response timeout expired or query ID is invalid")


def _text_of(result: Any) -> str:
    """The text that a result sends. Raises BotError."""
    content = result.get("input_message_content") if isinstance(result, dict) else None
    text = content.get("message_text") if isinstance(content, dict) else None
    if not (isinstance(text, str) and text.strip() and result.get("id") and result.get("type") == "article"):
        raise bad_request("can't parse inline query result")
    return text
