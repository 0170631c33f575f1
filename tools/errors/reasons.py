"""Reads the enum ErrorReason of the contract, with its comments.

Needs `buf` on PATH, or beside the Python that runs this.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parents[2]
ERRORS_PROTO = "trivium/v1/errors.proto"
ENUM_TYPE_FIELD = 5  # FileDescriptorProto.enum_type, as SourceCodeInfo paths number it
ENUM_VALUE_FIELD = 2  # EnumDescriptorProto.value
PREFIX = "ERROR_REASON_"

STATUS_CODES = tuple(code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A value of ErrorReason: its name without prefix, the status codes its comment names, and the comment."""

    name: str
    codes: tuple[str, ...]
    comment: str

    @property
    def class_name(self) -> str:
        """The name of its exception: MODEL_NOT_FOUND is ModelNotFound."""
        return camel(self.name)


def camel(name: str) -> str:
    """Returns `TWO_WORDS` as `TwoWords`."""
    return "".join(word.capitalize() for word in name.split("_"))


def buf() -> str:
    """Returns the buf that belongs to this Python's environment, else the one on PATH."""
    beside = Path(sys.executable).parent / "buf"
    return str(beside) if beside.exists() else "buf"


def load_errors_proto() -> FileDescriptorProto:
    """Compiles the contract and returns errors.proto with its comments."""
    image = subprocess.run([buf(), "build", "-o", "-"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    return next(file for file in FileDescriptorSet.FromString(image).file if file.name == ERRORS_PROTO)


def unwrapped(comment: str) -> str:
    """Returns a leading comment as paragraphs of one line each."""
    return "\n\n".join(" ".join(part.split()) for part in comment.strip().split("\n\n") if part.strip())


def read_reasons(file: FileDescriptorProto) -> tuple[str, list[Reason]]:
    """Returns the comment of the enum, and its values but the zero one, which is never sent."""
    index = next(i for i, enum in enumerate(file.enum_type) if enum.name == "ErrorReason")
    comments = {
        tuple(location.path): unwrapped(location.leading_comments) for location in file.source_code_info.location
    }
    reasons = []
    for position, value in enumerate(file.enum_type[index].value):
        if value.number == 0:
            continue
        comment = comments[(ENUM_TYPE_FIELD, index, ENUM_VALUE_FIELD, position)]
        codes = tuple(re.findall(rf"\b({'|'.join(STATUS_CODES)})\b", comment))
        if not codes:
            raise SystemExit(f"{ERRORS_PROTO}: the comment of {value.name} names no status code")
        reasons.append(Reason(name=value.name.removeprefix(PREFIX), codes=tuple(dict.fromkeys(codes)), comment=comment))
    return comments[(ENUM_TYPE_FIELD, index)], reasons
