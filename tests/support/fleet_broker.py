"""MiniStack as nothing but a broker: IoT with authorization on, the rule, and a queue behind it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from simulators.target import Target

REGION = "us-east-1"
ACCOUNT = "000000000000"
POLICY = "locker"
RULE_SQL = (
    "SELECT encode(*, 'base64') AS payload, topic(3) AS thing, topic(5) AS door, "
    "topic(6) AS kind, clientid() AS client, timestamp() AS received_at, 'door' AS type "
    "FROM 'lockers/v1/+/doors/+/+'"
)
START_S = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 15.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {deadline_s:g} s: {what}"
        time.sleep(0.02)


@dataclass
class Broker:
    """One MiniStack process, and the queue that the rule sends to."""

    folder: Path
    target: Target
    queue_url: str
    process: subprocess.Popen[bytes]

    def messages(self) -> list[dict[str, Any]]:
        """Take every envelope out of the queue."""
        return [json.loads(body) for body in self.bodies()]

    def bodies(self) -> list[str]:
        """Take every message out of the queue, as text."""
        sqs = self.target.client("sqs")
        found: list[str] = []
        while True:
            answer = sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
            batch = answer.get("Messages", [])
            if not batch:
                return found
            for message in batch:
                found.append(message["Body"])
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def start_broker(folder: Path) -> Broker:
    """Start MiniStack with AUTH=true and put rule, policy and queue in place."""
    port, mqtt_port = free_port(), free_port()
    environment = {
        **os.environ,
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_PORT": str(mqtt_port),
        "AUTH": "true",
        "TMPDIR": str(folder),
        "S3_DATA_DIR": str(folder),
    }
    url = f"http://127.0.0.1:{port}"
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    wait_until(lambda: answers(f"{url}/_ministack/health"), "MiniStack's health", START_S)
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(read(f"{url}/_ministack/iot/ca.pem"))
    target = Target.from_info(
        {
            "region": REGION,
            "endpoint_url": url,
            "access_key_id": "test",
            "secret_access_key": "test",
            "iot": {"endpoint": "localhost", "port": mqtt_port, "ca_file": str(ca_file)},
            "graphql": {"http": f"{url}/graphql", "realtime": "ws://127.0.0.1:1/graphql"},
            "table": "none",
            "device_policy": POLICY,
        }
    )
    queue_url = put_rule_in_place(target)
    return Broker(folder, target, queue_url, process)


def put_rule_in_place(target: Target) -> str:
    queue_url = str(target.client("sqs").create_queue(QueueName="ingest")["QueueUrl"])
    iam, iot = target.client("iam"), target.client("iot")
    allow = {"Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"}}
    role = iam.create_role(
        RoleName="rule",
        AssumeRolePolicyDocument=document({**allow, "Action": "sts:AssumeRole"}),
    )
    queue_arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:ingest"
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue_arn}
    iam.put_role_policy(RoleName="rule", PolicyName="send", PolicyDocument=document(send))
    iot.create_topic_rule(
        ruleName=target.door_rule,
        topicRulePayload={
            "sql": RULE_SQL,
            "awsIotSqlVersion": "2016-03-23",
            "actions": [{"sqs": {"roleArn": role["Role"]["Arn"], "queueUrl": queue_url}}],
        },
    )
    arn = f"arn:aws:iot:{REGION}:{ACCOUNT}"
    thing = "${iot:Connection.Thing.ThingName}"
    iot.create_policy(
        policyName=POLICY,
        policyDocument=document(
            {
                "Effect": "Allow",
                "Action": "iot:Connect",
                "Resource": f"{arn}:client/{thing}",
                "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}},
            },
            {
                "Effect": "Allow",
                "Action": "iot:Publish",
                "Resource": f"{arn}:topic/$aws/rules/{target.door_rule}/lockers/v1/{thing}/*",
            },
        ),
    )
    return queue_url


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bytes(answer.read())


def answers(url: str) -> bool:
    try:
        read(url)
    except (URLError, OSError):
        return False
    return True
