"""The plan in force, and how changed settings replace it while the launcher runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from relay.channels.registry import AllSettings
from relay.config.errors import SettingsError
from relay.config.loading import load_settings
from relay.launcher.events import Notify, PlanChanged
from relay.launcher.plan import Plan, Selection, make_plan
from relay.launcher.ports import port_problems
from relay.launcher.tunnel_file import TunnelFile


class RunningPlan:
    """Holds the plan of a launcher; `reload` is called in the thread of its control socket, one call at a time."""

    def __init__(self, folder: Path, selection: Selection, plan: Plan, environ: Mapping[str, str] = os.environ) -> None:
        self._folder = folder
        self._selection = selection
        self._environ = environ
        self.plan = plan

    def reload(self, notify: Notify, show: Callable[[Plan], None]) -> dict[str, Any]:
        """Read the settings again and have the supervisor run what they ask for; {"error": ...} when they are refused.

        A server that was selected and is not configured is left out: the settings may be half entered.
        """
        before = {program.name: program for program in self.plan.programs}
        try:
            settings = load_settings(AllSettings, self._folder, self._environ)
            addresses = TunnelFile(self._folder).addresses() if self.plan.has_tunnel else {}
            plan = make_plan(settings, self._selection, strict=False, addresses=addresses)
        except SettingsError as error:
            return {"error": str(error)}
        after = {program.name: program for program in plan.programs}
        taken = {program.port for program in before.values()}
        if problems := port_problems([program for program in plan.programs if program.port not in taken]):
            return {"error": " ".join(problems)}
        self.plan = plan
        changed = [name for name, program in after.items() if before.get(name) != program]
        stopped = [name for name in before if name not in after]
        if changed or stopped:
            show(plan)
            notify(PlanChanged(plan.programs))
        return {
            "restarted": changed,
            "stopped": stopped,
            "simulated": plan.simulated,
            "left_out": [list(pair) for pair in plan.left_out],
        }
