"""`sparkctl model`: what can be said of the inventory's model before anything is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.terminal import Json, reported
from sparkctl.cli.typed import InventoryPath
from sparkctl.report.door import emit

if TYPE_CHECKING:
    from pathlib import Path

    from sparkctl.inventory.model import Cluster, EngineIntent
    from sparkctl.models import Model
    from sparkctl.models.fit import Fit
    from sparkctl.report.fit import Question

DOES_NOT_FIT = 3  # as for an inventory with errors, which MEM001 makes of it
OWN_JUDGEMENT = ("MEM001", "PAR002", "PAR007")  # what fit says itself, or what has no part in it

app = typer.Typer(no_args_is_help=True, help="Models: will one fit, and how fast can it be.")

Users = Annotated[int, typer.Option("--users", min=1, max=100_000, help="Requests at the same time.")]
Context = Annotated[
    int | None,
    typer.Option(
        "--context", min=1, max=1 << 30, help="Tokens per request. [default: max_model_len]", show_default=False
    ),
]
Memory = Annotated[int, typer.Option("--memory", min=16, max=1024, help="GB installed in each node: 128 or 64.")]
Name = Annotated[
    str | None,
    typer.Option("--model", help="Another model than the inventory's: a name, or a folder here.", show_default=False),
]


@app.callback()
def model() -> None:
    """See the Typer object's help."""


@app.command()
def fit(
    inventory: InventoryPath,
    users: Users = 1,
    context: Context = None,
    memory: Memory = 128,
    model: Name = None,
    json: Json = False,
) -> None:
    """Estimate whether the model fits, the longest context and the decode speed. Works offline.

    Exit code 0 when it fits or nothing is known of the model, 3 when the weights certainly do not fit.

    Examples:

      sparkctl model fit  # the inventory's model

      sparkctl model fit --users 8 --context 32768

      sparkctl model fit --model /srv/models/mine  # a folder on this machine

      sparkctl model fit --memory 64  # nodes with 64 GB
    """
    with reported():
        asked = _asked(inventory, model, users, context, memory)
        code = _answer(asked, machine=json)
    if code:
        raise typer.Exit(code)


def _asked(inventory: Path, name: str | None, users: int, context: int | None, memory: int) -> Question:
    from dataclasses import replace
    from pathlib import Path

    from sparkctl.errors import UsageError
    from sparkctl.models.reading import present
    from sparkctl.report.fit import Question

    cluster = _cluster(inventory)
    if cluster.engine is None:
        raise UsageError(
            f"{inventory} has no engine section, so it has no model", "add one: `sparkctl schema` has its keys"
        )
    if name is not None and present(Path(name) / "config.json"):
        name = str(Path(name).absolute())
    intent = cluster.engine if name is None else replace(cluster.engine, model=name)
    return Question(cluster, intent, users, context, memory)


def _cluster(inventory: Path) -> Cluster:
    """The inventory, refused when it has other errors than those that fit tells itself."""
    from sparkctl.errors import InventoryError
    from sparkctl.study import study

    found = study(inventory)
    errors = tuple(error for error in found.errors if error.id not in OWN_JUDGEMENT)
    if errors or found.cluster is None:
        raise InventoryError(errors or found.errors)
    return found.cluster


def _answer(asked: Question, *, machine: bool) -> int:
    """Print it; the exit code."""
    from sparkctl.models import ModelUnreadable
    from sparkctl.report import fit as report

    try:
        judged = _judged(asked.cluster, asked.intent, asked.installed)
    except ModelUnreadable as reason:
        emit(report.unjudged(asked, asked.intent.model, str(reason), machine=machine))
        return 0
    emit(report.as_json(asked, judged) if machine else report.as_text(asked, judged))
    return DOES_NOT_FIT if judged.certain_no else 0


def verdict_of(inventory: Path) -> str:
    """Whether its model fits, in one line; empty where nothing is known of it."""
    from sparkctl.models import ModelUnreadable
    from sparkctl.report.fit import verdict

    asked = _asked(inventory, None, 1, None, 128)
    try:
        return verdict(asked, _judged(asked.cluster, asked.intent, asked.installed))
    except ModelUnreadable:
        return ""


def _judged(cluster: Cluster, intent: EngineIntent, installed: float) -> Fit:
    from sparkctl.models.fit import fit

    return fit(cluster, intent, _model(intent), installed)


def _model(intent: EngineIntent) -> Model:
    from sparkctl.inventory.words import nearest
    from sparkctl.models import ModelUnreadable, model_of, names

    found = model_of(intent)
    if found is None:
        guess = nearest(intent.model, names())
        raise ModelUnreadable("nothing is known of it" + (f"; the table has {guess}" if guess else ""))
    return found
