"""Verify the credentials of a request to AppSync: SigV4 signatures and Cognito JSON web tokens.

Gap: MiniStack takes any bearer token for a valid one, and it knows nothing of a WebSocket
handshake, so what reaches the gateway under its own host name is verified here. Seen in MiniStack
1.5.33.

How AppSync signs: always `POST https://{host}/graphql` with the body, whatever the real path; for
the WebSocket handshake `POST https://{host}/graphql/connect` with the body `{}`. `host` includes
the port. (AWS: AppSync developer guide, "Building a real-time WebSocket client".)
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from local.errors import LocalStackError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

IAM = "AWS_IAM"
COGNITO = "AMAZON_COGNITO_USER_POOLS"
SERVICE = "appsync"
SKEW = timedelta(minutes=5)
"""AWS: a signature is good for five minutes before and after its X-Amz-Date."""
JWKS_REFETCH_S = 5.0
"""A key id that is not known makes us fetch the key set again, but not more often than this."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/,\s]+)/(?P<scope>[^,\s]+),\s*"
    r"SignedHeaders=(?P<signed>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})\s*"
)


class Refused(LocalStackError):
    """A request whose credentials do not check out.

    `status` is the HTTP status, `error_type` and `message` stand in the GraphQL `errors` envelope.
    """

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message


def unauthorized(message: str = "You are not authorized to make this call.") -> Refused:
    """AppSync's refusal of a request without usable credentials."""
    return Refused(401, "UnauthorizedException", message)


def signing_key(headers: Mapping[str, str]) -> str | None:
    """Return the access key id of a complete SigV4 `authorization` header, unverified."""
    match = _AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
    return match["key"] if match else None


