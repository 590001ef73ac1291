"""Planted faults on emulated nodes are named by the right check with the right advice, and a healthy cluster by none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab.faults import catalog
from tests.lab.faults.site import Fault, Site, booted, misnamed

WANTED_FAULTS, WANTED_HEALTHY = 25, 20


Case = tuple[str, Callable[[], Iterator[Fault]], tuple[str, ...], bool]
LABS: dict[str, Case] = {
    "direct": ("dual", catalog.direct, (), False),
    "mesh": ("mesh-3", catalog.mesh, (), False),
    "switch": ("quad-switch", catalog.switch, (), False),
    "serving": ("dual", catalog.serving, (), True),
}
PLANTED = [(lab, fault) for lab, (_, faults, _, _) in LABS.items() for fault in faults()]
LOOKED: list[str] = []


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """One lab at a time, kept while its faults are planted."""
    open_: dict[str, Iterator[Site]] = {}
    found: dict[str, Site] = {}

    def site(lab: str) -> Site:
        if lab not in found:
            for other in tuple(open_):
                next(open_.pop(other), None)
                found.pop(other)
            example, _, options, engine = LABS[lab]
            open_[lab] = booted(tmp_path_factory.mktemp(lab), example, f"test-faults-{lab}", *options, engine=engine)
            found[lab] = next(open_[lab])
            found[lab].look_healthy()
        return found[lab]

    yield site
    for left in open_.values():
        next(left, None)


@pytest.mark.parametrize(("lab", "fault"), PLANTED, ids=[f"{lab}-{fault}" for lab, fault in PLANTED])
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
