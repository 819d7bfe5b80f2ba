"""The hand-over of a deployment to any other tool: what `latchline info --json` prints."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from local.errors import LocalStackError
from local.people import Person

MQTT_PORT = 8883
"""AWS IoT Core: MQTT with mutual TLS."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IotInfo(_Part):
    """Where controllers connect. `ca_file` is None on AWS, whose CA every system knows."""

    endpoint: str
    port: int
    ca_file: str | None


class GraphqlInfo(_Part):
    """`realtime` is a WebSocket URL that gql's AppSync transport takes as it is."""

    http: str
    realtime: str


class QueuesInfo(_Part):
    """URLs of the queues on the path, and of the dead-letter queues beside it."""

    ingest: str
    ingest_dlq: str
    projector: str
    projector_dlq: str
    quarantine: str
    bus_dlq: str
    iot_errors: str
    fanout_dlq: str


class FunctionsInfo(_Part):
    """Names of the two functions; their logs are in `/aws/lambda/<name>`."""

    projector: str
    fanout: str


class CognitoInfo(_Part):
    """The user pool of managers and operators."""

    user_pool_id: str
    client_id: str


QUEUE_OUTPUTS = {
    "ingest": "IngestQueueUrl",
    "ingest_dlq": "IngestDlqUrl",
    "projector": "ProjectorQueueUrl",
    "projector_dlq": "ProjectorDlqUrl",
    "quarantine": "QuarantineQueueUrl",
    "bus_dlq": "BusDlqUrl",
    "iot_errors": "IotErrorsQueueUrl",
    "fanout_dlq": "FanoutDlqUrl",
}
"""Name in `queues` to the output of the stacks."""


class StackInfo(_Part):
    """One deployment, on a laptop or on AWS.

    On AWS `endpoint_url` and both keys are None: clients ask their own credential chain.
    """

    region: str
    endpoint_url: str | None
    access_key_id: str | None
    secret_access_key: str | None = Field(repr=False)
    iot: IotInfo
    graphql: GraphqlInfo
    dashboard: str | None
    table: str
    bus: str
    archive: str
    device_policy: str
    queues: QueuesInfo
    functions: FunctionsInfo
    cognito: CognitoInfo
    people: tuple[Person, ...] = ()
    """Who can sign in at the dashboard: a laptop's demo people, on AWS none."""

    @classmethod
    def from_outputs(
        cls,
        outputs: Mapping[str, str],
        *,
        region: str,
        iot: IotInfo,
        graphql: GraphqlInfo | None = None,
        dashboard: str | None = None,
        people: Sequence[Person] = (),
        endpoint_url: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
    ) -> StackInfo:
        """Fill it from the outputs of the stacks.

        Without `graphql` and `dashboard` the URLs are those of AppSync and CloudFront.

        Raises
        ------
        LocalStackError
            An output is missing: not all layers are deployed.
        """
        try:
            return cls(
                region=region,
                endpoint_url=endpoint_url,
                access_key_id=access_key_id,
                secret_access_key=secret_access_key,
                iot=iot,
                graphql=graphql or appsync_urls(outputs["GraphqlUrl"]),
                dashboard=dashboard or outputs.get("DashboardUrl"),
                table=outputs["TableName"],
                bus=outputs["BusName"],
                archive=outputs["ArchiveName"],
                device_policy=outputs["DevicePolicyName"],
                queues=QueuesInfo(
                    **{name: outputs[output] for name, output in QUEUE_OUTPUTS.items()}
                ),
                functions=FunctionsInfo(
                    projector=outputs["ProjectorFunctionName"],
                    fanout=outputs["FanoutFunctionName"],
                ),
                cognito=CognitoInfo(
                    user_pool_id=outputs["UserPoolId"], client_id=outputs["UserPoolClientId"]
                ),
                people=tuple(people),
            )
        except KeyError as error:
            raise LocalStackError(
                f"the stacks have no output {error.args[0]!r}: are all layers deployed?"
            ) from error

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically; only its owner may read the keys in it."""
        temporary = path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self.model_dump_json(indent=2) + "\n")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> StackInfo:
        """Raise LocalStackError if the file is not there or not of this shape."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise LocalStackError(
                f"{path} cannot be read as a stack's description: {error}"
            ) from error


def appsync_urls(http: str) -> GraphqlInfo:
    """AWS: the realtime endpoint has the API's host with `appsync-realtime-api` in it."""
    realtime = http.replace("https://", "wss://").replace(".appsync-api.", ".appsync-realtime-api.")
    return GraphqlInfo(http=http, realtime=realtime)
