"""The table: the only truth. Holds state."""

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from infra.deployment import Deployment

ATTENTION_INDEX = "attention"


class DataStack(Stack):
    """Keys and attributes are those of `pipeline.items`."""

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        super().__init__(
            scope,
            deployment.name("data"),
            description="Latchline: the table with tiles, lockers and history",
            termination_protection=deployment.production,
        )
        self.table = dynamodb.TableV2(
            self,
            "Table",
            table_name=deployment.name("lockers"),
            partition_key=_string("pk"),
            sort_key=_string("sk"),
            billing=dynamodb.Billing.on_demand(),
            dynamo_stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
            time_to_live_attribute="expires_at",
            global_secondary_indexes=[
                # Sparse: only what is forced, faulted or offline has the attribute.
                dynamodb.GlobalSecondaryIndexPropsV2(
                    index_name=ATTENTION_INDEX,
                    partition_key=_string("attention"),
                    sort_key=dynamodb.Attribute(
                        name="received_at", type=dynamodb.AttributeType.NUMBER
                    ),
                    projection_type=dynamodb.ProjectionType.ALL,
                )
            ],
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=dynamodb.TableEncryptionV2.dynamo_owned_key(),
            deletion_protection=deployment.production,
            removal_policy=deployment.removal_policy,
        )
        CfnOutput(self, "TableName", value=self.table.table_name)
        CfnOutput(self, "TableStreamArn", value=self.stream_arn)

    @property
    def stream_arn(self) -> str:
        arn = self.table.table_stream_arn
        assert arn is not None
        return arn


def _string(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
