"""Alarms, the one page that a person gets, and a dashboard in the order of the path.

Refers to the other stacks by the names of their resources (the API, which has an id only, by that),
so that it can be deployed, changed and removed without touching what carries events.
"""

from collections.abc import Sequence

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.alarms import DEAD_LETTER_PARTS, LATE_S, SLOW_MS, Watch, watches
from infra.deployment import Deployment
from infra.stacks.fanout import FanoutStack
from pipeline.metrics import NAMESPACE, Metric

WIDTH = 24
"""Columns of a CloudWatch dashboard."""
HEIGHT = 6


class ObservabilityStack(Stack):
    def __init__(self, scope: Construct, deployment: Deployment, fanout: FanoutStack) -> None:
        super().__init__(
            scope,
            deployment.name("observability"),
            description="Latchline: alarms and dashboard",
            termination_protection=deployment.production,
        )
        self._deployment = deployment
        api_id = fanout.api.api_id
        table = watches(deployment, api_id)
        alarms = {watch.name: self._alarm(watch) for watch in table}
        topic = self._topic()
        self._page([alarms[watch.name] for watch in table if watch.pages], topic)
        self._dashboard(list(alarms.values()), api_id)
        CfnOutput(self, "AlarmTopicArn", value=topic.topic_arn)

    def _alarm(self, watch: Watch) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            _id(watch.name),
            alarm_name=self._deployment.name(watch.name),
            alarm_description=watch.description,
            metric=_metric(watch),
            threshold=watch.threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=watch.periods,
            datapoints_to_alarm=watch.datapoints,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )

    def _topic(self) -> sns.Topic:
        """Who is to be called subscribes to it; a deployment knows nobody's telephone number."""
        topic = sns.Topic(
            self,
            "Pages",
            topic_name=self._deployment.name("pages"),
            display_name=f"Latchline {self._deployment.stage}",
            enforce_ssl=True,
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        return topic

    def _page(self, symptoms: Sequence[cloudwatch.Alarm], topic: sns.Topic) -> None:
        """One alarm over all symptoms: an incident that raises five of them calls once."""
        composite = cloudwatch.CompositeAlarm(
            self,
            "NeedsAPerson",
            composite_alarm_name=self._deployment.name("needs-a-person"),
            alarm_description="Events are late, parked or wrong. Runbook: docs/operations.md",
            alarm_rule=cloudwatch.AlarmRule.any_of(
                *(
                    cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM)
                    for alarm in symptoms
                )
            ),
        )
        composite.add_alarm_action(actions.SnsAction(topic))
        composite.add_ok_action(actions.SnsAction(topic))

    def _dashboard(self, alarms: Sequence[cloudwatch.IAlarm], api_id: str) -> None:
        """From the symptom to the broker, then along the path to the tile."""
        dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self._deployment.name("path"),
            default_interval=Duration.hours(3),
        )
        name = self._deployment.name
        dashboard.add_widgets(
            cloudwatch.AlarmStatusWidget(title="Alarms", alarms=list(alarms), width=WIDTH, height=4)
        )
        dashboard.add_widgets(
            _graph(
                "Door to tile, ms (rule to AppSync)",
                [
                    _own(Metric.DOOR_TO_PUBLISHED, name("fanout"), statistic)
                    for statistic in ("p50", "p95", "p99")
                ],
                line=SLOW_MS,
            ),
            _graph(
                "Dead letters",
                [
                    _aws("SQS", "ApproximateNumberOfMessagesVisible", "Maximum", QueueName=name(p))
                    for p in DEAD_LETTER_PARTS
                ],
            ),
        )
        dashboard.add_widgets(
            _graph(
                "Controllers",
                [
                    _aws("IoT", metric, "Sum", Protocol="MQTT")
                    for metric in ("Connect.Success", "Connect.AuthError", "PublishIn.Success")
                ],
            ),
            _graph(
                "Waiting, s",
                [
                    _aws("SQS", "ApproximateAgeOfOldestMessage", "Maximum", QueueName=name(part))
                    for part in ("ingest", "projector")
                ],
                line=LATE_S,
            ),
        )
        dashboard.add_widgets(
            _graph(
                "Events by outcome",
                [
                    _own(metric, name("projector"))
                    for metric in (
                        Metric.APPLIED,
                        Metric.DUPLICATE,
                        Metric.STALE,
                        Metric.QUARANTINED,
                        Metric.RETRIED,
                        Metric.BOOT_REGRESSED,
                    )
                ],
            ),
            _graph("Quarantined, by reason", [_by_reason(name("projector"))]),
        )
        dashboard.add_widgets(
            _graph(
                "Rule to table, ms",
                [
                    _own(Metric.DOOR_TO_TABLE, name("projector"), each)
                    for each in ("p50", "p95", "p99")
                ],
            ),
            _graph(
                "The fan-out behind the table, ms",
                [_aws("Lambda", "IteratorAge", "Maximum", FunctionName=name("fanout"))],
                line=LATE_S * 1000,
            ),
        )
        dashboard.add_widgets(
            _graph(
                "Fan-out: tiles, publications, requests",
                [
                    _own(metric, name("fanout"))
                    for metric in (
                        Metric.PUBLISHED,
                        Metric.PUBLICATIONS,
                        Metric.APPSYNC_REQUESTS,
                        Metric.FAILED_ALIASES,
                    )
                ],
            ),
            _graph(
                "AppSync",
                [
                    _aws("AppSync", metric, "Sum", GraphQLAPIId=api_id)
                    for metric in ("ConnectSuccess", "PublishDataMessageSuccess", "5XXError")
                ],
            ),
        )
        dashboard.add_widgets(
            *(
                _graph(
                    f"{part}: duration p95 (ms), errors, throttles",
                    [
                        _aws("Lambda", "Duration", "p95", FunctionName=name(part)),
                        _aws("Lambda", "Errors", "Sum", FunctionName=name(part)),
                        _aws("Lambda", "Throttles", "Sum", FunctionName=name(part)),
                    ],
                )
                for part in ("projector", "fanout")
            )
        )


def _metric(watch: Watch) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=watch.namespace,
        metric_name=watch.metric,
        dimensions_map=dict(watch.dimensions),
        statistic=watch.statistic,
        period=Duration.seconds(watch.period_s),
    )


def _own(metric: str, service: str, statistic: str = "Sum") -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=metric,
        dimensions_map={"service": service},
        statistic=statistic,
        period=Duration.minutes(1),
    )


def _by_reason(service: str) -> cloudwatch.MathExpression:
    """One line for each reason that occurs."""
    return cloudwatch.MathExpression(
        expression=(
            f"SEARCH('{{{NAMESPACE},reason,service}} "
            f'MetricName="{Metric.QUARANTINED_BY_REASON}" service="{service}"\', \'Sum\')'
        ),
        using_metrics={},
        period=Duration.minutes(1),
    )


def _aws(service: str, metric: str, statistic: str, **dimensions: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=f"AWS/{service}",
        metric_name=metric,
        dimensions_map=dimensions,
        statistic=statistic,
        period=Duration.minutes(1),
    )


def _graph(
    title: str, metrics: Sequence[cloudwatch.IMetric], line: float | None = None
) -> cloudwatch.GraphWidget:
    marks = [] if line is None else [cloudwatch.HorizontalAnnotation(value=line)]
    return cloudwatch.GraphWidget(
        title=title, left=list(metrics), left_annotations=marks, width=WIDTH // 2, height=HEIGHT
    )


def _id(name: str) -> str:
    """`door-to-tile-slow` → `DoorToTileSlow`."""
    return "".join(word.capitalize() for word in name.split("-"))
