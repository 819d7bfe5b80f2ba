"""The contract for other people's programs: JSON Schema and AsyncAPI in docs/contract.

    python -m iot_rules.contract_documents            # writes them
    python -m iot_rules.contract_documents --check    # exit status 1 if they are outdated

Made from `pipeline.contract`, so they say what the pipeline does. What a schema cannot say (a door
id, a moment that exists) the pipeline still checks.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from iot_rules import DOOR_EVENTS, SQL_VERSION
from pipeline.contract import (
    PAYLOAD_MAX_BYTES,
    SCHEMA,
    DoorEnvelope,
    Kind,
    Payload,
    PresenceEnvelope,
    Thing,
    device_topic,
)

FOLDER = Path(__file__).parent.parent / "docs" / "contract"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID = "[a-z0-9][a-z0-9-]{0,31}"
BUS_SOURCE, BUS_TYPE = "latchline.iot", "event"
SCHEMAS: dict[str, tuple[type[BaseModel], str]] = {
    "payload": (Payload, "What a controller publishes: the whole state of one door"),
    "door-envelope": (DoorEnvelope, "Detail of a bus event: a publish, as IoT Core took it"),
    "presence-envelope": (PresenceEnvelope, "Detail of a bus event: a controller came or went"),
}


def schema(name: str) -> dict[str, Any]:
    """JSON Schema of one document."""
    model, title = SCHEMAS[name]
    found = model.model_json_schema(by_alias=True)
    properties = found["properties"]
    for each in properties.values():
        each.pop("title", None)
    if model is Payload:
        properties["schema"]["const"] = SCHEMA
        properties["at"]["format"] = "date-time"
    if model is DoorEnvelope:
        properties["thing"]["pattern"] = f"^{ID}:{ID}$"
        properties["door"]["pattern"] = f"^{ID}$"
        properties["kind"]["enum"] = list(Kind)
    if "payload" in properties:
        properties["payload"]["contentEncoding"] = "base64"
    return {"$schema": DIALECT, **found, "title": title}


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3: the topic that controllers publish to, and the bus behind it."""
    thing = Thing("{building}", "{locker}")
    topic = device_topic(DOOR_EVENTS, thing, "{door}", "{kind}")  # type: ignore[arg-type]
    ids = {name: {"description": f"`{ID}`"} for name in ("building", "locker", "door")}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Latchline",
            "version": str(SCHEMA),
            "description": (
                "Identity is what the topic says, never what a payload says. "
                "Delivery is at least once and in no order: take the highest boot, then seq. "
                "The GraphQL API is described by infra/schema.graphql."
            ),
        },
        "defaultContentType": "application/json",
        "servers": {
            "iot": {
                "host": "{account}-ats.iot.{region}.amazonaws.com",
                "protocol": "secure-mqtt",
                "protocolVersion": "5",
                "description": "AWS IoT Core; mutual TLS, client id = <building>:<locker>",
                "variables": {"account": {}, "region": {}},
            },
            "bus": {
                "host": "events.{region}.amazonaws.com",
                "protocol": "eventbridge",
                "description": "EventBridge bus latchline-<stage>-lockers",
                "variables": {"region": {}},
            },
        },
        "channels": {
            "doors": {
                "address": topic,
                "description": (
                    f"Basic Ingest into the rule {DOOR_EVENTS} (SQL {SQL_VERSION}); "
                    "stages other than dev have <stage>_ before its name. QoS 1, no RETAIN."
                ),
                "servers": [{"$ref": "#/servers/iot"}],
                "parameters": {**ids, "kind": {"enum": list(Kind)}},
                "messages": {
                    "doorEvent": {
                        "summary": f"At most {PAYLOAD_MAX_BYTES} bytes",
                        "payload": {"$ref": "./payload.schema.json"},
                    }
                },
            },
            "events": {
                "address": "latchline-{stage}-lockers",
                "description": f"source `{BUS_SOURCE}`, detail-type `{BUS_TYPE}`; archived 90 days",
                "servers": [{"$ref": "#/servers/bus"}],
                "parameters": {"stage": {}},
                "messages": {
                    name: {"payload": {"$ref": f"./{name}.schema.json"}}
                    for name in ("door-envelope", "presence-envelope")
                },
            },
        },
        "operations": {
            "takeDoorEvents": {"action": "receive", "channel": {"$ref": "#/channels/doors"}},
            "announceEvents": {"action": "send", "channel": {"$ref": "#/channels/events"}},
        },
    }


def documents() -> Iterator[tuple[Path, str]]:
    """Each file with its text."""
    for name in SCHEMAS:
        yield FOLDER / f"{name}.schema.json", _text(schema(name))
    yield FOLDER / "asyncapi.json", _text(asyncapi())


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m iot_rules.contract_documents")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    options = parser.parse_args(arguments)
    if not options.check:
        FOLDER.mkdir(exist_ok=True)
        for path, text in documents():
            path.write_text(text, encoding="utf-8")
        return 0
    outdated = [
        path.name
        for path, text in documents()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for name in outdated:
        print(f"docs/contract/{name} is outdated", file=sys.stderr)  # noqa: T201
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())
