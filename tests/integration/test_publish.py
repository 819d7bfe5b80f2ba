"""`latchline dashboard`: the page's files in their bucket (moto)."""

import mimetypes
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.dashboard import PageConfig
from scripts.dashboard import upload

pytestmark = pytest.mark.integration

CONFIG = PageConfig(
    region="us-east-1",
    user_pool_id="us-east-1_pool",
    user_pool_client_id="client",
    user_pool_endpoint=None,
    graphql="https://a.example/graphql",
    realtime="wss://r.example/graphql",
    stage="prod",
)


@pytest.fixture
def bucket() -> Iterator[Any]:
    with mock_aws():
        resource = boto3.resource(
            "s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        yield resource.create_bucket(Bucket="page")


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "assets" / "index-1a2b.js").write_text("export {};")
    return tmp_path


def test_every_file_has_its_type_and_says_how_long_to_keep_it(bucket: Any, dist: Path):
    """The configuration beside them, made for this deployment and without any secret."""
    assert upload(bucket, dist, CONFIG) == 3
    found = {each.key: each.Object() for each in bucket.objects.all()}
    assert {key: (each.content_type, each.cache_control) for key, each in found.items()} == {
        "assets/index-1a2b.js": (
            mimetypes.guess_type("x.js")[0],
            "public, max-age=31536000, immutable",
        ),
        "config.json": ("application/json", "no-store"),
        "index.html": ("text/html", "no-store"),
    }
    config = found["config.json"].get()["Body"].read().decode()
    assert '"stage":"prod"' in config
    assert '"userPoolEndpoint":null' in config


def test_files_of_open_pages_stay_for_a_month(bucket: Any, dist: Path):
    """A page that was opened before still loads what it names."""
    upload(bucket, dist, CONFIG)
    (dist / "assets" / "index-1a2b.js").rename(dist / "assets" / "index-3c4d.js")
    upload(bucket, dist, CONFIG)
    assert {each.key for each in bucket.objects.all()} > {
        "assets/index-1a2b.js",
        "assets/index-3c4d.js",
    }
    later = datetime(2100, 1, 1, tzinfo=UTC)
    upload(bucket, dist, CONFIG, now=later)
    assert "assets/index-1a2b.js" not in {each.key for each in bucket.objects.all()}
