"""The CDK app: `python -m infra.app` writes the templates to build/cdk.out (or $CDK_OUTDIR).

The CDK command line runs it as well (cdk.json). Context: `stage` (default dev), `route` (bus or
direct), `tracing` (active, adot with `adot-layer`, or off), `page-domain` and `page-certificate` (a
name of one's own for the dashboard); from `--context` there, from the variable CDK_CONTEXT_JSON
here. Needs Node, no network.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from aws_cdk import App, Tags

from infra import accepted
from infra.deployment import PROJECT, Deployment
from infra.errors import InfraError
from infra.functions import LAYERS_REQUIRED
from infra.layers import ROOT
from infra.stacks.data import DataStack
from infra.stacks.edge import EdgeStack
from infra.stacks.fanout import FanoutStack
from infra.stacks.identity import IdentityStack
from infra.stacks.ingest import IngestStack
from infra.stacks.observability import ObservabilityStack

OUTDIR = ROOT / "build" / "cdk.out"


def build(*, outdir: Path, require_layers: bool) -> App:
    """The app with its six stacks, of the context that jsii finds in CDK_CONTEXT_JSON.

    Raises
    ------
    InfraError
        For a deployment that cannot be, or a layer that must be built first.
    """
    app = App(
        outdir=str(outdir),
        # Templates are compared and tested: nothing in them about who synthesized them.
        analytics_reporting=False,
        tree_metadata=False,
        context={LAYERS_REQUIRED: require_layers},
    )
    deployment = Deployment.from_context(app.node)
    data = DataStack(app, deployment)
    identity = IdentityStack(app, deployment)
    IngestStack(app, deployment, data)
    fanout = FanoutStack(app, deployment, data, identity)
    EdgeStack(app, deployment, fanout)
    ObservabilityStack(app, deployment, fanout)
    Tags.of(app).add("project", PROJECT)
    Tags.of(app).add("stage", deployment.stage)
    accepted.check(app, deployment)
    return app


def remove_templates(outdir: Path) -> None:
    """Remove what an earlier synthesis wrote, perhaps of another stage; CDK leaves it there."""
    for pattern in ("*.template.json", "*.assets.json", "*.metadata.json", "manifest.json"):
        for file in outdir.glob(pattern):
            file.unlink(missing_ok=True)
    for asset in outdir.glob("asset.*"):
        shutil.rmtree(asset, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.app", description="Write the templates.")
    parser.add_argument(
        "--require-layers",
        action="store_true",
        help="refuse unless the layers are built (for deployments; make layers)",
    )
    options = parser.parse_args(arguments)
    outdir = Path(os.environ.get("CDK_OUTDIR") or OUTDIR)
    remove_templates(outdir)
    try:
        build(outdir=outdir, require_layers=options.require_layers).synth()
    except InfraError as error:
        print(f"synth: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except RuntimeError as error:
        # That is all that jsii makes of it; cdk-nag has named rule and resource already.
        if "ValidationFailed" not in str(error):
            raise
        message = "refused by cdk-nag; infra/accepted.py holds what is no fault"
        print(f"synth: {message}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
