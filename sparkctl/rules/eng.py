"""ENG: what only an engine can know of its section; the engines themselves judge, here the ids are listed."""

from __future__ import annotations

from sparkctl.rule import declare

declare("ENG001", "error", "an engine kind that this version cannot render", "sparkctl")
declare("ENG002", "error", "an engine variable that cannot be one value for all ranks", "facts: engine-nccl-netplan A5")
declare("ENG003", "warning", "a model path that the container may not see", "docker: a container sees only its volumes")
