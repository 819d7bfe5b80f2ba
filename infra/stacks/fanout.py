"""From the table to the tile: stream, fan-out, GraphQL API."""

import json
from pathlib import Path

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_appsync as appsync
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.deployment import Deployment
from infra.functions import pipeline_function
from infra.queues import dead_letter_queue
from infra.resolver_code import resolver_code, resolver_fields
from infra.stacks.data import ATTENTION_INDEX, DataStack
from infra.stacks.identity import IdentityStack

SCHEMA = Path(__file__).parent.parent / "schema.graphql"
STREAM_FILTER = {"dynamodb": {"NewImage": {"entity": {"S": ["TILE", "LOCKER"]}}}}
RETRIES = 8
MAX_AGE = Duration.hours(1)
"""Then the shard goes on; what was given up is in the dead-letter queue as a pointer."""


class FanoutStack(Stack):
    def __init__(
        self, scope: Construct, deployment: Deployment, data: DataStack, identity: IdentityStack
    ) -> None:
        super().__init__(
            scope,
            deployment.name("fanout"),
            description="Latchline: stream, fan-out and GraphQL API",
            termination_protection=deployment.production,
        )
        self._deployment = deployment
        self.api = api = self._api(identity)
        self._resolvers(api, data)
        dead_letters = dead_letter_queue(self, deployment, "fanout-dlq")
        fanout = pipeline_function(
            self,
            deployment,
            "fanout",
            environment={
                "GRAPHQL_URL": api.graphql_url,
                "FANOUT_DLQ_URL": dead_letters.queue_url,
            },
            statements=[
                iam.PolicyStatement(
                    actions=["appsync:GraphQL"],
                    resources=[f"{api.arn}/types/Mutation/fields/publishTiles"],
                ),
                iam.PolicyStatement(
                    actions=["sqs:SendMessage"], resources=[dead_letters.queue_arn]
                ),
                iam.PolicyStatement(
                    actions=[
                        "dynamodb:DescribeStream",
                        "dynamodb:GetRecords",
                        "dynamodb:GetShardIterator",
                    ],
                    resources=[data.stream_arn],
                ),
                # AWS: ListStreams knows no resource.
                iam.PolicyStatement(actions=["dynamodb:ListStreams"], resources=["*"]),
            ],
        )
        mapping = self._mapping(fanout.function, data.stream_arn, dead_letters.queue_arn)
        CfnOutput(self, "ApiId", value=api.api_id)
        CfnOutput(self, "GraphqlUrl", value=api.graphql_url)
        CfnOutput(self, "FanoutFunctionName", value=fanout.function.function_name)
        CfnOutput(self, "FanoutMappingId", value=mapping.ref)
        CfnOutput(self, "FanoutDlqUrl", value=dead_letters.queue_url)

    def _mapping(
        self, function: lambda_.Function, stream_arn: str, dead_letters_arn: str
    ) -> lambda_.CfnEventSourceMapping:
        properties = lambda_.CfnEventSourceMapping
        return lambda_.CfnEventSourceMapping(
            self,
            "FanoutMapping",
            function_name=function.function_name,
            event_source_arn=stream_arn,
            # AWS: LATEST may miss records while a mapping is created or updated.
            starting_position="TRIM_HORIZON",
            batch_size=100,
            parallelization_factor=10,
            bisect_batch_on_function_error=True,
            maximum_retry_attempts=RETRIES,
            maximum_record_age_in_seconds=MAX_AGE.to_seconds(),
            function_response_types=["ReportBatchItemFailures"],
            destination_config=properties.DestinationConfigProperty(
                on_failure=properties.OnFailureProperty(destination=dead_letters_arn)
            ),
            filter_criteria=properties.FilterCriteriaProperty(
                filters=[properties.FilterProperty(pattern=json.dumps(STREAM_FILTER))]
            ),
        )

    def _api(self, identity: IdentityStack) -> appsync.GraphqlApi:
        api = appsync.GraphqlApi(
            self,
            "Api",
            name=self._deployment.name("tiles"),
            definition=appsync.Definition.from_file(str(SCHEMA)),
            authorization_config=appsync.AuthorizationConfig(
                default_authorization=appsync.AuthorizationMode(
                    authorization_type=appsync.AuthorizationType.USER_POOL,
                    user_pool_config=appsync.UserPoolConfig(user_pool=identity.user_pool),
                ),
                additional_authorization_modes=[
                    appsync.AuthorizationMode(authorization_type=appsync.AuthorizationType.IAM)
                ],
            ),
        )
        self._log_errors(api)
        return api

    def _log_errors(self, api: appsync.GraphqlApi) -> None:
        """Errors of resolvers, without the requests' content, into a log that expires.

        Set on the L1 resource: `GraphqlApi(log_config=…)` sets the retention with a function of
        CDK's own, deployed for that alone.
        """
        role = iam.Role(
            self,
            "ApiLogRole",
            assumed_by=iam.ServicePrincipal("appsync.amazonaws.com"),
            description="Lets the API write its log",
        )
        cfn_api = api.node.default_child
        assert isinstance(cfn_api, appsync.CfnGraphQLApi)
        cfn_api.log_config = appsync.CfnGraphQLApi.LogConfigProperty(
            cloud_watch_logs_role_arn=role.role_arn,
            field_log_level="ERROR",
            exclude_verbose_content=True,
        )
        log_group = logs.LogGroup(
            self,
            "ApiLog",
            log_group_name=f"/aws/appsync/apis/{api.api_id}",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        iam.Policy(
            self,
            "ApiLogPolicy",
            roles=[role],
            statements=[
                iam.PolicyStatement(
                    actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                    resources=[log_group.log_group_arn],
                )
            ],
        )

    def _resolvers(self, api: appsync.GraphqlApi, data: DataStack) -> None:
        """Reads go straight to the table; a push and a subscription need no data source."""
        table_role = iam.Role(
            self,
            "TableSourceRole",
            assumed_by=iam.ServicePrincipal("appsync.amazonaws.com"),
            description="What the API's resolvers may read",
            inline_policies={
                "read": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["dynamodb:Query"],
                            resources=[
                                data.table.table_arn,
                                f"{data.table.table_arn}/index/{ATTENTION_INDEX}",
                            ],
                        )
                    ]
                )
            },
        )
        table = appsync.CfnDataSource(
            self,
            "TableSource",
            api_id=api.api_id,
            name="table",
            type="AMAZON_DYNAMODB",
            service_role_arn=table_role.role_arn,
            dynamo_db_config=appsync.CfnDataSource.DynamoDBConfigProperty(
                aws_region=self.region, table_name=data.table.table_name
            ),
        )
        none = appsync.CfnDataSource(self, "NoSource", api_id=api.api_id, name="none", type="NONE")
        for type_name, field in resolver_fields():
            source = table if type_name == "Query" else none
            resolver = appsync.CfnResolver(
                self,
                f"{type_name}{field[0].upper()}{field[1:]}",
                api_id=api.api_id,
                type_name=type_name,
                field_name=field,
                kind="UNIT",
                # The reference and not the name: CloudFormation then knows what comes first.
                data_source_name=source.attr_name,
                runtime=appsync.CfnResolver.AppSyncRuntimeProperty(
                    name="APPSYNC_JS", runtime_version="1.0.0"
                ),
                code=resolver_code(type_name, field),
            )
            api.add_schema_dependency(resolver)
