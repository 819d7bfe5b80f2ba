"""A real broker (MiniStack, authorization on) with our rules, our device policy and two queues."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import boto3
from awscrt import mqtt5
from awsiot import mqtt5_client_builder
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from iot_rules import DOOR_EVENTS, PRESENCE, SQL_VERSION, device_policy, rule_sql
from tests.support.fleet_broker import free_port
from tests.support.wait import wait_for

REGION = "us-east-1"
ACCOUNT = "000000000000"
POLICY = "locker"
ANSWER_S = 15.0


@dataclass
class RuleBroker:
    """`queues` holds the URL of the queue behind each rule, by the rule's name."""

    folder: Path
    url: str
    mqtt_port: int
    queues: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 2}),
        )

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def take(self, rule: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for as many envelopes; return all that are there by then, and leave none."""
        sqs = self.client("sqs")
        found: list[dict[str, Any]] = []

        def receive() -> bool:
            answer = sqs.receive_message(QueueUrl=self.queues[rule], MaxNumberOfMessages=10)
            for message in answer.get("Messages", []):
                found.append(json.loads(message["Body"]))
                sqs.delete_message(
                    QueueUrl=self.queues[rule], ReceiptHandle=message["ReceiptHandle"]
                )
            return len(found) >= count

        wait_for(receive, timeout_s=ANSWER_S, what=f"{count} envelopes behind {rule}")
        return found

    def credentials(self, thing: str) -> Path:
        """Register a thing with a P-256 certificate of its own; return the folder with both."""
        folder = self.folder / thing.replace(":", "_")
        if folder.exists():
            return folder
        folder.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, thing)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name)
        signed = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        iot = self.client("iot")
        iot.create_thing(thingName=thing)
        issued = iot.create_certificate_from_csr(
            certificateSigningRequest=signed.decode(), setAsActive=True
        )
        iot.attach_policy(policyName=POLICY, target=issued["certificateArn"])
        iot.attach_thing_principal(thingName=thing, principal=issued["certificateArn"])
        (folder / "certificate.pem").write_text(issued["certificatePem"])
        (folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return folder

    @contextlib.contextmanager
    def connected(self, thing: str) -> Iterator["Connection"]:
        """A client over mTLS whose client id is its thing's name."""
        connection = Connection(self, client_id=thing, credentials=self.credentials(thing))
        try:
            assert connection.succeeded(), f"{thing} cannot connect: {connection.failure}"
            yield connection
        finally:
            connection.close()


class Connection:
    """awsiotsdk's MQTT 5 client, one attempt to connect, QoS 1."""

    def __init__(self, broker: RuleBroker, *, client_id: str, credentials: Path) -> None:
        self._settled = Event()
        self._stopped = Event()
        self._online = False
        self.failure: object = None
        self._client: Any = mqtt5_client_builder.mtls_from_path(
            str(credentials / "certificate.pem"),
            str(credentials / "key.pem"),
            endpoint="localhost",
            port=broker.mqtt_port,
            ca_filepath=str(broker.ca_file),
            client_id=client_id,
            on_lifecycle_connection_success=self._on_success,
            on_lifecycle_connection_failure=self._on_failure,
            on_lifecycle_stopped=lambda _: self._stopped.set(),
        )
        self._client.start()

    def _on_success(self, _: object) -> None:
        self._online = True
        self._settled.set()

    def _on_failure(self, data: Any) -> None:
        self.failure = data.exception
        self._settled.set()

    def succeeded(self) -> bool:
        """Wait for the broker's answer to the first attempt."""
        assert self._settled.wait(ANSWER_S), "the broker did not answer"
        return self._online

    def publish(self, topic: str, payload: bytes) -> int | None:
        """Return the PUBACK's reason code, None if the broker dropped the connection instead."""
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
        future: Future[Any] = self._client.publish(packet)
        try:
            return int(future.result(ANSWER_S).puback.reason_code)
        except TimeoutError:
            raise
        except Exception:  # noqa: BLE001  (awscrt raises whatever ended the operation)
            return None

    def close(self) -> None:
        self._client.stop()
        assert self._stopped.wait(ANSWER_S), "the client did not stop"


@contextlib.contextmanager
def rule_broker(folder: Path) -> Iterator[RuleBroker]:
    """MiniStack on free ports until the block ends; all that it writes stays in the folder."""
    broker = RuleBroker(folder, f"http://127.0.0.1:{free_port()}", free_port())
    environment = {
        **os.environ,
        "AUTH": "true",
        "GATEWAY_PORT": broker.url.rsplit(":", 1)[1],
        "IOT_MTLS_PORT": str(broker.mqtt_port),
        "SFTP_ENABLED": "0",
        "TMPDIR": str(folder),
        "S3_DATA_DIR": str(folder / "s3"),
        "HOME": str(folder),
    }
    log = folder / "ministack.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: _is_ready(broker, process, log), timeout_s=60, what="MiniStack")
        _deploy(broker)
        yield broker
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_ready(broker: RuleBroker, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, f"MiniStack ended: {log.read_text()[-2000:]}"
    with contextlib.suppress(OSError):
        with urllib.request.urlopen(f"{broker.url}/_ministack/ready", timeout=5) as answer:
            if json.load(answer)["iot_mtls"] != "listening":
                return False
        with urllib.request.urlopen(f"{broker.url}/_ministack/iot/ca.pem", timeout=5) as answer:
            broker.ca_file.write_bytes(answer.read())
        return True
    return False


def _deploy(broker: RuleBroker) -> None:
    """What infra/stacks deploys of rules and policy, by API: the same documents."""
    sqs, iam, iot = broker.client("sqs"), broker.client("iam"), broker.client("iot")
    role = iam.create_role(
        RoleName="rules",
        AssumeRolePolicyDocument=_policy(
            {"Principal": {"Service": "iot.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ),
    )["Role"]["Arn"]
    send = {"Action": "sqs:SendMessage", "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:rule-*"}
    iam.put_role_policy(RoleName="rules", PolicyName="send", PolicyDocument=_policy(send))
    for rule in (DOOR_EVENTS, PRESENCE):
        url = sqs.create_queue(QueueName=f"rule-{rule}")["QueueUrl"]
        broker.queues[rule] = url
        iot.create_topic_rule(
            ruleName=rule,
            topicRulePayload={
                "sql": rule_sql(rule),
                "awsIotSqlVersion": SQL_VERSION,
                "actions": [{"sqs": {"roleArn": role, "queueUrl": url}}],
            },
        )
    document = device_policy(partition="aws", region=REGION, account=ACCOUNT, door_rule=DOOR_EVENTS)
    iot.create_policy(policyName=POLICY, policyDocument=json.dumps(document))


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})
