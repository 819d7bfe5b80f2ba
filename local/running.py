"""What a supervisor runs: the emulator, the deployed templates, the gateway and the adapters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import aiohttp
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from local.adapters.archive import create_archives
from local.adapters.batch_actions import allow_batch_calls
from local.adapters.pipe import PipeAdapter, read_pipes
from local.adapters.plain_http import allow_plain_http
from local.adapters.stream_batches import MappingConfig
from local.adapters.stream_mapping import (
    MAX_LANES,
    StreamMappingAdapter,
    disable_mapping,
    read_mapping,
)
from local.adapters.stream_wire import EmulatorFunction, EmulatorStream, QueueDestination
from local.dashboard import DashboardServer, PageConfig
from local.deploy import Deployed, deploy
from local.endpoint import Endpoint
from local.errors import AdapterError, DeploymentError, LocalStackError, PortTakenError
from local.faults.follower import FaultFollower
from local.info import GraphqlInfo, IotInfo, StackInfo
from local.ministack import MiniStack
from local.people import Person, create_demo_people
from local.ports import HOST, ChosenPorts
from local.readiness import Access, wait_until_ready
from local.realtime.gateway import Gateway, UserPool
from local.state import StateDir
from local.synth import synthesize
from local.warm import warm

PROJECTOR_WORKERS = 4
"""Batches of the projector in flight at most. The templates allow far more, but here each is a
process that takes a core for half a second to start, and a burst would start all of them."""
MQTT_HOST = "localhost"
"""In the certificate of MiniStack's MQTT endpoint."""

log = logging.getLogger(__name__)


