"""Starts MiniStack as a child on chosen ports, with authorization on, and ends it.

Facts (MiniStack 1.5.33): `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` of its environment are
its root key pair; under `AUTH=true` every signature is verified and IAM evaluated, for functions
too. `test` and account numbers are other access keys of the root, with the same secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import sys
import time
from pathlib import Path

import aiohttp

from local.endpoint import HERMETIC, REGION, Endpoint
from local.errors import EmulatorError
from local.guard import GRACE_S, end_group
from local.node import path_with_node
from local.ports import HOST, ChosenPorts
from local.state import StateDir

READY_S = 60.0
"""It takes 2 s; much longer only on a machine that is very busy."""
_POLL_S = 0.05
_WARM_S = 6 * 3600
"""Idle function workers are kept: a cold one takes 0.4 to 2 s of a core."""
_LOG_TAIL = 12
FAULTS = "LATCHLINE_FAULTS"
"""Names the folder of the plan of faults to `local.ministack_main`, if there is to be any."""

log = logging.getLogger(__name__)


class MiniStack:
    """One emulator process behind a guard; all that it writes stays in the state directory."""

    def __init__(self, state: StateDir, ports: ChosenPorts) -> None:
        self._state = state
        self._ports = ports
        self._guard: asyncio.subprocess.Process | None = None
        self._group: int | None = None
        self.endpoint = Endpoint(
            url=f"http://{HOST}:{ports.gateway}",
            access_key="AKIA" + secrets.token_hex(8).upper(),
            secret_key=secrets.token_hex(20),
        )

    @property
    def log_file(self) -> Path:
        return self._state.log / "ministack.log"

    async def start(self) -> None:
        """Return when it answers and MQTT listens; the CA is then in the state directory.

        Raises
        ------
        EmulatorError
            It ended, or is not ready in time; the message has the end of its log.
        """
        with self.log_file.open("ab") as output:
            self._guard = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "local.guard", str(self._state.guard_lock), "--"),
                *(sys.executable, "-m", "local.ministack_main"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                env=self._environment(),
                cwd=self._state.emulator,
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        first = await self._guard.stdout.readline()
        if not first:
            raise EmulatorError(f"MiniStack's guard did not start:\n{self._log_tail()}")
        self._group = int(first)
        await self._wait_until_ready()

    async def ended(self) -> int:
        """Wait until it ends, for whatever reason; return the exit status."""
        assert self._guard is not None
        return await self._guard.wait()

    def ended_error(self, status: int) -> EmulatorError:
        """What to raise after `ended` returned without being asked for."""
        return EmulatorError(f"MiniStack ended (exit status {status}):\n{self._log_tail()}")

    async def stop(self) -> None:
        """End it and everything it started; no error if it never ran."""
        if self._guard is None:
            return
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        try:
            async with asyncio.timeout(GRACE_S + 5):
                await self._guard.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._guard.kill()
            await self._guard.wait()
        if self._group is not None:
            # Nothing is left of the group unless somebody killed the guard itself.
            end_group(self._group, grace_s=0)

    def _environment(self) -> dict[str, str]:
        """Everything MiniStack sees; nothing of the user's AWS setup or proxies is in it."""
        temporary = self._state.emulator / "tmp"
        temporary.mkdir(exist_ok=True)
        return {
            **HERMETIC,
            "PATH": path_with_node(os.environ),
            "HOME": str(self._state.emulator),
            "LANG": "C.UTF-8",
            # The guard is a module of ours, MiniStack's cwd is the state directory.
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AUTH": "true",
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self._ports.gateway),
            "IOT_MTLS_PORT": str(self._ports.mqtt),
            "SFTP_ENABLED": "0",
            "MINISTACK_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.endpoint.access_key,
            "AWS_SECRET_ACCESS_KEY": self.endpoint.secret_key,
            "TMPDIR": str(temporary),
            "S3_DATA_DIR": str(self._state.emulator / "s3"),
            "STATE_DIR": str(self._state.emulator / "state"),
            # It would start containers where it finds a Docker daemon.
            "DOCKER_HOST": f"unix://{temporary}/no-docker.sock",
            "LAMBDA_EXECUTOR": "local",
            "LAMBDA_WARM_TTL_SECONDS": str(_WARM_S),
            **({FAULTS: str(self._state.faults)} if self._state.faults.is_dir() else {}),
        }

    async def _wait_until_ready(self) -> None:
        assert self._guard is not None
        deadline = time.monotonic() + READY_S
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(self.endpoint.url, timeout=timeout) as session:
            while True:
                if self._guard.returncode is not None:
                    raise self.ended_error(self._guard.returncode)
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, KeyError):
                    if await self._is_ready(session):
                        return
                if time.monotonic() > deadline:
                    raise EmulatorError(
                        f"MiniStack is not ready after {READY_S:g} s:\n{self._log_tail()}"
                    )
                await asyncio.sleep(_POLL_S)

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        async with session.get("/_ministack/ready") as answer:
            mqtt = (await answer.json())["iot_mtls"]
        if mqtt == "degraded":
            raise EmulatorError(
                f"MiniStack's MQTT endpoint did not come up on port {self._ports.mqtt}:\n"
                f"{self._log_tail()}"
            )
        if mqtt != "listening":
            return False
        async with session.get("/_ministack/iot/ca.pem") as answer:
            answer.raise_for_status()
            self._state.ca_file.write_bytes(await answer.read())
        return True

    def _log_tail(self) -> str:
        try:
            lines = self.log_file.read_text(errors="replace").splitlines()
        except OSError:
            return "  (no log)"
        return "\n".join(f"  {line}" for line in lines[-_LOG_TAIL:]) or "  (its log is empty)"
