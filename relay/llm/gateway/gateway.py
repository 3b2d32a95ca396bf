"""The gateway as the server sees it: start, stop, ask, and say how everything is.

How a question is asked is relay.llm.gateway.router's business; this module keeps the sources looked after, the time of
an answer limited, and the accounts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from relay.config.settings import Settings
from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import ChatRequest, ModelFacts, RequestTiming
from relay.llm.gateway.api_format import AnswerSummary, HintedError, hint_of
from relay.llm.gateway.backend import Station
from relay.llm.gateway.chain import Chain
from relay.llm.gateway.environment import Outside
from relay.llm.gateway.metrics import Figures
from relay.llm.gateway.response import OnChunk
from relay.llm.gateway.router import Asker
from relay.llm.gateway.spend import Ledger


class Gateway:
    """The sources in force under one set of settings; `start` and `stop` it, and `ask`."""

    def __init__(
        self,
        settings: Settings,
        stations: Iterable[Station],
        ledger: Ledger,
        figures: Figures,
        outside: Outside,
    ) -> None:
        self._settings = settings
        self._stations = {station.name: station for station in stations}
        self._chain = Chain(settings, self._stations, outside.clock)
        self._ledger = ledger
        self._figures = figures
        self._asker = Asker(settings, self._stations, self._chain, ledger, figures, outside)
        self._looked = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    # -- looking after the sources -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look at the sources, now and every llm_probe_seconds."""
        self._looking = asyncio.create_task(self._look_again_and_again())

    async def stop(self) -> None:
        """Stop looking, and note what was spent. Questions on their way are not touched."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await asyncio.gather(*(station.stop() for station in self._stations.values()))
        self._ledger.save()

    async def looked_around(self) -> None:
        """Wait for the first look at the sources; it comes to an end whatever they do."""
        await self._looked.wait()

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.gather(*(station.look() for station in self._watched()))
            for station in self._stations.values():
                self._ledger.billed(station.name, station.survey.month_usd if station.survey else None)
            self._looked.set()
            self._ledger.save()
            await asyncio.sleep(self._settings.llm_probe_seconds)

    def _watched(self) -> list[Station]:
        """The stations that may be asked under these settings: nobody else's port is knocked at."""
        settings = self._settings
        named = {text.partition(":")[0] for text in settings.llm_fallbacks}
        named |= {alias["model"].partition(":")[0] for alias in settings.llm_aliases.values()}
        named |= {settings.llm_source, "demo"}
        return [station for name, station in self._stations.items() if settings.llm_source == "auto" or name in named]

    # -- asking --------------------------------------------------------------------------------------------------------

    async def ask(self, request: ChatRequest, on_chunk: OnChunk, timing: RequestTiming) -> AnswerSummary:
        """Give every piece of the answer to `hear`, and return its end. Raises ModelError."""
        try:
            async with asyncio.timeout(self._settings.llm_total_seconds):
                if not self._looked.is_set():
                    await self._looked.wait()
                summary = await self._asker.ask(request, on_chunk, timing)
        except TimeoutError:
            error = ModelError(
                ModelFailure.TIMEOUT, f"the answer took longer than {self._settings.llm_total_seconds:g} seconds"
            )
            self._figures.refused(error)
            raise error from None
        except ModelError as error:
            self._figures.refused(error)
            raise
        self._ledger.add(summary.cost_usd)
        self._figures.record_answer(summary, timing)
        return summary

    # -- what it is ----------------------------------------------------------------------------------------------------

    async def status(self) -> dict[str, Any]:
        """Who answers now, and how every source is; uses no tokens, never raises, waits at most for the first look."""
        try:
            async with asyncio.timeout(2.0):
                await self._looked.wait()
        except TimeoutError:
            return {"status": "starting", "source": None, "model": None, "sources": []}
        try:
            targets = self._chain.of("")[0]
        except HintedError as error:
            return {
                "status": "unavailable",
                "source": None,
                "model": None,
                "problem": error.message,
                "hint": error.hint,
            }
        stations = [self._stations[target.source] for target in targets]
        first = next((number for number, station in enumerate(stations) if station.usable), None)
        state = "unavailable" if first is None else "ok" if first == 0 else "degraded"
        target, station = targets[first or 0], stations[first or 0]
        problem = stations[0].problem if first != 0 else None
        return {
            "status": state,
            "source": station.name,
            "model": target.model or station.default_model or None,
            **({"problem": problem.message, "hint": hint_of(problem)} if problem else {}),
            "sources": [station.status() for station in dict.fromkeys(stations)],
            "chain": [str(target) for target in targets],
            "replaced_models": self._chain.gone(),
            "spent_this_month_usd": round(self._ledger.spent, 6),
            "monthly_budget_usd": self._settings.llm_monthly_budget_usd,
        }

    async def models(self) -> dict[str, ModelFacts]:
        """Every name that can be asked for: `default`, the aliases, and what each source of the chain lists."""
        await self._looked.wait()
        found = {name: ModelFacts(name) for name in ("default", *self._settings.llm_aliases)}
        try:
            targets = self._chain.default()
        except HintedError:
            return found
        for number, source in enumerate(dict.fromkeys(target.source for target in targets)):
            survey = self._stations[source].survey
            for facts in survey.models if survey else ():
                found.setdefault(facts.name if number == 0 else f"{source}:{facts.name}", facts)
        return found
