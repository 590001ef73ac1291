"""sparkctl with the stand-in among its engines: `python -m tests.standin cluster up ...`."""

from sparkctl.cli.main import main
from sparkctl.engines import ENGINES
from tests.standin.engine import ENGINE

ENGINES[ENGINE.kind] = ENGINE
main()
