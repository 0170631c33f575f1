// Package trivium is the client of Trivium, an AI inference service.
//
//	client, err := trivium.NewClient("127.0.0.1:50051")
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	for text, err := range client.Text.Stream(ctx, "What is the capital of Japan?") {
//		if err != nil {
//			return err
//		}
//		fmt.Print(text)
//	}
//
// The fields of [Client] are the services of the contract with the methods, requests and responses of its generated
// stubs, beside short forms for what is common. All of them run over one connection that adds metadata and deadlines,
// sends calls again where that is safe, checks that streams are whole, and makes every failure an [*Error].
//
// A context limits and cancels its call. Metadata that [google.golang.org/grpc/metadata] puts into it is sent.
// [RequestID], [IdleTimeout] and [Model] are options of a call, as are those of gRPC.
package trivium
