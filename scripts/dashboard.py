"""`latchline dashboard`: the page of a deployment on AWS. A laptop stack serves its own."""

import mimetypes
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.dashboard import PageConfig

app = typer.Typer(no_args_is_help=True, help="Publish the dashboard's page to AWS.")

KEPT_FOR = timedelta(days=30)
"""Pages that were opened before a publication go on loading their own files for this long."""
OnStage = Annotated[
    str, typer.Option(help="The deployment: its stage, as in make deploy STAGE=…", metavar="STAGE")
]


@app.callback()
def dashboard() -> None:
    """Publish the dashboard's page to AWS."""


@app.command()
def publish(stage: OnStage) -> None:
    """Upload the built page (make dashboard) and its configuration.

    Whoever opens the page meanwhile gets the old or the new one, whole.
    """
    from local.dashboard import DIST, PageConfig, is_built
    from local.info import StackInfo
    from scripts.deployment import aws_info
    from scripts.errors import CommandError

    if not is_built():
        raise CommandError(f"no page in {DIST}: make dashboard")
    bucket = _bucket(stage)
    if bucket is None:
        raise CommandError(f"stack latchline-{stage}-edge is not deployed: make deploy")
    info = StackInfo.model_validate(aws_info(stage))
    count = upload(bucket, DIST, PageConfig.of(info, stage=stage))
    typer.echo(f"{count} files are at {info.dashboard}")


@app.command()
def withdraw(
    stage: OnStage,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Take the page off: remove all of its files, as destroying the stack requires."""
    bucket = _bucket(stage)
    if bucket is None:
        typer.echo(f"stack latchline-{stage}-edge is not deployed: nothing to remove")
        return
    if not yes:
        typer.confirm(f"Take the dashboard of stage {stage} off ({bucket.name})?", abort=True)
    bucket.objects.all().delete()
    typer.echo(f"{bucket.name} is empty")


def upload(bucket: Any, dist: Path, config: "PageConfig", *, now: datetime | None = None) -> int:
    """Put the page into its bucket, what it loads before what names it; return how many files.

    What no publication of the last 30 days had is removed.
    """
    from infra.page_headers import cache_control
    from local.dashboard import CONFIG, INDEX

    files = {name: path.read_bytes() for name, path in _page(dist)}
    index = files.pop(INDEX)
    for name, content in {**files, CONFIG: config.to_json(), INDEX: index}.items():
        kind, _ = mimetypes.guess_type(name)
        bucket.put_object(
            Key=name,
            Body=content,
            CacheControl=cache_control(name),
            ContentType=kind or "application/octet-stream",
        )
    long_ago = (now or datetime.now(UTC)) - KEPT_FOR
    for each in bucket.objects.all():
        if each.key not in {*files, CONFIG, INDEX} and each.last_modified < long_ago:
            each.delete()
    return len(files) + 2


def _page(dist: Path) -> "Iterator[tuple[str, Path]]":
    for path in sorted(dist.rglob("*")):
        if path.is_file():
            yield path.relative_to(dist).as_posix(), path


def _bucket(stage: str) -> Any:
    import boto3

    from scripts.deployment import aws_outputs

    name = aws_outputs(stage).get("DashboardBucketName")
    return None if name is None else boto3.resource("s3").Bucket(name)
