"""The two functions: package `pipeline` as code, libraries as a layer, a role of its own each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import AssetHashType, Duration, IgnoreMode, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.deployment import Deployment
from infra.layers import ROOT, directory_for_synth, layer_hash

TIMEOUT = Duration.seconds(20)
MEMORY_MB = 512
RUNTIME = lambda_.Runtime.PYTHON_3_13
LAYERS_REQUIRED = "require-layers"
"""Context key: synthesize only with built layers (see `infra.layers`)."""


@dataclass(frozen=True, slots=True)
class PipelineFunction:
    """The function as deployed last; `latchline rollback` goes to versions published before."""

    function: lambda_.Function
    role: iam.Role


def pipeline_function(
    scope: Construct,
    deployment: Deployment,
    part: str,
    *,
    environment: Mapping[str, str],
    statements: Sequence[iam.PolicyStatement],
) -> PipelineFunction:
    """The function whose handler is `pipeline.<part>.handler`, allowed `statements` and its log."""
    name = deployment.name(part)
    title = part.capitalize()
    # Created here and not by Lambda on first use: that one would never expire.
    log_group = logs.LogGroup(
        scope,
        f"{title}Log",
        log_group_name=f"/aws/lambda/{name}",
        retention=logs.RetentionDays.ONE_MONTH,
        removal_policy=RemovalPolicy.DESTROY,
    )
    write_log = iam.PolicyStatement(
        actions=["logs:CreateLogStream", "logs:PutLogEvents"],
        # The ARN ends in `:*`, which are the log's streams; Lambda chooses their names.
        resources=[log_group.log_group_arn],
    )
    # The policy is part of the role, so whatever waits for the role finds it complete.
    role = iam.Role(
        scope,
        f"{title}Role",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description=f"What {name} may do",
        inline_policies={part: iam.PolicyDocument(statements=[write_log, *statements])},
    )
    function = lambda_.Function(
        scope,
        f"{title}Function",
        function_name=name,
        runtime=RUNTIME,
        architecture=lambda_.Architecture.ARM_64,
        handler=f"pipeline.{part}.handler",
        code=_code(),
        layers=[_layer(scope, deployment, part)],
        memory_size=MEMORY_MB,
        timeout=TIMEOUT,
        role=role.without_policy_updates(),
        log_group=log_group,
        environment={
            # The dimension of its metrics: stages of one account must not add up.
            "POWERTOOLS_SERVICE_NAME": name,
            "POWERTOOLS_LOG_LEVEL": "INFO",
            **environment,
        },
        current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.RETAIN),
    )
    # Published by being asked for; a change of code, libraries or settings makes a new one.
    _ = function.current_version
    return PipelineFunction(function, role)


def _code() -> lambda_.Code:
    """The package's own modules, nothing else: not a byte of it depends on this machine."""
    return lambda_.Code.from_asset(
        str(ROOT),
        exclude=["*", "!pipeline", "!pipeline/*.py"],
        ignore_mode=IgnoreMode.GIT,
    )


def _layer(scope: Construct, deployment: Deployment, part: str) -> lambda_.LayerVersion:
    required = bool(scope.node.try_get_context(LAYERS_REQUIRED))
    return lambda_.LayerVersion(
        scope,
        f"{part.capitalize()}Layer",
        layer_version_name=deployment.name(part),
        description=f"Libraries of {part}, from locks/{part}.txt",
        code=lambda_.Code.from_asset(
            str(directory_for_synth(part, required=required)),
            asset_hash=layer_hash(part),
            asset_hash_type=AssetHashType.CUSTOM,
        ),
        compatible_runtimes=[RUNTIME],
        compatible_architectures=[lambda_.Architecture.ARM_64],
    )
