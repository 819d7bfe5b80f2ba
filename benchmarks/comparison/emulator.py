"""The emulator that both designs run on: the deployed templates, and a table for each design.

The tables are made as the deployed one is described, so that keys, index, stream and expiry are
alike; the AppSync API is the deployed one, with its schema and resolvers, behind our gateway. The
deployed functions stay idle: nothing is ever in their queue, and their table is not used.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.comparison.designs import DESIGNS, Design
from benchmarks.comparison.wire import key_of
from local.adapters.stream_batches import Record
from local.adapters.stream_mapping import disable_mapping
from local.adapters.stream_wire import EmulatorStream
from local.deploy import deploy
from local.endpoint import HERMETIC, Endpoint
from local.ministack import MiniStack
from local.ports import HOST, Ports, choose
from local.realtime.gateway import Gateway
from local.state import StateDir
from local.synth import synthesize
from models.design import STREAM_BATCH, WRITE_UNIT_BYTES
from models.sizes import item_bytes

IDEMPOTENCY_TABLE = "bench-idempotency"
TILE_FILTER = ("TILE", "LOCKER")
"""Entities that the deployed stream mapping lets through."""


@dataclass
class Emulator:
    endpoint: Endpoint
    outputs: Mapping[str, str]
    graphql_url: str
    streams: Mapping[str, EmulatorStream]
    """By design."""

    def environment(self, design: Design) -> dict[str, str]:
        """What Lambda and the stacks would set for the functions of a design."""
        region = self.endpoint.region
        return {
            **HERMETIC,
            "AWS_ENDPOINT_URL": self.endpoint.url,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": self.endpoint.access_key,
            "AWS_SECRET_ACCESS_KEY": self.endpoint.secret_key,
            "AWS_LAMBDA_FUNCTION_NAME": design.table,
            "POWERTOOLS_SERVICE_NAME": design.table,
            "POWERTOOLS_LOG_LEVEL": "INFO",
            "TABLE_NAME": design.table,
            "IDEMPOTENCY_TABLE_NAME": IDEMPOTENCY_TABLE,
            "QUARANTINE_QUEUE_URL": self.outputs["QuarantineQueueUrl"],
            "FANOUT_DLQ_URL": self.outputs["FanoutDlqUrl"],
            "GRAPHQL_URL": self.graphql_url,
            "NO_PROXY": f"{HOST},localhost",
        }

    async def changes(self, design: Design) -> list[Record]:
        """Records that have come into the design's stream since the last call, in order.

        Only those that the deployed mapping's filter lets through.
        """
        stream = self.streams[design.name]
        found: list[Record] = []
        for shard in await stream.shards():
            while records := await stream.read(shard):
                found += records
        return [record for record in found if _entity(record) in TILE_FILTER]

    def item_units(self) -> dict[tuple[str, str], int]:
        """Write units that a write of each item takes, by table and key (blocking).

        AWS: a unit for each KB of the item begun. The items of a table hardly differ in size from
        write to write, so those at the end stand for all.
        """
        client = self.endpoint.client("dynamodb")
        found = {}
        for table in (*(design.table for design in DESIGNS), IDEMPOTENCY_TABLE):
            for page in client.get_paginator("scan").paginate(TableName=table):
                for item in page["Items"]:
                    found[table, key_of(item)] = write_units(item)
        return found


@asynccontextmanager
async def emulator(folder: Path, on_progress: Callable[[str], None]) -> AsyncIterator[Emulator]:
    """Start it on free ports, with all its files in `folder`.

    Raises
    ------
    LocalStackError
        It did not start, or refused the templates.
    """
    state = StateDir(folder / "bench")
    state.create()
    ministack = MiniStack(state, choose(Ports()))
    try:
        assembly, _ = await asyncio.gather(asyncio.to_thread(synthesize, "bus"), ministack.start())
        endpoint = ministack.endpoint
        deployed = await asyncio.to_thread(deploy, endpoint, assembly, on_progress)
        outputs = deployed.outputs
        await asyncio.to_thread(disable_mapping, endpoint, outputs["FanoutMappingId"])
        gateway = Gateway(
            upstream=endpoint.url,
            api_id=outputs["ApiId"],
            region=endpoint.region,
            credentials={endpoint.access_key: endpoint.secret_key},
            user_pool=None,
        )
        await gateway.start()
        try:
            graphql_url = f"http://{HOST}:{gateway.port}/graphql"
            async with prepared(endpoint, outputs, graphql_url) as found:
                yield found
        finally:
            await gateway.stop()
    finally:
        await ministack.stop()
        ministack.endpoint.close()


@asynccontextmanager
async def prepared(
    endpoint: Endpoint, outputs: Mapping[str, str], graphql_url: str
) -> AsyncIterator[Emulator]:
    """Make the designs' tables on an emulator that runs, with what the stacks say of themselves."""
    arns = await asyncio.to_thread(_create_tables, endpoint, outputs["TableName"])
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        streams = {
            design.name: EmulatorStream(endpoint, session, arns[design.table], "TRIM_HORIZON")
            for design in DESIGNS
        }
        yield Emulator(endpoint, outputs, graphql_url, streams)


def _create_tables(endpoint: Endpoint, deployed: str) -> dict[str, str]:
    """Make a table like the deployed one for each design, and one for idempotency records.

    Return the streams' ARNs by table.
    """
    client = endpoint.client("dynamodb")
    like = client.describe_table(TableName=deployed)["Table"]
    arns = {}
    for table in (design.table for design in DESIGNS):
        made = client.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=like["AttributeDefinitions"],
            KeySchema=like["KeySchema"],
            GlobalSecondaryIndexes=[
                {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
                for index in like["GlobalSecondaryIndexes"]
            ],
            StreamSpecification=like["StreamSpecification"],
        )["TableDescription"]
        arns[table] = made["LatestStreamArn"]
    client.create_table(
        TableName=IDEMPOTENCY_TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    return arns


def stream_events(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Full batches, as the stream mapping hands them to its function."""
    return [
        {"Records": list(records[start : start + STREAM_BATCH])}
        for start in range(0, len(records), STREAM_BATCH)
    ]


def write_units(item: Mapping[str, Any]) -> int:
    """AWS: write request units of a put or update that leaves this item."""
    return math.ceil(item_bytes(item) / WRITE_UNIT_BYTES)


def _entity(record: Record) -> str | None:
    image = record["dynamodb"].get("NewImage") or {}
    found: str | None = image.get("entity", {}).get("S")
    return found
