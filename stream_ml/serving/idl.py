"""The service as ``schemas/predictor.thrift`` describes it; the one file for all languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import thriftpy2

# Beside the package, in a checkout as in an installed wheel.
PATH = Path(__file__).parents[2] / "schemas" / "predictor.thrift"

# What it holds is made of the file at run time; thriftpy2 has no types for it.
predictor: Any = thriftpy2.load(str(PATH), module_name="predictor_thrift")
