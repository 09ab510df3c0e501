"""All black-box tests run the binary that SLUICE_BINARY names, from whatever directory they stand in."""

import os
from pathlib import Path

BUILT = Path(__file__).resolve().parents[1] / "build" / "sluice"

os.environ["SLUICE_BINARY"] = str(Path(os.environ.get("SLUICE_BINARY", BUILT)).resolve())
