"""Playbooks: data that names the stages of a run in their order, with typed parameters from a closed set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from sparkctl.errors import UsageError
from sparkctl.facts.record import Frozen
from sparkctl.inventory.words import quoted
from sparkctl.resources import share

ENGINE_LEASE = 60


class NetworkStage(Frozen):
    """Netplan files, NCCL environment, `netplan apply`, settling, proof of every rail."""

    stage: Literal["network"]
    settle_timeout: int = Field(
        15, ge=1, le=300, description="Seconds until the kernel must agree; management may vanish for 1 s (facts ff20)."
    )
    load: Literal["none", "quick", "full"] = Field(
        "full", description="RDMA tests between the nodes before the engine starts, with transport roce (facts ff2)."
    )


class EngineStage(Frozen):
    """Engine files and units, workers first; ready means one real token."""

    stage: Literal["engine"]
    ready_timeout: int = Field(
        2700, ge=10, le=86400, description="Seconds to the first token; a first start may tune 36 min (facts ff49)."
    )
    image_room: float = Field(
        20, ge=0, allow_inf_nan=False, description="GiB free to fetch the image; images have 20 to 35 (facts ff41)."
    )


Stage = Annotated[NetworkStage | EngineStage, Field(discriminator="stage")]


class Playbook(Frozen):
    """Ordered stages and the time after which an unconfirmed node puts itself back."""

    apiVersion: Literal["sparkctl/v1"]
    kind: Literal["Playbook"]
    name: str
    confirm_timeout: int = Field(
        120, ge=20, le=3600, description="Seconds without a sign from the controller; 120 as `netplan try` has it."
    )
    stages: tuple[Stage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _patient_enough(self) -> Playbook:
        """One look at a loading engine takes up to 40 s (a slice and the patience for one completion)."""
        if self.engine() is not None and self.confirm_timeout < ENGINE_LEASE:
            raise ValueError(f"with an engine stage, confirm_timeout is at least {ENGINE_LEASE}")
        return self

    def network(self) -> NetworkStage | None:
        """The network stage, if the playbook has it."""
        return next((s for s in self.stages if isinstance(s, NetworkStage)), None)

    def engine(self) -> EngineStage | None:
        """The engine stage, if the playbook has it."""
        return next((s for s in self.stages if isinstance(s, EngineStage)), None)

    def only(self, stage: str | None) -> Playbook:
        """The same with one stage left; UsageError when there is none of that name."""
        kept = tuple(s for s in self.stages if stage in (None, s.stage))
        if not kept:
            raise UsageError(
                f"playbook {quoted(self.name)} has no stage {quoted(stage)}", "use --only network or --only engine"
            )
        return self.model_copy(update={"stages": kept})


def load(source: str | Path) -> Playbook:
    """A shipped playbook by name, or any by path; UsageError says what is wrong with it."""
    path = share("playbooks") / f"{source}.yaml" if isinstance(source, str) else source
    try:
        return Playbook.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(f"{path}: {place}: {first['msg']}", "see `sparkctl schema playbook`") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as a playbook: {error}", "see playbooks/up.yaml") from None


def schema() -> dict[str, Any]:
    """JSON Schema of a playbook, for editors."""
    return Playbook.model_json_schema()
