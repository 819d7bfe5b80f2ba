"""What the deployed AppSync API says: schema with directives, resolvers, authentication modes.

Read through boto3 once, so that the deployed API stays the only copy. The subscription resolvers
are evaluated by the emulator (`EvaluateCode`), with the identity of the subscriber.

Gap: `EvaluateCode` drops the error type of `util.error(message, type)` and hands back neither the
stash nor the mark of an early return, so those do not reach a subscriber here. Seen in MiniStack
1.5.33.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema, build_schema
from graphql.execution.values import get_directive_values

from local.errors import LocalStackError
from local.realtime.credentials import IAM, Caller

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphql.language import DirectiveNode
    from types_boto3_appsync import AppSyncClient

# The definitions that AppSync adds to every schema.
_PRELUDE = """
scalar AWSDate scalar AWSTime scalar AWSDateTime scalar AWSTimestamp scalar AWSEmail
scalar AWSJSON scalar AWSURL scalar AWSPhone scalar AWSIPAddress
directive @aws_subscribe(mutations: [String!]!) on FIELD_DEFINITION
directive @aws_auth(cognito_groups: [String!]) on FIELD_DEFINITION | OBJECT
directive @aws_cognito_user_pools(cognito_groups: [String!]) on FIELD_DEFINITION | OBJECT
directive @aws_api_key on FIELD_DEFINITION | OBJECT
directive @aws_iam on FIELD_DEFINITION | OBJECT
directive @aws_oidc on FIELD_DEFINITION | OBJECT
directive @aws_lambda on FIELD_DEFINITION | OBJECT
"""
_MODES = {
    "aws_iam": IAM,
    "aws_cognito_user_pools": "AMAZON_COGNITO_USER_POOLS",
    "aws_auth": "AMAZON_COGNITO_USER_POOLS",
    "aws_api_key": "API_KEY",
    "aws_oidc": "OPENID_CONNECT",
    "aws_lambda": "AWS_LAMBDA",
}


class ResolverError(LocalStackError):
    """A subscription resolver refused (`util.unauthorized`) or failed (`util.error`)."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error = {"errorType": error_type, "message": message}


@dataclass(frozen=True, slots=True)
class Resolver:
    """The code of a resolver and of its pipeline functions, in their order (none for a unit)."""

    code: str
    functions: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeployedApi:
    """The parts of an API that a subscription needs."""

    arn: str
    schema: GraphQLSchema
    default_mode: str
    modes: frozenset[str]
    default_action: str
    resolvers: Mapping[str, Resolver]
    """By the name of the subscription field."""

    @property
    def account_id(self) -> str:
        return self.arn.split(":")[4]

    def subscription_fields(self) -> dict[str, tuple[str, ...]]:
        """Return, for every mutation field, the subscription fields that it triggers."""
        triggered: dict[str, list[str]] = {}
        subscription = self.schema.subscription_type
        for name, field in (subscription.fields if subscription else {}).items():
            node = field.ast_node
            for directive in node.directives if node else ():
                if directive.name.value == "aws_subscribe":
                    for mutation in self._argument(directive, node, "mutations"):
                        triggered.setdefault(mutation, []).append(name)
        return {mutation: tuple(fields) for mutation, fields in triggered.items()}

    def may(
        self, caller: Caller, parent: GraphQLObjectType | GraphQLInterfaceType, field: str
    ) -> bool:
        """Whether the directives let this caller read `field` of `parent`.

        AWS: a directive on the field decides; without one, those on its type; without any, only
        the default mode of the API may.
        """
        definition = parent.fields.get(field)
        node = definition.ast_node if definition else None
        rules = self._rules(node.directives if node else (), node)
        if not rules and parent.ast_node:
            rules = self._rules(parent.ast_node.directives, parent.ast_node)
        if not rules:
            return caller.mode == self.default_mode
        return any(
            mode == caller.mode and (groups is None or bool(groups & caller.groups))
            for mode, groups in rules
        )

    def _rules(
        self, directives: Iterable[DirectiveNode], node: object
    ) -> list[tuple[str, frozenset[str] | None]]:
        rules: list[tuple[str, frozenset[str] | None]] = []
        for directive in directives:
            mode = _MODES.get(directive.name.value)
            if mode is not None:
                groups = self._argument(directive, node, "cognito_groups")
                rules.append((mode, frozenset(groups) if groups else None))
        return rules

    def _argument(self, directive: DirectiveNode, node: Any, name: str) -> list[str]:
        definition = self.schema.get_directive(directive.name.value)
        if definition is None:
            return []
        values = get_directive_values(definition, node)
        return list((values or {}).get(name) or ())


