"""Becomes another program that is killed when its parent dies, however the parent dies.

    python bound.py PARENT_PID PROGRAM [ARGUMENT…]

Linux only (PR_SET_PDEATHSIG); the setting survives the exec. A parent that died before it was made is noticed, too.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit(f"cannot be bound to the parent process: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        sys.exit("the parent process is gone")
    os.execvp(command[0], command)  # noqa: S606  # what it is for
