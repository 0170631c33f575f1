package trivium

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	errdetails "google.golang.org/genproto/googleapis/rpc/errdetails"
	statusv1 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	triviumv1 "trivium.internal/go/trivium/v1"
)

const errorDomain = "trivium.v1"

// ErrorFromStatus returns what a status says as an [*Error], nil for nil and for OK. Use it for the items of a response
// that failed alone, such as EmbedResult.error.
func ErrorFromStatus(packed *statusv1.Status) error {
	if packed.GetCode() == int32(codes.OK) {
		return nil
	}
	return readStatus(status.FromProto(packed))
}

// readStatus returns what a status says by itself. Details that cannot be read are left out.
func readStatus(from *status.Status) *Error {
	read := &Error{Code: from.Code(), Message: from.Message(), status: from}
	if read.Code > codes.Unauthenticated {
		read.Code = codes.Unknown // no code of gRPC's
	}
	if read.Message == "" {
		read.Message = from.Code().String()
	}
	for _, packed := range from.Proto().GetDetails() {
		detail, err := packed.UnmarshalNew()
		if err != nil {
			continue
		}
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == errorDomain {
				read.Reason, read.Metadata = Reason(detail.GetReason()), detail.GetMetadata()
			}
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				read.FieldViolations = append(read.FieldViolations, FieldViolation{violation.GetField(), violation.GetDescription()})
			}
		case *errdetails.RetryInfo:
			if detail.GetRetryDelay() != nil {
				read.RetryAfter = new(detail.GetRetryDelay().AsDuration())
			}
		case *errdetails.RequestInfo:
			read.RequestID = detail.GetRequestId()
		}
	}
	return read
}

// failure is an error ready to be returned, and what the retries must know beyond it.
type failure struct {
	*Error
	// pushback is the server's grpc-retry-pushback-ms: nil where there is none, negative where it forbids a retry.
	pushback *time.Duration
	// isLoss: the connection failed, not the call.
	isLoss bool
	// isLasting: another attempt would meet the same.
	isLasting bool
}

// readFailure returns what gRPC reports about a call. begun: whether a message of its answer had come.
func readFailure(err error, trailer metadata.MD, requestID string, begun bool) failure {
	from := status.Convert(err)
	read := failure{Error: readStatus(from), pushback: readPushback(trailer.Get(pushbackKey))}
	if read.RequestID == "" {
		read.RequestID = requestID
	}
	read.Usage = readUsage(trailer.Get(usageKey))
	if read.Reason == "" && isTransportLoss(from.Code(), from.Message()) {
		read.isLoss = true
		read.isLasting = isTLSTrouble(from.Message())
		read.Kind = ErrServerUnavailable
		if begun {
			read.Kind = ErrConnectionLost
		}
	}
	return read
}

// lossMarks is how gRPC words, beside UNAVAILABLE, a connection or a stream that was cut off: a stream that was reset, by
// this library and by the one of C; one that ended within a message; and one that ended without a status.
var lossMarks = []string{"RST_STREAM", "Stream removed", io.ErrUnexpectedEOF.Error(), "without sending trailers"}

func isTransportLoss(code codes.Code, message string) bool {
	switch code {
	case codes.Unavailable:
		return true
	case codes.Internal, codes.Unknown:
		for _, mark := range lossMarks {
			if strings.Contains(message, mark) {
				return true
			}
		}
	}
	return false
}

// isTLSTrouble tells whether both ends could not agree on encryption, as crypto/tls and crypto/x509 word it.
func isTLSTrouble(message string) bool {
	return strings.Contains(message, "tls: ") || strings.Contains(message, "x509: ")
}

func readUsage(values []string) *triviumv1.Usage {
	if len(values) != 1 {
		return nil
	}
	usage := &triviumv1.Usage{}
	if proto.Unmarshal([]byte(values[0]), usage) != nil {
		return nil
	}
	return usage
}

// readPushback takes a value that is no number of milliseconds for a no, as the gRPC retry design (gRFC A6) has it.
func readPushback(values []string) *time.Duration {
	if len(values) == 0 {
		return nil
	}
	milliseconds, err := strconv.ParseInt(values[0], 10, 32)
	if err != nil && !errors.Is(err, strconv.ErrRange) || len(values) > 1 {
		milliseconds = -1
	}
	return new(time.Duration(milliseconds) * time.Millisecond)
}
