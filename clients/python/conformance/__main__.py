"""Reads a case a line, does it, and prints what came of it; see tests/conformance/README.md."""

import json
import sys

from conformance.performance import perform

for line in sys.stdin:
    print(json.dumps(perform(json.loads(line))), flush=True)
