package main

import (
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	trivium "trivium.internal/go"
)

type unsupported struct {
	Case string `json:"case"`
	Why  string `json:"unsupported"`
}

type result struct {
	Case      string   `json:"case"`
	OK        bool     `json:"ok"`
	Responses [][]byte `json:"responses"`
	Error     *failure `json:"error"`
	Text      *string  `json:"text"`
	RequestID string   `json:"request_id"`
	Elapsed   float64  `json:"elapsed_s"`
}

type failure struct {
	Kind            *string           `json:"kind"`
	Code            string            `json:"code"`
	Reason          *string           `json:"reason"`
	Message         string            `json:"message"`
	Metadata        map[string]string `json:"metadata"`
	FieldViolations []violation       `json:"field_violations"`
	RetryAfter      *float64          `json:"retry_after_s"`
	RequestID       string            `json:"request_id"`
	Usage           []byte            `json:"usage"`
}

type violation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
}

// codeNames are the names of the status codes in gRPC's documents; Go's own are in camel case.
var codeNames = map[codes.Code]string{
	codes.OK:                 "OK",
	codes.Canceled:           "CANCELLED",
	codes.Unknown:            "UNKNOWN",
	codes.InvalidArgument:    "INVALID_ARGUMENT",
	codes.DeadlineExceeded:   "DEADLINE_EXCEEDED",
	codes.NotFound:           "NOT_FOUND",
	codes.AlreadyExists:      "ALREADY_EXISTS",
	codes.PermissionDenied:   "PERMISSION_DENIED",
	codes.ResourceExhausted:  "RESOURCE_EXHAUSTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION",
	codes.Aborted:            "ABORTED",
	codes.OutOfRange:         "OUT_OF_RANGE",
	codes.Unimplemented:      "UNIMPLEMENTED",
	codes.Internal:           "INTERNAL",
	codes.Unavailable:        "UNAVAILABLE",
	codes.DataLoss:           "DATA_LOSS",
	codes.Unauthenticated:    "UNAUTHENTICATED",
}

// describe returns the error of a call as the suite wants it; nil for nil.
func describe(err error) *failure {
	if err == nil {
		return nil
	}
	read, ok := errors.AsType[*trivium.Error](err)
	if !ok {
		fmt.Fprintf(os.Stderr, "conformance: no error of the SDK: %v\n", err)
		return &failure{Code: "UNKNOWN", Message: err.Error()}
	}
	described := &failure{
		Kind:            orNull(string(read.Kind)),
		Code:            codeNames[read.Code],
		Reason:          orNull(string(read.Reason)),
		Message:         read.Message,
		Metadata:        map[string]string{},
		FieldViolations: []violation{},
		RequestID:       read.RequestID,
	}
	for key, value := range read.Metadata {
		described.Metadata[key] = value
	}
	for _, one := range read.FieldViolations {
		described.FieldViolations = append(described.FieldViolations, violation{one.Field, one.Description})
	}
	if read.RetryAfter != nil {
		described.RetryAfter = new(read.RetryAfter.Seconds())
	}
	if read.Usage != nil {
		packed, err := proto.Marshal(read.Usage)
		if err != nil {
			fmt.Fprintln(os.Stderr, "conformance:", err)
		}
		described.Usage = append([]byte{}, packed...) // not null, though it may be empty
	}
	return described
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
