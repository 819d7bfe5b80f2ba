"""Proves that a stack works: an event published to the broker comes out of the subscription.

`latchline up` ends with it, and `latchline smoke` does the same to a deployment on AWS.

The event is that of a locker in a building that exists for this only; its rows are deleted, so that
a fleet finds an empty table. Nothing but the public ways in and out is used: the IoT rule's topic,
and gql's AppSync transport against the gateway, signed with the stack's keys.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.credentials import Credentials
from gql import Client, gql
from gql.client import AsyncClientSession
from gql.transport.appsync_auth import AppSyncIAMAuthentication
from gql.transport.appsync_websockets import AppSyncWebsocketsTransport

from local.errors import NotReadyError
from local.info import StackInfo
from pipeline.contract import Thing
from pipeline.items import building_pk, locker_pk

THING = Thing("readiness", "probe")
DOOR = "d1"
DEADLINE_S = 45.0
AGAIN_AFTER_S = 3.0
"""AppSync, and so its stand-in, may lose a push: the event is sent again with the next number."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """How the stack is reached: the client of a service, and what signs requests to AppSync."""

    client: Callable[[str], Any]
    credentials: Credentials = field(repr=False)


async def wait_until_ready(access: Access, info: StackInfo, door_rule: str) -> float:
    """Return the milliseconds that the event took from the broker to the subscriber.

    Raises
    ------
    NotReadyError
        It did not arrive; the message says in which queues events wait.
    """
    started = time.monotonic()
    try:
        async with asyncio.timeout(DEADLINE_S), _subscribed(access, info) as pushes:
            took = await _until_pushed(access, door_rule, pushes)
    except TimeoutError as error:
        depths = await asyncio.to_thread(_depths, access, info)
        raise NotReadyError(
            f"an event published to the broker did not reach a subscriber within "
            f"{time.monotonic() - started:.0f} s; {depths}"
        ) from error
    finally:
        await asyncio.to_thread(_delete_rows, access, info.table)
    return took


@asynccontextmanager
async def _subscribed(
    access: Access, info: StackInfo
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    host = info.graphql.http.split("://", 1)[1].split("/", 1)[0]
    transport = AppSyncWebsocketsTransport(
        url=info.graphql.realtime,
        auth=AppSyncIAMAuthentication(
            host=host,
            region_name=info.region,
            credentials=access.credentials,
        ),
    )
    # The subscription is closed before the session is: gql would wait ten seconds for an open one.
    async with (
        Client(transport=transport, fetch_schema_from_transport=False) as session,
        aclosing(_pushes(session)) as pushes,
    ):
        yield pushes


async def _pushes(session: AsyncClientSession) -> AsyncGenerator[dict[str, Any]]:
    query = gql(
        "subscription ($building: ID!) { onTiles(buildingId: $building)"
        " { tiles { lockerId doorId receivedAt } } }"
    )
    query.variable_values = {"building": THING.building}
    async with aclosing(session.subscribe(query)) as pushes:
        async for pushed in pushes:
            yield pushed


async def _until_pushed(
    access: Access, door_rule: str, pushes: AsyncIterator[dict[str, Any]]
) -> float:
    first: asyncio.Task[dict[str, Any]] = asyncio.ensure_future(anext(pushes))
    try:
        boot = int(time.time())
        seq = 0
        while not first.done():
            seq += 1
            await asyncio.to_thread(_publish, access, door_rule, boot, seq)
            await asyncio.wait([first], timeout=AGAIN_AFTER_S)
        (tile,) = first.result()["onTiles"]["tiles"]
        return time.time() * 1000 - float(tile["receivedAt"])
    finally:
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first


def _publish(access: Access, door_rule: str, boot: int, seq: int) -> None:
    payload = {
        "schema": 1,
        "boot": boot,
        "seq": seq,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "open": True,
        "occupied": False,
        "fault": None,
    }
    topic = f"$aws/rules/{door_rule}/lockers/v1/{THING}/doors/{DOOR}/opened"
    access.client("iot-data").publish(topic=topic, qos=1, payload=json.dumps(payload).encode())


def _depths(access: Access, info: StackInfo) -> str:
    sqs = access.client("sqs")
    waiting = []
    for name, url in info.queues.model_dump().items():
        found = sqs.get_queue_attributes(
            QueueUrl=url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )["Attributes"]
        depth = sum(map(int, found.values()))
        if depth:
            waiting.append(f"{depth} in {name}")
    return f"waiting: {', '.join(waiting)}" if waiting else "no queue holds it"


def _delete_rows(access: Access, table: str) -> None:
    client = access.client("dynamodb")
    for pk in (building_pk(THING.building), locker_pk(THING)):
        pages = client.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
            ProjectionExpression="pk, sk",
        )
        for key in (key for page in pages for key in page["Items"]):
            client.delete_item(TableName=table, Key=key)
