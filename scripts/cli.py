"""`latchline`: registers one command a file."""

import typer

from scripts.audit import audit
from scripts.cost import cost
from scripts.dashboard import app as dashboard_app
from scripts.demo import demo
from scripts.dlq import app as dlq_app
from scripts.down import down
from scripts.errors import ClearlyFailing
from scripts.fleet import app as fleet_app
from scripts.forecast import forecast
from scripts.info import info
from scripts.latency import latency
from scripts.outage import outage
from scripts.people import app as people_app
from scripts.rebuild import rebuild
from scripts.replay import replay
from scripts.rollback import rollback
from scripts.smoke import smoke
from scripts.trace import trace
from scripts.up import up
from scripts.verify import verify

app = typer.Typer(
    cls=ClearlyFailing,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Door opens, tile flips: run the pipeline and its lockers on this machine or on AWS.",
)
app.command()(up)
app.command()(down)
app.command()(info)
app.command()(demo)
app.command()(verify)
app.command()(cost)
app.command()(forecast)
app.command()(latency)
app.command()(trace)
app.command()(audit)
app.command()(replay)
app.command()(rebuild)
app.command()(rollback)
app.command()(smoke)
app.command()(outage)
app.add_typer(fleet_app, name="fleet")
app.add_typer(dlq_app, name="dlq")
app.add_typer(people_app, name="people")
app.add_typer(dashboard_app, name="dashboard")


def main() -> None:
    app()
