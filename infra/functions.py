"""The two functions: package `pipeline` as code, libraries as a layer, a role of its own each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import AssetHashType, Duration, IgnoreMode, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.deployment import Deployment, Tracing
from infra.layers import ROOT, source_for_synth

TIMEOUT = Duration.seconds(20)
MEMORY_MB = 512
RUNTIME = lambda_.Runtime.PYTHON_3_13
LAYERS_REQUIRED = "require-layers"
"""Context key: synthesize only with built layers (see `infra.layers`)."""
ADOT = {
    "AWS_LAMBDA_EXEC_WRAPPER": "/opt/otel-instrument",
    # Traces alone: our metrics are in the log already, and its own are paid for.
    "OTEL_AWS_APPLICATION_SIGNALS_ENABLED": "false",
}
"""What makes AWS's layer instrument the function."""


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
        inline_policies={
            part: iam.PolicyDocument(statements=[write_log, *_trace(deployment), *statements])
        },
    )
    function = lambda_.Function(
        scope,
        f"{title}Function",
        function_name=name,
        runtime=RUNTIME,
        architecture=lambda_.Architecture.ARM_64,
        handler=f"pipeline.{part}.handler",
        code=_code(),
        # AWS: where two layers have the same file, the later one's is seen.
        layers=[*_adot(scope, deployment, part), _layer(scope, deployment, part)],
        memory_size=MEMORY_MB,
        timeout=TIMEOUT,
        role=role.without_policy_updates(),
        log_group=log_group,
        tracing=(
            lambda_.Tracing.DISABLED
            if deployment.tracing is Tracing.OFF
            else lambda_.Tracing.ACTIVE
        ),
        environment={
            # The dimension of its metrics: stages of one account must not add up.
            "POWERTOOLS_SERVICE_NAME": name,
            "POWERTOOLS_LOG_LEVEL": "INFO",
            **(ADOT if deployment.tracing is Tracing.ADOT else {}),
            **environment,
        },
        current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.RETAIN),
    )
    # Published by being asked for; a change of code, libraries or settings makes a new one.
    _ = function.current_version
    return PipelineFunction(function, role)


def _trace(deployment: Deployment) -> list[iam.PolicyStatement]:
    """Lambda sends its segments, and the layer's, with the function's own role."""
    if deployment.tracing is Tracing.OFF:
        return []
    # AWS: neither action knows a resource.
    actions = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    return [iam.PolicyStatement(actions=actions, resources=["*"])]


def _adot(scope: Construct, deployment: Deployment, part: str) -> list[lambda_.ILayerVersion]:
    if deployment.adot_layer is None:
        return []
    name = f"{part.capitalize()}Adot"
    return [lambda_.LayerVersion.from_layer_version_arn(scope, name, deployment.adot_layer)]


def _code() -> lambda_.Code:
    """The package's own modules, nothing else: not a byte of it depends on this machine."""
    return lambda_.Code.from_asset(
        str(ROOT),
        exclude=["*", "!pipeline", "!pipeline/*.py"],
        ignore_mode=IgnoreMode.GIT,
    )


def _layer(scope: Construct, deployment: Deployment, part: str) -> lambda_.LayerVersion:
    required = bool(scope.node.try_get_context(LAYERS_REQUIRED))
    directory, asset_hash = source_for_synth(part, required=required)
    return lambda_.LayerVersion(
        scope,
        f"{part.capitalize()}Layer",
        layer_version_name=deployment.name(part),
        description=f"Libraries of {part}, from locks/{part}.txt",
        code=lambda_.Code.from_asset(
            str(directory),
            asset_hash=asset_hash,
            asset_hash_type=AssetHashType.CUSTOM,
        ),
        compatible_runtimes=[RUNTIME],
        compatible_architectures=[lambda_.Architecture.ARM_64],
    )
