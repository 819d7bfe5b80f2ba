"""From the broker to the table: rules, queues, pipe, bus, projector.

The bus's archive and the dead-letter queues hold state; production keeps them when the stack goes.
"""

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_pipes as pipes
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.deployment import Deployment, Route
from infra.functions import TIMEOUT, PipelineFunction, pipeline_function
from infra.queues import dead_letter_queue, source_queue
from infra.stacks.data import DataStack
from iot_rules import DOOR_EVENTS, PRESENCE, SQL_VERSION, rule_sql

HISTORY_DAYS = 90
EVENT_SOURCE = "latchline.iot"
EVENT_TYPE = "event"
BATCH = 10
"""Of the projector and of the Pipe (AWS: a bus as target takes 10), without a window: one costs
latency."""
PROJECTOR_CONCURRENCY = 20
"""2,000 events/s in full batches of 100 ms: ten times December's peak, and a bound on what a slow
table can take of the account's concurrency."""
PIPE_VISIBILITY = Duration.seconds(60)
"""A put on the bus takes far less than a sixth of it."""


class IngestStack(Stack):
    """IoT rule → ingest → Pipe → bus → projector queue → projector; or straight, with a tap."""

    def __init__(self, scope: Construct, deployment: Deployment, data: DataStack) -> None:
        super().__init__(
            scope,
            deployment.name("ingest"),
            description="Latchline: rules, queues, pipe, bus and projector",
            termination_protection=deployment.production,
        )
        self._deployment = deployment
        self.ingest, ingest_dlq = source_queue(self, deployment, "ingest", PIPE_VISIBILITY)
        self.projector_queue, projector_dlq = source_queue(
            self, deployment, "projector", Duration.seconds(TIMEOUT.to_seconds() * 6)
        )
        self.quarantine = dead_letter_queue(self, deployment, "quarantine")
        self.bus_dlq = dead_letter_queue(self, deployment, "bus-dlq")
        self.iot_errors = dead_letter_queue(self, deployment, "iot-errors")

        door_rule = self._iot_rule(DOOR_EVENTS, deployment.door_rule)
        presence_rule = self._iot_rule(PRESENCE, deployment.presence_rule)
        bus = self._bus()
        archive = self._archive(bus)
        pipe = self._pipe(bus)
        self._bus_rule(bus)
        projector = self._projector(data)

        outputs = {
            "IngestQueueUrl": self.ingest.queue_url,
            "IngestDlqUrl": ingest_dlq.queue_url,
            "ProjectorQueueUrl": self.projector_queue.queue_url,
            "ProjectorDlqUrl": projector_dlq.queue_url,
            "QuarantineQueueUrl": self.quarantine.queue_url,
            "BusDlqUrl": self.bus_dlq.queue_url,
            "IotErrorsQueueUrl": self.iot_errors.queue_url,
            "BusName": bus.event_bus_name,
            "ArchiveName": archive,
            "PipeName": pipe,
            "ProjectorFunctionName": projector.function.function_name,
            "ProjectorMappingId": self._mapping_id,
            "DoorRuleName": door_rule,
            "PresenceRuleName": presence_rule,
        }
        for key, value in outputs.items():
            CfnOutput(self, key, value=value)

    def _iot_rule(self, document: str, name: str) -> str:
        queues = [self.ingest]
        if self._deployment.route is Route.DIRECT:
            queues.insert(0, self.projector_queue)
        title = "".join(word.capitalize() for word in document.split("_"))
        arn = self.format_arn(service="iot", resource="rule", resource_name=name)
        role = iam.Role(
            self,
            f"{title}RuleRole",
            assumed_by=self._only_for("iot.amazonaws.com", arn),
            description=f"What the IoT rule {name} may do",
            inline_policies={"send": self._may_send(*queues, self.iot_errors)},
        )
        iot.CfnTopicRule(
            self,
            f"{title}Rule",
            rule_name=name,
            topic_rule_payload=iot.CfnTopicRule.TopicRulePayloadProperty(
                sql=rule_sql(document),
                aws_iot_sql_version=SQL_VERSION,
                actions=[_send_to(queue, role) for queue in queues],
                error_action=_send_to(self.iot_errors, role),
                rule_disabled=False,
            ),
        )
        return name

    def _bus(self) -> events.EventBus:
        """The classic one: docs/decisions/0005-classic-event-bus.md."""
        bus = events.EventBus(self, "Bus", event_bus_name=self._deployment.name("lockers"))
        bus.apply_removal_policy(self._deployment.removal_policy)
        return bus

    def _archive(self, bus: events.EventBus) -> str:
        """Holds state: what a consumer of tomorrow will want to replay."""
        archive = events.CfnArchive(
            self,
            "Archive",
            archive_name=self._deployment.name("lockers"),
            source_arn=bus.event_bus_arn,
            event_pattern={"source": [EVENT_SOURCE]},
            retention_days=HISTORY_DAYS,
        )
        archive.apply_removal_policy(self._deployment.removal_policy)
        return self._deployment.name("lockers")

    def _pipe(self, bus: events.EventBus) -> str:
        name = self._deployment.name("ingest")
        receive = iam.PolicyStatement(
            actions=["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
            resources=[self.ingest.queue_arn],
        )
        put = iam.PolicyStatement(actions=["events:PutEvents"], resources=[bus.event_bus_arn])
        arn = self.format_arn(service="pipes", resource="pipe", resource_name=name)
        role = iam.Role(
            self,
            "PipeRole",
            assumed_by=self._only_for("pipes.amazonaws.com", arn),
            description=f"What the pipe {name} may do",
            inline_policies={"move": iam.PolicyDocument(statements=[receive, put])},
        )
        pipes.CfnPipe(
            self,
            "Pipe",
            name=name,
            role_arn=role.role_arn,
            source=self.ingest.queue_arn,
            source_parameters=pipes.CfnPipe.PipeSourceParametersProperty(
                sqs_queue_parameters=pipes.CfnPipe.PipeSourceSqsQueueParametersProperty(
                    batch_size=BATCH
                )
            ),
            target=bus.event_bus_arn,
            target_parameters=pipes.CfnPipe.PipeTargetParametersProperty(
                event_bridge_event_bus_parameters=(
                    pipes.CfnPipe.PipeTargetEventBridgeEventBusParametersProperty(
                        detail_type=EVENT_TYPE, source=EVENT_SOURCE
                    )
                ),
                input_template="<$.body>",
            ),
        )
        return name

    def _bus_rule(self, bus: events.EventBus) -> None:
        """Hands on `$.detail`, so that the projector's queue holds bare envelopes always."""
        rule = events.Rule(
            self,
            "BusRule",
            rule_name=self._deployment.name("projector"),
            event_bus=bus,
            event_pattern=events.EventPattern(source=[EVENT_SOURCE], detail_type=[EVENT_TYPE]),
            targets=[
                targets.SqsQueue(
                    self.projector_queue,
                    message=events.RuleTargetInput.from_event_path("$.detail"),
                    dead_letter_queue=self.bus_dlq,
                    retry_attempts=185,
                    max_event_age=Duration.hours(24),
                )
            ],
        )
        if self._deployment.route is Route.DIRECT:
            # The rule of IoT has sent it already; only a replay comes this way alone.
            cfn_rule = rule.node.default_child
            assert isinstance(cfn_rule, events.CfnRule)
            cfn_rule.add_property_override("EventPattern.replay-name", [{"exists": True}])

    def _projector(self, data: DataStack) -> PipelineFunction:
        projector = pipeline_function(
            self,
            self._deployment,
            "projector",
            environment={
                "TABLE_NAME": data.table.table_name,
                "QUARANTINE_QUEUE_URL": self.quarantine.queue_url,
                "HISTORY_DAYS": str(HISTORY_DAYS),
            },
            statements=[
                iam.PolicyStatement(
                    actions=[
                        "dynamodb:BatchWriteItem",
                        "dynamodb:GetItem",
                        "dynamodb:PutItem",
                        "dynamodb:UpdateItem",
                    ],
                    resources=[data.table.table_arn],
                ),
                iam.PolicyStatement(
                    actions=["sqs:SendMessage"], resources=[self.quarantine.queue_arn]
                ),
                iam.PolicyStatement(
                    actions=["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
                    resources=[self.projector_queue.queue_arn],
                ),
            ],
        )
        self._mapping_id = lambda_.CfnEventSourceMapping(
            self,
            "ProjectorMapping",
            function_name=projector.function.function_name,
            event_source_arn=self.projector_queue.queue_arn,
            batch_size=BATCH,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=lambda_.CfnEventSourceMapping.ScalingConfigProperty(
                maximum_concurrency=PROJECTOR_CONCURRENCY
            ),
        ).ref
        return projector

    def _only_for(self, service: str, arn: str) -> iam.IPrincipal:
        """The service, acting for this very resource and no other (no confused deputy)."""
        return iam.ServicePrincipal(
            service,
            conditions={
                "StringEquals": {"aws:SourceAccount": self.account},
                "ArnEquals": {"aws:SourceArn": arn},
            },
        )

    def _may_send(self, *queues: sqs.Queue) -> iam.PolicyDocument:
        send = iam.PolicyStatement(
            actions=["sqs:SendMessage"], resources=[queue.queue_arn for queue in queues]
        )
        return iam.PolicyDocument(statements=[send])


def _send_to(queue: sqs.Queue, role: iam.Role) -> iot.CfnTopicRule.ActionProperty:
    return iot.CfnTopicRule.ActionProperty(
        sqs=iot.CfnTopicRule.SqsActionProperty(
            queue_url=queue.queue_url, role_arn=role.role_arn, use_base64=False
        )
    )
