"""Clients for one MiniStack: endpoint, region and keys are always named, never looked up.

A client that fell back on the user's own profile would talk to a real account. That is why nothing
in `local` makes a boto3 client in any other way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

REGION = "us-east-1"
ACCOUNT = "000000000000"
"""MiniStack's account of its root keys."""

HERMETIC: Mapping[str, str] = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
"""Environment of every process of ours: no profile, no instance role."""


@dataclass(frozen=True)
class Endpoint:
    """A MiniStack and the root keys it was started with."""

    url: str
    access_key: str
    secret_key: str
    region: str = REGION

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
        )

    def client(self, service: str, **options: Any) -> Any:
        """Return a boto3 client, which threads may share; `options` go to botocore's Config."""
        config = Config(
            connect_timeout=2,
            read_timeout=options.pop("read_timeout", 30),
            retries={"mode": "standard", "total_max_attempts": 2},
            proxies={},
            **options,
        )
        session: Any = self._session  # the stubs overload on literal service names
        return session.client(service, endpoint_url=self.url, config=config)

    def sign(
        self, service: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> dict[str, str]:
        """Headers of a signed POST of `body` to `path`, for clients that are not boto3."""
        request = AWSRequest("POST", f"{self.url}{path}", data=body, headers=dict(headers))
        SigV4Auth(Credentials(self.access_key, self.secret_key), service, self.region).add_auth(
            request
        )
        return dict(request.headers.items())
