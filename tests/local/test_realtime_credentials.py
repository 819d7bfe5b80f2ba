"""Verification of SigV4 signatures and Cognito tokens, without a network."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric import rsa

from local.realtime.credentials import (
    COGNITO,
    IAM,
    Authenticator,
    CognitoVerifier,
    Refused,
    SigV4Verifier,
    UserPool,
)
from tests.support.appsync_client import REGION, sign

pytestmark = pytest.mark.unit

HOST = "127.0.0.1:4000"
BODY = '{"query":"{ a }"}'
ROOT = Credentials("AKIAROOT", "secret")
POOL = UserPool("us-east-1_abc", "client-1")
ISSUER = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL.pool_id}"


def verifier() -> SigV4Verifier:
    return SigV4Verifier({"AKIAROOT": "secret"}, region=REGION, account_id="000000000000")


def verify(headers: dict[str, str], *, path: str = "/graphql", body: str = BODY) -> Any:
    lowered = {name.lower(): value for name, value in headers.items()}
    return verifier().verify(lowered, path=path, body=body.encode(), hosts={HOST})


def test_signature_names_the_root_of_the_account() -> None:
    """A good signature gives the identity that a resolver sees for IAM."""
    caller = verify(sign(ROOT, HOST, body=BODY))
    assert caller.mode == IAM
    assert caller.identity["userArn"] == "arn:aws:iam::000000000000:root"
    assert caller.identity["accountId"] == "000000000000"


def test_headers_that_botocore_never_signs_may_be_signed() -> None:
    """Another client may sign `user-agent`; spaces inside a value are collapsed."""
    headers = sign(ROOT, HOST, body=BODY) | {"accept": " application/json,   text/javascript "}
    assert verify(headers).mode == IAM


@pytest.mark.parametrize("minutes", [-6, 6], ids=["too old", "from the future"])
def test_signature_of_a_wrong_clock_is_refused(minutes: int) -> None:
    """A signature is good for five minutes around its date."""
    date = datetime.now(UTC) + timedelta(minutes=minutes)
    with pytest.raises(Refused) as refused:
        verify(sign(ROOT, HOST, body=BODY, at=date))
    assert refused.value.error_type == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("make", "error_type"),
    [
        (
            lambda: sign(Credentials("AKIAOTHER", "secret"), HOST, body=BODY),
            "UnrecognizedClientException",
        ),
        (lambda: sign(Credentials("AKIAROOT", "wrong"), HOST, body=BODY), "BadRequestException"),
        (
            lambda: sign(Credentials("AKIAROOT", "secret", "token"), HOST, body=BODY),
            "UnrecognizedClientException",
        ),
        (lambda: sign(ROOT, HOST, body=BODY, region="eu-west-1"), "InvalidSignatureException"),
        (lambda: sign(ROOT, HOST, body=BODY, service="execute-api"), "InvalidSignatureException"),
        (lambda: sign(ROOT, "example.org", body=BODY), "BadRequestException"),
        (lambda: sign(ROOT, HOST, body=BODY + " "), "BadRequestException"),
        (lambda: sign(ROOT, HOST, body=BODY, path="/graphql/connect"), "BadRequestException"),
        (lambda: sign(ROOT, HOST, body=BODY) | {"accept": "text/html"}, "BadRequestException"),
        (lambda: sign(ROOT, HOST, body=BODY) | {"content-type": "\ud800"}, "BadRequestException"),
        (
            lambda: sign(ROOT, HOST, body=BODY) | {"x-amz-date": "today"},
            "IncompleteSignatureException",
        ),
        (lambda: {"Authorization": "AWS4-HMAC-SHA256 rubbish"}, "IncompleteSignatureException"),
    ],
    ids=[
        "unknown key",
        "wrong secret",
        "session token",
        "other region",
        "other service",
        "other host",
        "tampered body",
        "other path",
        "tampered header",
        "lone surrogate",
        "date unreadable",
        "no parts",
    ],
)
def test_wrong_signature_is_refused(make: Callable[[], dict[str, str]], error_type: str) -> None:
    """Each way to be wrong has AppSync's error type and status 403. Signed now: a date expires."""
    with pytest.raises(Refused) as refused:
        verify(make())
    assert (refused.value.status, refused.value.error_type) == (403, error_type)


@pytest.mark.parametrize("unsigned", ["host", "x-amz-date"])
def test_host_and_date_must_be_signed(unsigned: str) -> None:
    """Otherwise a signature could be used elsewhere or for ever."""
    headers = sign(ROOT, HOST, body=BODY)
    authorization = headers["Authorization"]
    fewer = authorization.replace(f"{unsigned};", "").replace(f";{unsigned}", "")
    assert fewer != authorization
    with pytest.raises(Refused, match="does not match"):
        verify(headers | {"Authorization": fewer})


