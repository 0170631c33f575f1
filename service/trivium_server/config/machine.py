"""What this process may use of the machine, and where a user's data lives."""

import math
import os
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def usable_cpus() -> int:
    """Counts the CPUs that this process may keep busy: its affinity, or its cgroup's quota where that is less."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, math.ceil(_cgroup_cpus(_CGROUP_V2, _CGROUP_V1))))


def _cgroup_cpus(v2: Path, v1: Path) -> float:
    try:
        quota, period = v2.read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota, period = (v1 / "cpu.cfs_quota_us").read_text(), (v1 / "cpu.cfs_period_us").read_text()
        except OSError:
            return 1e6
    if quota.strip() in {"max", "-1"}:
        return 1e6
    return int(quota) / int(period)


def default_models_dir() -> Path:
    """The model store of this user: `trivium/models` in the XDG data directory."""
    base = os.environ.get("XDG_DATA_HOME", "").strip()
    return (Path(base) if base else Path("~/.local/share").expanduser()) / "trivium" / "models"
