"""A case for each ErrorReason and each status code that its comment in the contract names: a new one gets its own."""

from tests.conformance.case import Case, parse_case
from tools.errors.reasons import load_errors_proto, read_reasons

__all__ = ["reason_cases"]

_GROUP = "reasons"


def reason_cases() -> list[Case]:
    """Makes the cases. All have all details, and none is sent again: the server asks for a wait that is too long."""
    _, reasons = read_reasons(load_errors_proto())
    return [_case(reason.name, code) for reason in reasons for code in reason.codes]


def _case(reason: str, code: str) -> Case:
    details = {
        "metadata": {"model": "m", "field": "input.text", "limit": "4096", "near_matches": "m1, m2"},
        "field_violations": [{"field": "input.text", "description": "is not what it should be"}],
        "retry_after_s": 30.5,
        "request_id": "id-of-the-server",
        "usage": {"tokens": {"input_tokens": 7}},
    }
    failure = {"code": code, "reason": reason, "message": f"This is {reason}.", **details}
    return parse_case(
        {
            "name": f"{reason.lower()}_as_{code.lower()}",
            "about": f"{code} with the reason {reason} reaches the caller with all its details.",
            "script": [{"fail": failure}],
            "call": {
                "method": "trivium.v1.TextGenerationService/Generate",
                "requests": [{"input": {"model": "m", "text": "Once"}}],
            },
            "expect": {
                "ok": False,
                "responses": [],
                "error": {"code": code, "reason": reason, "message": {"$matches": f"This is {reason}."}, **details},
                "calls": 1,
            },
        },
        _GROUP,
    )
