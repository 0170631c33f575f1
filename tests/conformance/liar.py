"""A runner that does nothing, and that the suite must not believe.

It says always the same: `success`, `failure` or `rubbish`; and for `silence` nothing at all.
"""

import json
import sys

_SAID: dict[str, dict[str, object]] = {
    "success": {"ok": True, "error": None, "text": ""},
    "failure": {
        "ok": False,
        "error": {
            "kind": None,
            "code": "UNKNOWN",
            "reason": None,
            "message": "it went wrong",
            "metadata": {},
            "field_violations": [],
            "retry_after_s": None,
            "request_id": "liar",
            "usage": None,
        },
        "text": None,
    },
}


def main(kind: str) -> None:
    """Answers each line."""
    for line in sys.stdin:
        if kind == "rubbish":
            print("Everything is fine.", flush=True)
        elif kind in _SAID:
            said = {"case": json.loads(line)["case"], "responses": [], "request_id": "liar", "elapsed_s": 0.5}
            print(json.dumps(said | _SAID[kind]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