def read_api(client: AppSyncClient, api_id: str) -> DeployedApi:
    """Read the API through boto3 (blocking)."""
    api = client.get_graphql_api(apiId=api_id)["graphqlApi"]
    sdl = client.get_introspection_schema(apiId=api_id, format="SDL", includeDirectives=True)
    default = api["authenticationType"]
    extra = api.get("additionalAuthenticationProviders", [])
    functions = {
        function["functionId"]: function.get("code", "")
        for page in client.get_paginator("list_functions").paginate(apiId=api_id)
        for function in page["functions"]
    }
    schema = build_schema(_PRELUDE + sdl["schema"].read().decode(), assume_valid_sdl=True)
    resolvers = {}
    pages = client.get_paginator("list_resolvers").paginate(
        apiId=api_id, typeName=schema.subscription_type.name if schema.subscription_type else ""
    )
    for page in pages if schema.subscription_type else ():
        for found in page["resolvers"]:
            names = found.get("pipelineConfig", {}).get("functions", [])
            resolvers[found["fieldName"]] = Resolver(
                found.get("code", ""), tuple(functions[name] for name in names)
            )
    return DeployedApi(
        arn=api["arn"],
        schema=schema,
        default_mode=default,
        modes=frozenset([default, *(one["authenticationType"] for one in extra)]),
        default_action=api.get("userPoolConfig", {}).get("defaultAction", "ALLOW"),
        resolvers=resolvers,
    )


def evaluate_resolver(
    client: AppSyncClient,
    resolver: Resolver,
    *,
    field: str,
    arguments: Mapping[str, Any],
    caller: Caller,
) -> None:
    """Run a subscription resolver for a caller (blocking); returning means that it agreed.

    Its data sources are taken for NONE: what `request` gives as `payload` is the result.

    Raises
    ------
    ResolverError
        What the resolver raised.
    """
    context: dict[str, Any] = {
        "arguments": arguments,
        "identity": caller.identity,
        "source": None,
        "stash": {},
        "prev": {"result": None},
        "request": {"headers": {}},
        "info": {
            "fieldName": field,
            "parentTypeName": "Subscription",
            "variables": arguments,
            "selectionSetList": [],
        },
    }
    if not resolver.functions:
        asked = _evaluate(client, resolver.code, "request", context, field)
        _evaluate(client, resolver.code, "response", context | {"result": _payload(asked)}, field)
        return
    _evaluate(client, resolver.code, "request", context, field)
    for code in resolver.functions:
        asked = _evaluate(client, code, "request", context, field)
        result = _evaluate(client, code, "response", context | {"result": _payload(asked)}, field)
        context["prev"] = {"result": result}
    last = context["prev"]
    _evaluate(client, resolver.code, "response", context | {"result": last["result"]}, field)


def _evaluate(
    client: AppSyncClient, code: str, function: str, context: Mapping[str, Any], field: str
) -> Any:
    answer = client.evaluate_code(
        runtime={"name": "APPSYNC_JS", "runtimeVersion": "1.0.0"},
        code=code,
        function=function,
        context=json.dumps(context),
    )
    error = answer.get("error")
    if error:
        message = error.get("message", "the resolver failed")
        if message == "Unauthorized":
            message = f"Not Authorized to access {field} on type Subscription"
            raise ResolverError("Unauthorized", message)
        raise ResolverError("UnknownError", message)
    return json.loads(answer.get("evaluationResult") or "null")


def _payload(request: object) -> object:
    return request.get("payload") if isinstance(request, dict) else None
