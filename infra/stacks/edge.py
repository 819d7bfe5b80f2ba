"""The dashboard's page: a private bucket behind CloudFront. Files come from `latchline dashboard`.

They are not part of the template: CDK would upload them with a function of its own, which takes
away the files that open pages still load from, and may do more than any role of ours.
"""

from aws_cdk import CfnOutput, Duration, Fn, Stack
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.deployment import Deployment
from infra.page_headers import HASHED, ISOLATION, content_security_policy
from infra.stacks.fanout import FanoutStack

HSTS = Duration.days(365)


class EdgeStack(Stack):
    """Not on a laptop, whose supervisor serves the page (`local.dashboard`)."""

    def __init__(self, scope: Construct, deployment: Deployment, fanout: FanoutStack) -> None:
        super().__init__(
            scope,
            deployment.name("edge"),
            description="Latchline: the dashboard's page",
            termination_protection=deployment.production,
        )
        self._deployment = deployment
        bucket = s3.Bucket(
            self,
            "Page",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            removal_policy=deployment.removal_policy,
        )
        distribution = self._distribution(bucket, self._headers(fanout))
        domain = deployment.page_domain or distribution.distribution_domain_name
        CfnOutput(self, "DashboardUrl", value=f"https://{domain}/")
        CfnOutput(self, "DashboardBucketName", value=bucket.bucket_name)

    @property
    def _global_name(self) -> str:
        """CloudFront's names are those of an account, in all its regions."""
        return f"{self._deployment.name('page')}-{self.region}"

    def _distribution(
        self, bucket: s3.Bucket, headers: cloudfront.ResponseHeadersPolicy
    ) -> cloudfront.Distribution:
        """Nothing names its own version but the hashed files, so nothing else is cached."""
        access = cloudfront.S3OriginAccessControl(
            self, "Access", origin_access_control_name=self._global_name
        )
        origin = origins.S3BucketOrigin.with_origin_access_control(
            bucket, origin_access_control=access
        )

        def behavior(cache: cloudfront.ICachePolicy) -> cloudfront.BehaviorOptions:
            return cloudfront.BehaviorOptions(
                origin=origin,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                cache_policy=cache,
                response_headers_policy=headers,
            )

        domain, certificate = self._deployment.page_domain, self._deployment.page_certificate
        return cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"Latchline: the dashboard of stage {self._deployment.stage}",
            default_root_object="index.html",
            default_behavior=behavior(cloudfront.CachePolicy.CACHING_DISABLED),
            additional_behaviors={
                f"{HASHED}*": behavior(cloudfront.CachePolicy.CACHING_OPTIMIZED),
            },
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            # AWS: with CloudFront's own domain the minimum is always TLS 1, whatever is set.
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            domain_names=[domain] if domain else None,
            certificate=acm.Certificate.from_certificate_arn(self, "Certificate", certificate)
            if certificate
            else None,
        )

    def _headers(self, fanout: FanoutStack) -> cloudfront.ResponseHeadersPolicy:
        """What `infra.page_headers` has, and HSTS, which a laptop without HTTPS cannot have."""
        api = Fn.select(2, Fn.split("/", fanout.api.graphql_url))
        realtime = Fn.join(
            ".appsync-realtime-api.", [Fn.select(n, Fn.split(".appsync-api.", api)) for n in (0, 1)]
        )
        cognito = f"cognito-idp.{self.region}.{self.url_suffix}"
        policy = content_security_policy(
            (f"https://{api}", f"wss://{realtime}", f"https://{cognito}")
        )
        return cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            response_headers_policy_name=self._global_name,
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy=policy, override=True
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                frame_options=cloudfront.ResponseHeadersFrameOptions(
                    frame_option=cloudfront.HeadersFrameOption.DENY, override=True
                ),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
                ),
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    access_control_max_age=HSTS, include_subdomains=False, override=True
                ),
            ),
            custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(
                custom_headers=[
                    cloudfront.ResponseCustomHeader(header=name, value=value, override=True)
                    for name, value in ISOLATION.items()
                ]
            ),
        )
