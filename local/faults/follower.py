"""Makes the faults happen that are not in MiniStack's process: AppSync down, and parts restarted.

Runs in the supervisor, only if a stack is started with `--faults`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from local.faults.plan import Part, Plan, read_plan

POLL_S = 0.1

log = logging.getLogger(__name__)


class Pausable(Protocol):
    """The gateway, as far as it is needed here."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class FaultFollower:
    """Follows the plan in a folder. `mapping` starts the stream mapping; it may be called again.

    A mapping that is started anew reads the stream from its beginning: AWS would go on from its
    checkpoint, and this delivers more, and older, than that.
    """

    def __init__(
        self, folder: Path, gateway: Pausable, mapping: Callable[[], Awaitable[None]]
    ) -> None:
        self._folder = folder
        self._gateway = gateway
        self._mapping = mapping
        self._plan = Plan()
        self._restart = asyncio.Event()

    async def run(self) -> None:
        """Follow the plan for ever."""
        while True:
            plan = await asyncio.to_thread(read_plan, self._folder)
            if plan.generation != self._plan.generation:
                before, self._plan = self._plan, plan
                await self._follow(before, plan)
            await asyncio.sleep(POLL_S)

    async def run_mapping(self) -> None:
        """Run the mapping for ever, anew whenever the plan says so; raise what it raises."""
        while True:
            running = asyncio.ensure_future(self._mapping())
            told = asyncio.create_task(self._restart.wait())
            try:
                await asyncio.wait({running, told}, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    await running
                self._restart.clear()
            finally:
                for task in (running, told):
                    task.cancel()
                await asyncio.gather(running, told, return_exceptions=True)

    async def _follow(self, before: Plan, plan: Plan) -> None:
        if Part.APPSYNC in plan.down - before.down:
            log.info("fault: AppSync is down")
            self._gateway.pause()
        elif Part.APPSYNC in before.down - plan.down:
            self._gateway.resume()
        if plan.restarts > before.restarts:
            log.info("fault: gateway and stream mapping start anew")
            self._restart.set()
            await self._gateway.stop()
            await self._gateway.start()
