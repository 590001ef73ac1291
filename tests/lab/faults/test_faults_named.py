"""Planted faults on emulated nodes are named by the right check with the right advice, and a healthy cluster by none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab.faults import catalog
from tests.lab.faults.site import Fault, Site, at_goal, misnamed
from tests.lab.labs import SERVING, LabKind, Labs, fabric

WANTED_FAULTS, WANTED_HEALTHY = 25, 20

LABS: dict[str, tuple[LabKind, Callable[[], Iterator[Fault]]]] = {
    "direct": (LabKind("test-faults-direct", fabric("dual"), used=False), catalog.direct),
    "mesh": (LabKind("test-faults-mesh", fabric("mesh-3"), used=False), catalog.mesh),
    "switch": (LabKind("test-faults-switch", fabric("quad-switch"), used=False), catalog.switch),
    "serving": (SERVING, catalog.serving),
}
PLANTED = [(lab, fault) for lab, (_, faults) in LABS.items() for fault in faults()]
LOOKED: list[str] = []


@pytest.fixture(scope="module")
def sites(labs: Labs, request: pytest.FixtureRequest) -> Callable[[str], Site]:
    """One lab at a time at its goal, kept while its faults are planted."""
    found: dict[str, Site] = {}

    def site(lab: str) -> Site:
        if lab not in found:
            found.clear()
            found[lab] = at_goal(labs.of(LABS[lab][0], request.node.nodeid))
            found[lab].look_healthy()
        return found[lab]

    return site


def leveled() -> Iterator[object]:
    """On two nodes every fourth fault is always planted, on three all."""
    for number, (lab, fault) in enumerate(PLANTED):
        always = lab == "mesh" or (lab == "direct" and number % 4 == 0)
        yield pytest.param(lab, fault, id=f"{lab}-{fault}", marks=() if always else pytest.mark.more)


@pytest.mark.parametrize(("lab", "fault"), list(leveled()))
def test_the_right_check_names_it(sites: Callable[[str], Site], lab: str, fault: Fault) -> None:
    site = sites(lab)
    fault.plant(site)
    try:
        problems = misnamed(fault, *site.verify(*fault.words))
    finally:
        fault.mend(site)
    assert not problems, "\n".join(problems)
    if fault.mend is not catalog.nothing:
        site.look_healthy()
        LOOKED.append(f"after {fault}")


def test_enough_faults_and_healthy_looks(request: pytest.FixtureRequest) -> None:
    """The issue's own numbers: 25 faults, 20 looks at a healthy cluster (each of them failed above if it was an alarm)."""
    assert len(PLANTED) >= WANTED_FAULTS
    if len([item for item in request.session.items if item.path == request.path]) > len(PLANTED):
        assert len(LOOKED) >= WANTED_HEALTHY
