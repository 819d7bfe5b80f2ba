"""`latchline down`: stop a laptop stack and leave nothing behind."""

import typer

from scripts.options import Name


def down(name: Name = "default") -> None:
    """Stop the laptop stack and remove its state."""
    from local import stack

    stack.stop(name)
    typer.echo(f"stack {name} is down")
