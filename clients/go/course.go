package trivium

import (
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "trivium.internal/go/trivium/admin/v1"
	triviumv1 "trivium.internal/go/trivium/v1"
)

// isQuiet has the streams that may say nothing for long without anything being wrong.
var isQuiet = map[string]bool{
	triviumv1.ModelService_WatchModels_FullMethodName: true,
	adminv1.AdminService_LoadModel_FullMethodName:     true,
	healthv1.Health_Watch_FullMethodName:              true,
}

// course follows a stream and tells whether all of it came. By the contract's custom an event has a `sequence` and the
// last one a `completed`, so a new method needs nothing here.
type course struct {
	next       int64
	isComplete bool
}

// accept takes the next message.
func (c *course) accept(message proto.Message) error {
	fields := message.ProtoReflect().Descriptor().Fields()
	if field := fields.ByName("sequence"); field != nil && field.Kind() == protoreflect.Int64Kind {
		if came := message.ProtoReflect().Get(field).Int(); came != c.next {
			return truncated("event %d of the stream is missing; %d came", c.next, came)
		}
		c.next++
	}
	if load, ok := message.(*adminv1.LoadModelResponse); ok {
		c.isComplete = c.isComplete || load.GetModel().GetState() == triviumv1.ModelState_MODEL_STATE_READY
	} else if field := fields.ByName("completed"); field != nil {
		c.isComplete = c.isComplete || message.ProtoReflect().Has(field)
	}
	return nil
}

// end is called where the stream ended with OK, and returns io.EOF, or an error where that was too early. After the last
// event any end will do: it said that all was delivered. message is of the type that the stream consists of.
func (c *course) end(message proto.Message) error {
	if c.isComplete {
		return io.EOF
	}
	switch message.(type) {
	case *adminv1.LoadModelResponse:
		return truncated("the stream ended before the model was ready")
	case *triviumv1.WatchModelsResponse:
		return truncated("the server ended the watch")
	}
	if message.ProtoReflect().Descriptor().Fields().ByName("completed") != nil {
		return truncated("the stream ended without its last event; what came is not the whole answer")
	}
	return io.EOF
}

func truncated(format string, arguments ...any) *Error {
	return &Error{Code: codes.DataLoss, Kind: ErrTruncatedStream, Message: fmt.Sprintf(format, arguments...)}
}
