"""What a call can fail with.

    TriviumError
    ├── one class for each status code: InvalidArgumentError, NotFoundError, UnavailableError, ...
    │   └── one class for each ErrorReason of the contract: ModelNotFound, InputTooLong, QueueFull, ...
    ├── UnsupportedFeature, ModelNotReady       reasons that come with more than one status code: look at `code`
    ├── ModelNotChosen                          no model was named, and no single one could be meant
    ├── TransportError                          no answer of a Trivium server
    │   ├── ServerUnavailable                   nothing was reached (also an UnavailableError)
    │   ├── ConnectionLost                      the connection broke inside an answer
    │   └── TruncatedStream                     a stream ended without its terminal event
    ├── ItemsFailed                             some items of a call failed, the others did not
    └── DeadlineExceededError
        └── StreamIdleTimeout                   a stream said nothing for its idle limit

docs/errors.md says what each reason means and what its metadata holds.
"""

from trivium._error_base import (
    AbortedError,
    AlreadyExistsError,
    CallCancelledError,
    ConnectionLost,
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    FieldViolation,
    InternalError,
    InvalidArgumentError,
    ModelNotChosen,
    NotFoundError,
    OutOfRangeError,
    PermissionDeniedError,
    ResourceExhaustedError,
    ServerUnavailable,
    StreamIdleTimeout,
    TransportError,
    TriviumError,
    TruncatedStream,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from trivium._error_types import (
    CallAborted,
    DeadlineExceeded,
    ErrorReason,
    InputTooLarge,
    InputTooLong,
    Internal,
    InvalidArgumentField,
    MethodNotFound,
    ModelFailed,
    ModelNotFound,
    ModelNotReady,
    QueueFull,
    QueueTimeout,
    ServerDraining,
    StreamProtocolViolation,
    UndecodableMedia,
    UnsupportedFeature,
)
from trivium._failed_items import ItemsFailed

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "CallAborted",
    "CallCancelledError",
    "ConnectionLost",
    "DataLossError",
    "DeadlineExceeded",
    "DeadlineExceededError",
    "ErrorReason",
    "FailedPreconditionError",
    "FieldViolation",
    "InputTooLarge",
    "InputTooLong",
    "Internal",
    "InternalError",
    "InvalidArgumentError",
    "InvalidArgumentField",
    "ItemsFailed",
    "MethodNotFound",
    "ModelFailed",
    "ModelNotChosen",
    "ModelNotFound",
    "ModelNotReady",
    "NotFoundError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "QueueFull",
    "QueueTimeout",
    "ResourceExhaustedError",
    "ServerDraining",
    "ServerUnavailable",
    "StreamIdleTimeout",
    "StreamProtocolViolation",
    "TransportError",
    "TriviumError",
    "TruncatedStream",
    "UnauthenticatedError",
    "UnavailableError",
    "UndecodableMedia",
    "UnimplementedError",
    "UnsupportedFeature",
]

# Tracebacks and documentation show the place where callers import them from.
for _name in __all__:
    if _name != "ErrorReason":
        globals()[_name].__module__ = __name__
