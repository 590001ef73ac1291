"""The command `sparkctl`: every verb in one place, and the last line of defence against tracebacks."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sparkctl import __version__
from sparkctl.cli import cluster, explain, inventory, lab, model, render, schema, terminal, topology, validate

app = typer.Typer(
    name="sparkctl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One inventory file to a proven RoCE fabric and a served token on a cluster of DGX Sparks.",
    epilog="Start with: sparkctl validate inventories/dual.yaml",
)
app.command()(validate.validate)
app.command()(render.render)
app.command()(explain.explain)
app.command()(schema.schema)
app.command()(topology.topology)
app.add_typer(cluster.app, name="cluster")
app.add_typer(inventory.app, name="inventory")
app.add_typer(model.app, name="model")
app.add_typer(lab.app, name="lab")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sparkctl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """See the Typer object's help."""


def main() -> None:
    """Run, and say a bug is a bug."""
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        terminal.confess(error)
        sys.exit(1)