@dataclass(frozen=True, slots=True)
class UserPool:
    """The Cognito user pool of the API; tokens must be of this client."""

    pool_id: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the mode that vouched, and `ctx.identity` as AppSync hands it to a resolver."""

    mode: str
    identity: Mapping[str, Any]
    groups: frozenset[str] = frozenset()
    expires_at: float | None = None
    """Unix time in seconds at which a token runs out; None for a signature."""


class SigV4Verifier:
    """Recomputes signatures with botocore, from the secrets it was given.

    Parameters
    ----------
    secrets
        Access key to secret key. Long-term keys only: a session token is refused.
    region
        The region that the credential scope must name; its service must be `appsync`.
    account_id
        Goes into the identity, as the account's root.
    clock
        The time now, with a time zone.
    """

    def __init__(
        self,
        secrets: Mapping[str, str],
        *,
        region: str,
        account_id: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._secrets = dict(secrets)
        self._region = region
        self._account_id = account_id
        self._clock = clock

    def verify(
        self, headers: Mapping[str, str], *, path: str, body: bytes, hosts: Collection[str]
    ) -> Caller:
        """Return the caller if `headers` (lower-case names) sign a POST of `body` to `path`.

        Raises
        ------
        Refused
            Unknown key, other region or service, a date off by more than five minutes, `host` or
            `x-amz-date` not signed, a host that is none of `hosts`, or a signature that differs.
        """
        match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if match is None:
            raise Refused(
                403,
                "IncompleteSignatureException",
                "Authorization header requires Credential, SignedHeaders and Signature.",
            )
        secret = self._secrets.get(match["key"])
        if secret is None or "x-amz-security-token" in headers:
            raise Refused(
                403,
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        timestamp = self._timestamp(headers.get("x-amz-date", ""))
        self._check_scope(match["scope"], timestamp)
        signed = {name: headers.get(name, "") for name in match["signed"].split(";")}
        if not {"host", "x-amz-date"} <= signed.keys() or signed["host"].lower() not in hosts:
            raise _signature_mismatch()
        if not all(value.isascii() for value in signed.values()):
            raise _signature_mismatch()  # botocore could not spell them
        expected = self._signature(
            Credentials(match["key"], secret), signed, path=path, body=body, timestamp=timestamp
        )
        if not hmac.compare_digest(expected, match["signature"]):
            raise _signature_mismatch()
        return Caller(
            IAM,
            {
                "accountId": self._account_id,
                "cognitoIdentityPoolId": None,
                "cognitoIdentityId": None,
                "cognitoIdentityAuthType": None,
                "cognitoIdentityAuthProvider": None,
                "sourceIp": ["127.0.0.1"],
                "username": self._account_id,
                "userArn": f"arn:aws:iam::{self._account_id}:root",
            },
        )

    def _timestamp(self, amz_date: str) -> str:
        try:
            signed_at = datetime.strptime(amz_date, SIGV4_TIMESTAMP).replace(tzinfo=UTC)
        except ValueError:
            raise Refused(
                403,
                "IncompleteSignatureException",
                f"Date must be in ISO-8601 'basic format'. Got '{amz_date[:40]}'.",
            ) from None
        now = self._clock()
        if abs(now - signed_at) > SKEW:
            raise Refused(
                403,
                "InvalidSignatureException",
                f"Signature expired: {amz_date} is more than {SKEW.seconds // 60} minutes away "
                f"from {now.strftime(SIGV4_TIMESTAMP)}.",
            )
        return amz_date

    def _check_scope(self, scope: str, timestamp: str) -> None:
        wanted = f"{timestamp[:8]}/{self._region}/{SERVICE}/aws4_request"
        if scope != wanted:
            raise Refused(
                403,
                "InvalidSignatureException",
                f"Credential should be scoped to {wanted!r}, got {scope[:80]!r}.",
            )

    def _signature(
        self,
        credentials: Credentials,
        signed: Mapping[str, str],
        *,
        path: str,
        body: bytes,
        timestamp: str,
    ) -> str:
        auth = SigV4Auth(credentials, SERVICE, self._region)
        headers = HTTPHeaders()
        for name, value in signed.items():
            headers[name] = value
        # Not `SigV4Auth.canonical_request`: it leaves out headers that botocore never signs
        # (user-agent among them) but that another client may have signed.
        canonical = "\n".join(
            [
                "POST",
                path,
                "",
                auth.canonical_headers(headers) + "\n",
                auth.signed_headers(headers),
                hashlib.sha256(body).hexdigest(),
            ]
        )
        request = AWSRequest(method="POST", url=f"https://{signed['host']}{path}")
        request.context["timestamp"] = timestamp
        return str(auth.signature(auth.string_to_sign(request, canonical), request))


def _signature_mismatch() -> Refused:
    return Refused(
        403,
        "BadRequestException",
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method.",
    )


@dataclass(slots=True)
class CognitoVerifier:
    """Verifies tokens of one user pool against its published keys.

    `fetch_keys` returns the JSON web key set of the pool; it is called once, and again when a
    token names a key that the set lacks (the pool rotated its keys).
    """

    pool: UserPool
    fetch_keys: Callable[[], Awaitable[Mapping[str, Any]]]
    default_action: str = "ALLOW"
    clock: Callable[[], float] = time.monotonic
    _keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    _fetched_at: float = float("-inf")
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def issuer(self) -> str:
        """What `iss` must say (AWS: the pool's region is the first part of its id)."""
        region = self.pool.pool_id.partition("_")[0]
        return f"https://cognito-idp.{region}.amazonaws.com/{self.pool.pool_id}"

    async def verify(self, token: str) -> Caller:
        """Return the user of an ID or access token.

        Raises
        ------
        Refused
            Not a token, expired, of another issuer or client, unknown key, wrong signature.
        """
        token = token.removeprefix("Bearer ").strip()
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid")))
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                issuer=self.issuer,
                # `aud` is only in ID tokens; the client is checked below for both kinds.
                options={"require": ["exp", "iss", "sub", "token_use"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError:
            raise unauthorized("Token has expired.") from None
        except jwt.PyJWTError:
            raise unauthorized() from None
        client = {"id": "aud", "access": "client_id"}.get(claims["token_use"])
        if client is None or claims.get(client) != self.pool.client_id:
            raise unauthorized()
        groups = claims.get("cognito:groups")
        return Caller(
            COGNITO,
            {
                "sub": claims["sub"],
                "issuer": claims["iss"],
                "username": claims.get("cognito:username")
                or claims.get("username")
                or claims["sub"],
                "claims": claims,
                "sourceIp": ["127.0.0.1"],
                "defaultAuthStrategy": self.default_action,
                "groups": groups,
            },
            groups=frozenset(groups) if isinstance(groups, list) else frozenset(),
            expires_at=float(claims["exp"]),
        )

    async def _key(self, kid: str) -> jwt.PyJWK:
        async with self._fetching:
            # A storm of unknown key ids must not become a storm of requests.
            if kid not in self._keys and self.clock() - self._fetched_at >= JWKS_REFETCH_S:
                fetched = jwt.PyJWKSet.from_dict(dict(await self.fetch_keys()))
                self._fetched_at = self.clock()
                self._keys = {key.key_id: key for key in fetched.keys if key.key_id}
        try:
            return self._keys[kid]
        except KeyError:
            raise unauthorized() from None


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Picks the verifier for a request by its headers, among the modes that the API accepts."""

    modes: frozenset[str]
    sigv4: SigV4Verifier
    cognito: CognitoVerifier | None

    async def authenticate(
        self, headers: Mapping[str, str], *, path: str, body: bytes, hosts: Collection[str]
    ) -> Caller:
        """Return the caller; `headers` may have names in any case.

        Raises
        ------
        Refused
            No credentials, credentials of a mode that the API does not accept, or wrong ones.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        authorization = lowered.get("authorization", "")
        if not authorization.isascii():
            raise unauthorized()
        if authorization.startswith("AWS4-HMAC-SHA256"):
            if IAM not in self.modes:
                raise unauthorized()
            return self.sigv4.verify(lowered, path=path, body=body, hosts=hosts)
        if not authorization or self.cognito is None or COGNITO not in self.modes:
            raise unauthorized()
        return await self.cognito.verify(authorization)
