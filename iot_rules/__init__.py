"""The IoT rules and the device policy: files, and the little code that reads them.

infra deploys these documents and the tests run the samples beside them through a broker.
"""

import json
from pathlib import Path
from typing import Any

DOOR_EVENTS = "door_events"
PRESENCE = "presence"
SQL_VERSION = "2016-03-23"
_HERE = Path(__file__).parent


def rule_sql(rule: str) -> str:
    """SQL of the rule (`DOOR_EVENTS` or `PRESENCE`) in one line, as `awsIotSqlVersion` 2016-03-23.

    Lines that begin with `--` are left out: AWS IoT SQL has no comments.
    """
    lines = (_HERE / f"{rule}.sql").read_text(encoding="utf-8").splitlines()
    return " ".join(line.strip() for line in lines if line and not line.startswith("--"))


def device_policy(*, partition: str, region: str, account: str, door_rule: str) -> dict[str, Any]:
    """IoT policy of a locker: connect as its thing, publish its own doors' events, nothing else.

    The arguments may be CDK tokens. `${iot:…}` in the document is a policy variable of AWS IoT,
    filled by the broker for each connection.
    """
    text = (_HERE / "device_policy.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    values = {
        "<partition>": partition,
        "<region>": region,
        "<account>": account,
        "<door_rule>": door_rule,
    }
    for statement in document["Statement"]:
        for placeholder, value in values.items():
            statement["Resource"] = statement["Resource"].replace(placeholder, value)
    return document