class RunningStack:
    """Started once, stopped once; `stop` is right at any point of `start`."""

    def __init__(
        self,
        state: StateDir,
        ports: ChosenPorts,
        route: str,
        on_progress: Callable[[str], None],
    ) -> None:
        self._state = state
        self._ports = ports
        self._route = route
        self._on_progress = on_progress
        self._emulator = MiniStack(state, ports)
        self._endpoint: Endpoint = self._emulator.endpoint
        self._gateway: Gateway | None = None
        self._dashboard: DashboardServer | None = None
        self._session: aiohttp.ClientSession | None = None
        self._pipes: list[PipeAdapter] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Return when an event has made the whole trip and `info.json` is written.

        Raises
        ------
        LocalStackError
            Something did not start; what did is still running, so call `stop`.
        """
        try:
            await self._start()
        except (ClientError, BotoCoreError) as error:
            raise DeploymentError(f"the emulator refused a request: {error}") from error

    async def _start(self) -> None:
        self._on_progress("synthesizing the templates (if something has changed)")
        assembly, _ = await asyncio.gather(
            asyncio.to_thread(synthesize, self._route), self._start_emulator()
        )
        deployed = await asyncio.to_thread(deploy, self._endpoint, assembly, self._on_progress)
        await asyncio.to_thread(allow_plain_http, self._endpoint)
        await asyncio.to_thread(allow_batch_calls, self._endpoint)
        await asyncio.to_thread(create_archives, self._endpoint, deployed.cuts)
        self._on_progress("starting the gateway and the adapters")
        await self._start_gateway(deployed.outputs)
        await asyncio.to_thread(self._fit_to_laptop, deployed.outputs)
        await self._start_adapters(deployed)
        people = await asyncio.to_thread(self._make_people, deployed.outputs)
        info = self._info(deployed.outputs, people)
        await self._start_dashboard(info)
        self._on_progress("sending an event through")
        keys = Credentials(self._endpoint.access_key, self._endpoint.secret_key)
        access = Access(self._endpoint.client, keys)
        took = await wait_until_ready(access, info, deployed.outputs["DoorRuleName"])
        log.info("the first event took %.0f ms", took)
        info.save(self._state.info)

    async def failed(self) -> LocalStackError:
        """Wait until the emulator or an adapter ends on its own; return why."""
        emulator = asyncio.create_task(self._emulator.ended())
        done, _ = await asyncio.wait([emulator, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        if emulator in done:
            return self._emulator.ended_error(emulator.result())
        emulator.cancel()
        (first, *_) = done
        error = first.exception()
        log.error("%s ended", first.get_name(), exc_info=error)
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return AdapterError(f"{first.get_name()} ended: {error}")

    async def stop(self) -> None:
        """End everything, in the reverse order; no error if little was running."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._dashboard is not None:
            await self._dashboard.stop()
        if self._gateway is not None:
            await self._gateway.stop()
        if self._session is not None:
            await self._session.close()
        # Pipes need no farewell: what they do, MiniStack does, and it goes now.
        await self._emulator.stop()
        self._endpoint.close()

    async def _start_emulator(self) -> None:
        await self._emulator.start()
        self._on_progress(f"MiniStack answers at {self._endpoint.url}")

    async def _start_gateway(self, outputs: Mapping[str, str]) -> None:
        gateway = Gateway(
            upstream=self._endpoint.url,
            api_id=outputs["ApiId"],
            region=self._endpoint.region,
            credentials={self._endpoint.access_key: self._endpoint.secret_key},
            user_pool=UserPool(outputs["UserPoolId"], outputs["UserPoolClientId"]),
            host=HOST,
            port=self._ports.realtime,
        )
        try:
            await gateway.start()
        except OSError as error:
            raise PortTakenError(
                f"GraphQL cannot listen on port {self._ports.realtime}: {error}"
            ) from error
        self._gateway = gateway

    def _make_people(self, outputs: Mapping[str, str]) -> list[Person]:
        client = self._endpoint.client("cognito-idp")
        return create_demo_people(client, outputs["UserPoolId"])

    async def _start_dashboard(self, info: StackInfo) -> None:
        server = DashboardServer(PageConfig.of(info), port=self._ports.dashboard)
        try:
            await server.start()
        except OSError as error:
            raise PortTakenError(
                f"the dashboard cannot listen on port {self._ports.dashboard}: {error}"
            ) from error
        self._dashboard = server

    def _fit_to_laptop(self, outputs: Mapping[str, str]) -> None:
        """Settings of the deployed functions that differ from AWS, by API (blocking)."""
        client = self._endpoint.client("lambda")
        set_environment(client, outputs["FanoutFunctionName"], self._fanout_environment(outputs))
        mappings = client.list_event_source_mappings(FunctionName=outputs["ProjectorFunctionName"])[
            "EventSourceMappings"
        ]
        for mapping in mappings:
            client.update_event_source_mapping(
                UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": PROJECTOR_WORKERS}
            )
        warm(self._endpoint, outputs["ProjectorFunctionName"], PROJECTOR_WORKERS)
        warm(self._endpoint, outputs["FanoutFunctionName"], MAX_LANES)

    def _fanout_environment(self, outputs: Mapping[str, str]) -> dict[str, str]:
        """The function calls AppSync by its real name; the gateway is its proxy to it."""
        api, region = outputs["ApiId"], self._endpoint.region
        return {
            "GRAPHQL_URL": f"http://{api}.appsync-api.{region}.amazonaws.com/graphql",
            "HTTP_PROXY": f"http://{HOST}:{self._ports.realtime}",
            "NO_PROXY": f"{HOST},localhost",
        }

    async def _start_adapters(self, deployed: Deployed) -> None:
        mapping_id = deployed.outputs["FanoutMappingId"]
        config = await asyncio.to_thread(read_mapping, self._endpoint, mapping_id)
        await asyncio.to_thread(disable_mapping, self._endpoint, mapping_id)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        mapping = partial(self._mapping, config, self._session)
        if self._state.faults.is_dir() and self._gateway is not None:
            follower = FaultFollower(self._state.faults, self._gateway, lambda: mapping().run())
            self._tasks.append(asyncio.create_task(follower.run(), name="faults"))
            run = follower.run_mapping()
        else:
            run = mapping().run()
        self._tasks.append(asyncio.create_task(run, name=mapping().name))
        for pipe in await asyncio.to_thread(read_pipes, self._endpoint, deployed.templates):
            adapter = PipeAdapter(self._endpoint, pipe)
            await adapter.start()
            self._tasks.append(asyncio.create_task(adapter.run(), name=adapter.name))

    def _mapping(
        self, config: MappingConfig, session: aiohttp.ClientSession
    ) -> StreamMappingAdapter:
        return StreamMappingAdapter(
            config,
            stream=EmulatorStream(
                self._endpoint, session, config.stream_arn, config.starting_position
            ),
            invoke=EmulatorFunction(self._endpoint, session, config.function_arn),
            discard=QueueDestination(self._endpoint, config.destination or ""),
        )

    def _info(self, outputs: Mapping[str, str], people: Sequence[Person]) -> StackInfo:
        host = f"{HOST}:{self._ports.realtime}"
        return StackInfo.from_outputs(
            outputs,
            region=self._endpoint.region,
            endpoint_url=self._endpoint.url,
            access_key_id=self._endpoint.access_key,
            secret_access_key=self._endpoint.secret_key,
            iot=IotInfo(
                endpoint=MQTT_HOST, port=self._ports.mqtt, ca_file=str(self._state.ca_file)
            ),
            graphql=GraphqlInfo(
                http=f"http://{host}/graphql", realtime=f"ws://{host}/graphql/realtime"
            ),
            dashboard=f"http://{HOST}:{self._ports.dashboard}/",
            people=people,
        )


def set_environment(client: Any, function: str, variables: Mapping[str, str]) -> None:
    """Add variables to a function's environment (blocking)."""
    current = client.get_function_configuration(FunctionName=function)
    known = current.get("Environment", {}).get("Variables", {})
    client.update_function_configuration(
        FunctionName=function, Environment={"Variables": {**known, **variables}}
    )