class Issuer:
    """A user pool: signs tokens and publishes its keys."""

    def __init__(self) -> None:
        self.fetched = 0
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = "k1"

    def rotate(self, kid: str) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = kid

    def token(self, **changes: Any) -> str:
        claims = {
            "sub": "u1",
            "iss": ISSUER,
            "exp": int(time.time()) + 60,
            "token_use": "id",
            "aud": POOL.client_id,
            "cognito:username": "ana",
            "cognito:groups": ["building:maple-court"],
        } | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self._key, algorithm="RS256", headers={"kid": self.kid})

    async def keys(self) -> dict[str, Any]:
        self.fetched += 1
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "RS256"}]}


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


async def test_token_gives_the_identity_of_a_resolver(issuer: Issuer) -> None:
    """ID and access tokens are accepted, with or without "Bearer"."""
    verify = CognitoVerifier(POOL, issuer.keys).verify
    caller = await verify(issuer.token())
    assert caller.mode == COGNITO
    assert caller.groups == {"building:maple-court"}
    assert caller.identity["username"] == "ana"
    assert caller.identity["groups"] == ["building:maple-court"]
    assert caller.identity["issuer"] == ISSUER
    assert caller.identity["claims"]["sub"] == caller.identity["sub"] == "u1"
    access = issuer.token(
        token_use="access", aud=None, client_id=POOL.client_id, **{"cognito:groups": None}
    )
    caller = await verify(f"Bearer {access}")
    assert caller.groups == frozenset()
    assert caller.identity["groups"] is None
    assert issuer.fetched == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda issuer: issuer.token(iss=f"{ISSUER}x"),
        lambda issuer: issuer.token(aud="another-client"),
        lambda issuer: issuer.token(token_use="access"),
        lambda issuer: issuer.token(token_use="refresh"),
        lambda issuer: issuer.token(exp=None),
        lambda issuer: Issuer().token(),
        lambda issuer: jwt.encode({"sub": "u1"}, "x" * 32, algorithm="HS256"),
        lambda issuer: issuer.token()[:-8] + "AAAAAAAA",
        lambda issuer: ".".join(
            [jwt.utils.base64url_encode(b'{"alg":"none","kid":"k1"}').decode(), "e30", ""]
        ),
        lambda issuer: "rubbish",
        lambda issuer: "",
    ],
    ids=[
        "issuer",
        "client",
        "client of an access token",
        "kind",
        "no expiry",
        "foreign key of the same id",
        "no key id",
        "signature",
        "alg none",
        "not a token",
        "empty",
    ],
)
async def test_foreign_token_is_refused(issuer: Issuer, make: Callable[[Issuer], str]) -> None:
    """Each way to be wrong is 401 UnauthorizedException."""
    with pytest.raises(Refused) as refused:
        await CognitoVerifier(POOL, issuer.keys).verify(make(issuer))
    assert (refused.value.status, refused.value.error_type) == (401, "UnauthorizedException")


async def test_expired_token_is_refused_in_appsyncs_words(issuer: Issuer) -> None:
    """Clients look for this message to get a fresh token."""
    with pytest.raises(Refused, match=r"Token has expired\."):
        await CognitoVerifier(POOL, issuer.keys).verify(issuer.token(exp=int(time.time()) - 1))


async def test_unknown_key_id_fetches_the_keys_again_but_not_in_a_storm(issuer: Issuer) -> None:
    """A rotated key is found; unknown ids cost one request in five seconds."""
    now = 100.0
    verify = CognitoVerifier(POOL, issuer.keys, clock=lambda: now).verify
    await verify(issuer.token())
    issuer.rotate("k2")
    with pytest.raises(Refused):
        await verify(issuer.token())
    now += 5.0
    await verify(issuer.token())
    assert issuer.fetched == 2
    issuer.kid = "k3"
    for _ in range(10):
        with pytest.raises(Refused):
            await verify(issuer.token())
    assert issuer.fetched == 2


async def test_mode_that_the_api_does_not_accept_is_refused(issuer: Issuer) -> None:
    """Good credentials are no use when the API lacks their mode; nor are none at all."""
    cognito = CognitoVerifier(POOL, issuer.keys)
    only_cognito = Authenticator(frozenset([COGNITO]), verifier(), cognito)
    only_iam = Authenticator(frozenset([IAM]), verifier(), cognito)
    cases: list[tuple[Authenticator, dict[str, str]]] = [
        (only_cognito, sign(ROOT, HOST, body=BODY)),
        (only_iam, {"Authorization": issuer.token()}),
        (only_iam, {}),
        (only_iam, {"x-api-key": "da2-x"}),
        (only_cognito, {"Authorization": "\ud800"}),
    ]
    for authenticator, headers in cases:
        with pytest.raises(Refused) as refused:
            await authenticator.authenticate(
                headers, path="/graphql", body=json.dumps(BODY).encode(), hosts={HOST}
            )
        assert refused.value.status == 401
