"""Where a fleet runs: the endpoints of one deployment, on a laptop or on AWS.

`Target.from_info` reads what `latchline info --json` prints; that shape is the hand-over between
Latchline and any other tool, so nothing here needs to know who wrote it.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulators.errors import TargetError

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from gql.transport.appsync_auth import AppSyncIAMAuthentication


class IotEndpoint(BaseModel):
    """`ca_file` is None on AWS, where the system's trust store knows the CA."""

    model_config = ConfigDict(frozen=True)

    endpoint: str
    port: int
    ca_file: Path | None = None


class GraphqlEndpoint(BaseModel):
    model_config = ConfigDict(frozen=True)

    http: str
    realtime: str

    @property
    def host(self) -> str:
        """Host and port that a SigV4 signature names: those of the HTTP endpoint, always."""
        return self.http.split("://", 1)[1].split("/", 1)[0]


class Target(BaseModel):
    """One deployment. Without an access key boto3's own credential chain is asked."""

    # Unknown keys are somebody else's part of the hand-over (the dashboard, the user pool).
    model_config = ConfigDict(frozen=True, extra="ignore")

    region: str
    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = Field(default=None, repr=False)
    iot: IotEndpoint
    graphql: GraphqlEndpoint
    table: str
    bus: str | None = None
    archive: str | None = None
    device_policy: str
    door_rule: str = "door_events"
    queues: Mapping[str, str] = {}
    functions: Mapping[str, str] = {}

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> "Target":
        """Raise TargetError naming the first field that is missing or wrong."""
        try:
            return cls.model_validate(info)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise TargetError(f"deployment description: {field}: {first['msg']}") from error

    @cached_property
    def session(self) -> "boto3.Session":
        import boto3  # noqa: PLC0415  (0.3 s that a help text should not cost)

        return boto3.Session(
            region_name=self.region,
            aws_access_key_id=self.access_key_id or None,
            aws_secret_access_key=self.secret_access_key or None,
        )

    def client(self, service: str, config: "Config | None" = None) -> Any:
        """Return a boto3 client, which threads may share."""
        session: Any = self.session  # the stubs overload on literal service names
        return session.client(service, endpoint_url=self.endpoint_url, config=config)

    def graphql_auth(self) -> "AppSyncIAMAuthentication":
        """IAM signing for gql's transports.

        The realtime handshake is signed when a transport is built and is valid for minutes only:
        build a new transport for each reconnect.
        """
        from gql.transport.appsync_auth import AppSyncIAMAuthentication  # noqa: PLC0415

        return AppSyncIAMAuthentication(
            host=self.graphql.host,
            region_name=self.region,
            # AWS: a session token may expire, so ask for the credentials again each time.
            credentials=self.session.get_credentials(),
        )
