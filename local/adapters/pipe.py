"""EventBridge Pipes from SQS to an event bus.

Gap: MiniStack creates such a pipe and never polls its source ("delivers to sns and states"), and
DescribePipe returns neither source nor target parameters, so those are read from the deployed
template. Seen in MiniStack 1.5.33; delete this file, `pipe_function.py` and `pipe_template.py` when
upstream runs SQS pipes.

How: MiniStack's SQS event source mapping has what a pipe needs: it is woken by arrivals (a long
poll wakes every 100 ms), hides a batch for the queue's visibility timeout, deletes only what was
not reported as failed, and lets the redrive policy take the rest to the dead-letter queue. So the
pipe runs as a function on such a mapping, under the pipe's own role. This adapter sets both up and
keeps the mapping enabled exactly while the pipe is RUNNING.

A poller in the supervisor would be slower for one more reason: a message that arrives in a queue
without a mapping wakes MiniStack's poller for nothing, and it then sleeps 50 ms, in which the
projector's messages wait.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.adapters.pipe_template import unsupported
from local.assembly import zip_files
from local.endpoint import Endpoint
from local.errors import AdapterError, DeploymentError
from local.warm import warm

PIPE = "AWS::Pipes::Pipe"
BATCH_MAX = 10
"""AWS: a pipe whose target is a bus takes at most ten messages, PutEvents' limit."""
CONCURRENCY = 2
"""MiniStack starts a process for each batch in flight, up to five. AWS: the least one can set."""
STATE_POLL_S = 0.5
GIVE_UP_S = 30.0
"""After so long without an answer the adapter ends, and the stack with it."""
TIMEOUT_S = 30
_BODY = ("local/adapters/pipe_function.py", "local/adapters/pipe_template.py")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PipeDefinition:
    """A pipe as it was deployed. `queue` and `bus` are ARNs."""

    name: str
    queue: str
    bus: str
    role: str
    running: bool
    batch: int
    input_template: str
    source: str
    detail_type: str
    resources: tuple[str, ...] = ()


def read_pipes(
    endpoint: Endpoint, templates: Mapping[str, Mapping[str, Any]]
) -> list[PipeDefinition]:
    """Return every pipe of the deployed stacks (blocking).

    Raises
    ------
    DeploymentError
        A pipe is not from SQS to a bus, or uses what this adapter does not do.
    """
    return [
        _definition(endpoint, stack, logical_id, resource["Properties"])
        for stack, template in templates.items()
        for logical_id, resource in _resources(template)
    ]


