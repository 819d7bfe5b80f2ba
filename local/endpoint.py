"""Clients for one MiniStack: endpoint, region and keys are always named, never looked up.

A client that fell back on the user's own profile would talk to a real account. That is why nothing
in `local` makes a boto3 client in any other way.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
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


class Endpoint:
    """A MiniStack and the root keys it was started with."""

    def __init__(self, url: str, access_key: str, secret_key: str, *, region: str = REGION) -> None:
        self.url = url
        self.access_key = access_key
        self.secret_key = secret_key
        self.region = region
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service; made once, and threads may share it."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self.make_client(service)
            return self._clients[service]

    def make_client(self, service: str) -> Any:
        """Make a client that the caller closes."""
        session: Any = boto3.Session(  # the stubs overload on literal service names
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
        )
        config = Config(
            connect_timeout=2,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=16,
            # The user's proxy has no business with a server on this machine.
            proxies={},
        )
        return session.client(service, endpoint_url=self.url, config=config)

    def close(self) -> None:
        """Close the connections of all clients."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def sign(
        self, service: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> dict[str, str]:
        """Headers of a signed POST of `body` to `path`, for clients that are not boto3."""
        request = AWSRequest("POST", f"{self.url}{path}", data=body, headers=dict(headers))
        SigV4Auth(Credentials(self.access_key, self.secret_key), service, self.region).add_auth(
            request
        )
        return dict(request.headers.items())
