package trivium

import (
	"fmt"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	adminv1 "trivium.internal/go/trivium/admin/v1"
	triviumv1 "trivium.internal/go/trivium/v1"
)

// Version is that of this module.
const Version = "0.1.0"

// Client talks to one Trivium server, or to several behind one name. Its fields are the services of the contract, with
// all their methods; some have short forms beside them. Safe for concurrent use. Made by [NewClient]; Close it.
type Client struct {
	// Text generates text.
	Text *TextClient
	// Embeddings turns texts into vectors, ranks and compares them. See also Client.Embed and Client.Compare.
	Embeddings triviumv1.EmbeddingServiceClient
	// Analysis classifies texts, finds entities in them and tells their language.
	Analysis triviumv1.TextAnalysisServiceClient
	// Vision looks at images.
	Vision *VisionClient
	// Speech hears and speaks.
	Speech *SpeechClient
	// Models tells which models a server has.
	Models *ModelsClient
	// Admin operates one server; behind a load balancer, whichever answers.
	Admin adminv1.AdminServiceClient
	// Health is gRPC's standard health service.
	Health healthv1.HealthClient

	conn   *conn
	choice *modelChoice
}

// NewClient makes a client. It connects at the first call.
//
// The target is host:port, http://host:port, https://host[:port] or a target of gRPC's own such as dns:///host:port or
// unix:/path. Where it is empty, $TRIVIUM_TARGET is taken, else 127.0.0.1:50051. The connection is plain text to this
// machine and TLS to any other, unless the URL or an option says otherwise.
//
// The error is an [*Error] of kind [ErrInvalidCall]: a target or an option that cannot be used.
func NewClient(target string, options ...Option) (*Client, error) {
	settings, err := newSettings(target, options)
	if err != nil {
		return nil, err
	}
	channel, err := grpc.NewClient(settings.target.address, settings.dialOptions()...)
	if err != nil {
		return nil, invalid("target %q: %v", settings.target.address, err)
	}
	conn := newConn(channel, settings)
	models := &ModelsClient{triviumv1.NewModelServiceClient(conn)}
	choice := newModelChoice(models)
	return &Client{
		Text:       &TextClient{triviumv1.NewTextGenerationServiceClient(conn), conn, choice},
		Embeddings: triviumv1.NewEmbeddingServiceClient(conn),
		Analysis:   triviumv1.NewTextAnalysisServiceClient(conn),
		Vision:     &VisionClient{triviumv1.NewVisionServiceClient(conn), conn, choice},
		Speech: &SpeechClient{
			triviumv1.NewSpeechRecognitionServiceClient(conn),
			triviumv1.NewSpeechSynthesisServiceClient(conn),
			conn,
			choice,
		},
		Models: models,
		Admin:  adminv1.NewAdminServiceClient(conn),
		Health: healthv1.NewHealthClient(conn),
		conn:   conn,
		choice: choice,
	}, nil
}

// Conn returns the connection with all manners of this client, for stubs that the client does not know.
func (c *Client) Conn() grpc.ClientConnInterface {
	return c.conn
}

// Close ends the connection. Calls that still run fail with [ErrCancelled]. Closing twice is no error.
func (c *Client) Close() error {
	return c.conn.Close()
}

// String names the server; there is no secret in it.
func (c *Client) String() string {
	return fmt.Sprintf("trivium.Client(%s)", c.conn.settings.target.address)
}
