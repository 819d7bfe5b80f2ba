"""The stack with the dashboard's page: private, HTTPS only, and strict with the browser."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.page_headers import ISOLATION, cache_control, content_security_policy
from tests.support.templates import Assembly, end_synthesis, start_synthesis

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("templates")]


def security_headers(assembly: Assembly) -> dict[str, Any]:
    policy = assembly.only("AWS::CloudFront::ResponseHeadersPolicy").properties
    config: dict[str, Any] = policy["ResponseHeadersPolicyConfig"]
    return config


def test_the_bucket_is_private_encrypted_and_read_by_one_distribution(assembly: Assembly) -> None:
    """Nobody but CloudFront for this very distribution may read, and only over TLS 1.2."""
    bucket = assembly.only("AWS::S3::Bucket")
    assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket.properties["BucketEncryption"]
    assert "WebsiteConfiguration" not in bucket.properties
    expected = "Retain" if assembly.stage == "prod" else "Delete"
    assert bucket.body["DeletionPolicy"] == expected
    statements = assembly.only("AWS::S3::BucketPolicy").properties["PolicyDocument"]["Statement"]
    denied = [each["Condition"] for each in statements if each["Effect"] == "Deny"]
    assert denied == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": 1.2}},
    ]
    (allowed,) = (each for each in statements if each["Effect"] == "Allow")
    assert allowed["Action"] == "s3:GetObject"
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    distribution = assembly.only("AWS::CloudFront::Distribution")
    source = json.dumps(allowed["Condition"]["StringEquals"]["AWS:SourceArn"])
    assert f':distribution/", {{"Ref": "{distribution.id}"}}' in source


def test_every_answer_is_https_and_carries_the_headers(assembly: Assembly) -> None:
    """No path is left out, nothing may be written through it, and only hashed files are cached."""
    distribution = assembly.only("AWS::CloudFront::Distribution")
    config = distribution.properties["DistributionConfig"]
    policy = assembly.only("AWS::CloudFront::ResponseHeadersPolicy").id
    behaviors = [config["DefaultCacheBehavior"], *config["CacheBehaviors"]]
    for behavior in behaviors:
        assert behavior["ViewerProtocolPolicy"] == "redirect-to-https"
        assert behavior["ResponseHeadersPolicyId"] == {"Ref": policy}
        assert behavior["AllowedMethods"] == ["GET", "HEAD"]
    caching_disabled = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # AWS: managed policy's id
    assert config["DefaultCacheBehavior"]["CachePolicyId"] == caching_disabled
    assert [each["PathPattern"] for each in config["CacheBehaviors"]] == ["assets/*"]
    assert config["DefaultRootObject"] == "index.html"
    (origin,) = config["Origins"]
    assert "OriginAccessControlId" in origin
    assert origin["S3OriginConfig"] == {"OriginAccessIdentity": ""}


def test_the_page_may_call_the_api_and_the_user_pool_and_nobody_else(assembly: Assembly) -> None:
    """The policy that a laptop serves as well, with the hosts of this deployment in it."""
    headers = security_headers(assembly)
    policy = headers["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    pieces = policy["Fn::Join"][1]
    text = "".join(each if isinstance(each, str) else "…" for each in pieces)
    assert text == content_security_policy(["https://…", "wss://…", "https://cognito-idp.….…"])
    assert "unsafe" not in text
    assert "GraphQLUrl" in json.dumps(pieces)


def test_browsers_are_told_what_a_laptop_tells_them_and_to_stay_with_https(
    assembly: Assembly,
) -> None:
    """The rest of the headers, none of which the bucket's answer could replace."""
    headers = security_headers(assembly)
    security = headers["SecurityHeadersConfig"]
    assert security["StrictTransportSecurity"]["AccessControlMaxAgeSec"] == 31_536_000
    assert security["ReferrerPolicy"]["ReferrerPolicy"] == "no-referrer"
    assert security["FrameOptions"]["FrameOption"] == "DENY"
    assert all(each["Override"] for each in security.values())
    custom = {each["Header"]: each["Value"] for each in headers["CustomHeadersConfig"]["Items"]}
    assert custom == ISOLATION


def test_only_files_named_after_their_content_are_kept() -> None:
    """index.html and config.json are asked for anew, so that a deployment shows at once."""
    assert cache_control("assets/index-4f2a.js").endswith("immutable")
    assert {cache_control(name) for name in ("index.html", "config.json", "favicon.svg")} == {
        "no-store"
    }


def test_a_domain_of_one_s_own_comes_with_its_certificate_and_tls_1_2(tmp_path: Path) -> None:
    """With CloudFront's own domain AWS sets the minimum; with ours the template does."""
    certificate = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    context = {"page-domain": "lockers.example.com", "page-certificate": certificate}
    status, errors = end_synthesis(start_synthesis(tmp_path, context))
    assert status == 0, errors
    assembly = Assembly("dev", "bus", tmp_path)
    config = assembly.only("AWS::CloudFront::Distribution").properties["DistributionConfig"]
    assert config["Aliases"] == ["lockers.example.com"]
    assert config["ViewerCertificate"] == {
        "AcmCertificateArn": certificate,
        "MinimumProtocolVersion": "TLSv1.2_2021",
        "SslSupportMethod": "sni-only",
    }
    url = assembly.templates["edge"]["Outputs"]["DashboardUrl"]["Value"]
    assert url == "https://lockers.example.com/"
