"""Runs the conformance cases; see command_line.py."""

import os
import sys

if __name__ == "__main__":
    # gRPC reads it when it is imported. What it writes of broken connections is what the cases want to happen.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from tests.conformance.command_line import main

    sys.exit(main())
