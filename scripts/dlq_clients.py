"""Wires the dead-letter tools to a deployment: the one place where their clients are made."""

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operations.letters import Queue
    from operations.redrive import Orders, Redrive
    from operations.republish import Republisher
    from simulators.target import Target

CONNECTIONS = 24
"""The redrive's threads, and those that look."""


def sqs_client(target: "Target") -> Any:
    return target.client("sqs", _config())


def require(target: "Target", queues: "list[Queue]") -> None:
    """Raise CommandError naming a queue that the deployment does not have."""
    from scripts.errors import CommandError

    for name in (*queues, "ingest", "projector"):
        if name not in target.queues:
            raise CommandError(f"the deployment's description names no queue {name}")


def redrive_of(
    target: "Target", sqs: Any, orders: "Orders", stop: threading.Event, hurry: threading.Event
) -> "Redrive":
    from operations.arrival import Arrivals
    from operations.clock import sqs_now_ms
    from operations.proof import Proof
    from operations.redrive import Redrive

    started_at = sqs_now_ms(sqs, target.queues["ingest"])
    arrivals = Arrivals(target.client("dynamodb", _config()), target.table)
    return Redrive(
        sqs=sqs,
        urls=target.queues,
        proof=Proof(
            sqs=sqs, urls=target.queues, arrivals=arrivals, started_at=started_at, hurry=hurry
        ),
        republisher=lambda: republisher_of(target, orders),
        orders=orders,
        stop=stop,
        started_at=started_at,
    )


def republisher_of(target: "Target", orders: "Orders") -> "Republisher":
    """Push with the caller's own credentials: AppSync lets IAM publish, and nobody else."""
    from gql.transport.requests import RequestsHTTPTransport

    from operations.controllers import registered
    from operations.republish import Republisher
    from pipeline.appsync import AppSync, IamAuth

    transport = RequestsHTTPTransport(target.graphql.http, auth=IamAuth(target.graphql_auth()))
    named = sorted(orders.selection.buildings)
    return Republisher(
        streams=target.client("dynamodbstreams", _config()),
        dynamodb=target.client("dynamodb", _config()),
        table=target.table,
        appsync=AppSync(transport, lambda: time.time_ns() // 1_000_000),
        buildings=lambda: named or sorted({thing.building for thing in registered(target)}),
        named=bool(named),
    )


def _config() -> Any:
    from botocore.config import Config

    return Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 5},
        max_pool_connections=CONNECTIONS,
    )
