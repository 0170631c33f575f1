package trivium

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	triviumv1 "trivium.internal/go/trivium/v1"
)

// Error is how every call of this package fails.
//
// Take it with [errors.As], or ask with [errors.Is] for a Reason ([ErrModelNotFound]), for a Kind ([ErrTruncatedStream]),
// for [context.Canceled] where the caller ended the call, or for [context.DeadlineExceeded] where the code is
// DEADLINE_EXCEEDED. [status.Code] and [status.FromError] read it, too.
type Error struct {
	// Code is the status of the call.
	Code codes.Code
	// Reason is the server's, from the contract; "" where no Trivium server made the error. Servers may send reasons
	// that this version does not know.
	Reason Reason
	// Kind is what this package says about it itself; "" where it adds nothing to the server's answer.
	Kind Kind
	// Message says what happened, in English, for people.
	Message string
	// Metadata is what varies in the message, by name; the comment of each Reason says which names it has.
	Metadata map[string]string
	// FieldViolations are the wrong fields of the request.
	FieldViolations []FieldViolation
	// RetryAfter is how long the server wants the caller to wait; nil where it named nothing.
	RetryAfter *time.Duration
	// RequestID finds the call in the server's log.
	RequestID string
	// Usage is what the call used before it failed; nil where the server did not say.
	Usage *triviumv1.Usage

	status *status.Status
	cause  error
}

// FieldViolation is a wrong field of a request.
type FieldViolation struct {
	// Field is its path, for example "input.sampling.top_p".
	Field string
	// Description is what is wrong with it.
	Description string
}

// Kind is what this package itself says about a failure. Each is an error for [errors.Is].
type Kind string

// The kinds of failures.
const (
	// ErrServerUnavailable: no server was reached, or the connection was lost before the first message of the answer.
	// The call was sent again as often as it may be.
	ErrServerUnavailable Kind = "server_unavailable"
	// ErrConnectionLost: the connection was lost after the first message of the answer, and the call could not go on; see
	// WithMaxAttempts.
	ErrConnectionLost Kind = "connection_lost"
	// ErrTruncatedStream: a stream ended without its last event, or skipped one; what came is not the whole answer.
	ErrTruncatedStream Kind = "truncated_stream"
	// ErrStreamIdle: a stream brought no message for its idle limit, and was cancelled.
	ErrStreamIdle Kind = "stream_idle_timeout"
	// ErrCancelled: the caller cancelled the call or closed the client.
	ErrCancelled Kind = "cancelled"
	// ErrInvalidCall: this package refused an argument; nothing was sent.
	ErrInvalidCall Kind = "invalid_call"
)

// Error returns the kind's name.
func (k Kind) Error() string { return string(k) }

// Reason is why a server refused or gave up a call: the name of a value of ErrorReason without its prefix. Each is an
// error for [errors.Is].
type Reason string

// Error returns the reason's name.
func (r Reason) Error() string { return string(r) }

// Error returns the message, the reason or the code, and the request id.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString(e.Message)
	text.WriteString(" (")
	if e.Reason != "" {
		text.WriteString(string(e.Reason))
	} else {
		text.WriteString(e.Code.String())
	}
	if e.RequestID != "" {
		text.WriteString(", request " + e.RequestID)
	}
	text.WriteString(")")
	return text.String()
}

// Is makes [errors.Is] work with a Reason, a Kind and the errors of package context.
func (e *Error) Is(target error) bool {
	switch target := target.(type) {
	case Reason:
		return e.Reason == target
	case Kind:
		return e.Kind == target
	}
	return target == context.Canceled && e.Kind == ErrCancelled ||
		target == context.DeadlineExceeded && e.Code == codes.DeadlineExceeded
}

// Unwrap returns the cause that the caller's context was cancelled with, or nil.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus returns the status with all its details.
func (e *Error) GRPCStatus() *status.Status {
	if e.status != nil {
		return e.status
	}
	return status.New(e.Code, e.Message)
}

// invalid returns the error of an argument that cannot be used.
func invalid(format string, arguments ...any) *Error {
	return &Error{Code: codes.InvalidArgument, Kind: ErrInvalidCall, Message: fmt.Sprintf(format, arguments...)}
}