def _resources(template: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for logical_id, resource in template.get("Resources", {}).items():
        if resource["Type"] == PIPE:
            yield logical_id, resource


def _definition(
    endpoint: Endpoint, stack: str, logical_id: str, properties: Mapping[str, Any]
) -> PipeDefinition:
    cloudformation = endpoint.client("cloudformation")
    found = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
    name = found["StackResourceDetail"]["PhysicalResourceId"]
    pipe = endpoint.client("pipes").describe_pipe(Name=name)
    source = properties.get("SourceParameters", {})
    target = properties.get("TargetParameters", {})
    bus = target.get("EventBridgeEventBusParameters", {})
    template = target.get("InputTemplate", "<$>")
    missing = [
        wanted
        for wanted, present in {
            "an SQS source": ":sqs:" in pipe["Source"],
            "an event bus as target": ":event-bus/" in pipe["Target"],
            "no filter": "FilterCriteria" not in source,
            "no enrichment": "Enrichment" not in properties,
            "Source and DetailType": {"Source", "DetailType"} <= bus.keys(),
            "no Time and no EndpointId": not {"Time", "EndpointId"} & bus.keys(),
            f"no {unsupported(template)}": unsupported(template) is None,
        }.items()
        if not present
    ]
    if missing:
        raise DeploymentError(f"pipe {name}: the laptop's adapter wants {', '.join(missing)}")
    queue = source.get("SqsQueueParameters", {})
    return PipeDefinition(
        name=name,
        queue=pipe["Source"],
        bus=pipe["Target"],
        role=pipe["RoleArn"],
        running=pipe["DesiredState"] == "RUNNING",
        batch=min(int(queue.get("BatchSize", BATCH_MAX)), BATCH_MAX),
        input_template=template,
        source=bus["Source"],
        detail_type=bus["DetailType"],
        resources=tuple(bus.get("Resources", ())),
    )


class PipeAdapter:
    """Runs one pipe until `stop`."""

    def __init__(self, endpoint: Endpoint, pipe: PipeDefinition) -> None:
        self.name = f"pipe {pipe.name}"
        self.function = f"local-pipe-{pipe.name}"[:64]
        self._endpoint = endpoint
        self._pipe = pipe
        self._mapping: str | None = None

    async def start(self) -> None:
        """Put function and mapping in place; warm."""
        await asyncio.to_thread(self._create)

    async def run(self) -> None:
        """Follow the pipe's state for ever.

        Raises
        ------
        AdapterError
            The pipe is gone, or nobody answers for 30 s.
        """
        enabled = self._pipe.running
        failing_since: float | None = None
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(STATE_POLL_S)
            try:
                wanted = await asyncio.to_thread(self._wanted)
                if wanted != enabled:
                    await asyncio.to_thread(self._enable, enabled=wanted)
                    enabled = wanted
                failing_since = None
            except (ClientError, BotoCoreError) as error:
                failing_since = failing_since or loop.time()
                if loop.time() - failing_since > GIVE_UP_S:
                    raise AdapterError(f"{self.name}: {error}") from error
                log.warning("%s: %s; trying again", self.name, error)

    async def stop(self) -> None:
        """Stop taking messages; what is in flight is finished by MiniStack."""
        if self._mapping is not None:
            await asyncio.to_thread(self._enable, enabled=False)

    def _wanted(self) -> bool:
        client = self._endpoint.client("pipes")
        try:
            state = client.describe_pipe(Name=self._pipe.name)["DesiredState"]
        except client.exceptions.NotFoundException as error:
            raise AdapterError(f"{self.name} was deleted") from error
        return bool(state == "RUNNING")

    def _enable(self, *, enabled: bool) -> None:
        client = self._endpoint.client("lambda")
        client.update_event_source_mapping(UUID=self._mapping, Enabled=enabled)
        log.info("%s: %s", self.name, "running" if enabled else "stopped")

    def _create(self) -> None:
        client = self._endpoint.client("lambda")
        pipe = self._pipe
        client.create_function(
            FunctionName=self.function,
            Description=f"Stands in for the pipe {pipe.name} on a laptop",
            Runtime="python3.13",
            Role=pipe.role,
            Handler="local.adapters.pipe_function.handler",
            Code={"ZipFile": zip_files(_sources())},
            Timeout=TIMEOUT_S,
            Environment={
                "Variables": {
                    "INPUT_TEMPLATE": pipe.input_template,
                    "EVENT_BUS_NAME": pipe.bus,
                    "EVENT_SOURCE": pipe.source,
                    "DETAIL_TYPE": pipe.detail_type,
                    "RESOURCES": json.dumps(pipe.resources),
                }
            },
        )
        warm(self._endpoint, self.function, CONCURRENCY)
        created = client.create_event_source_mapping(
            FunctionName=self.function,
            EventSourceArn=pipe.queue,
            BatchSize=pipe.batch,
            Enabled=pipe.running,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            ScalingConfig={"MaximumConcurrency": CONCURRENCY},
        )
        self._mapping = created["UUID"]


def _sources() -> dict[str, bytes]:
    package = Path(__file__).parents[2]
    names = ("local/__init__.py", "local/adapters/__init__.py", *_BODY)
    return {name: (package / name).read_bytes() for name in names}
