package trivium

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"runtime"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// The defaults of a client.
const (
	// DefaultTimeout limits a call with one response, over all its attempts, where its context has no deadline.
	DefaultTimeout = 60 * time.Second
	// DefaultIdleTimeout limits how long a stream may bring no message.
	DefaultIdleTimeout = 60 * time.Second
	// DefaultMaxAttempts counts the first attempt of a call too.
	DefaultMaxAttempts = 4
	// DefaultMaxMessageBytes is the server's own default.
	DefaultMaxMessageBytes = 16 << 20
)

// Option is a setting of a client.
type Option func(*settings) error

// settings are what the options say. The token is kept in a function, so that no debug form of a client shows it.
type settings struct {
	target          target
	plaintext       *bool
	tls             *tls.Config
	bearer          func() string
	metadata        metadata.MD
	timeout         time.Duration
	idleTimeout     time.Duration
	maxAttempts     int
	maxMessageBytes int
	extra           []grpc.DialOption
}

// WithToken sends the token as "authorization: Bearer …" with every call. It is printable ASCII without blanks.
func WithToken(token string) Option {
	return func(s *settings) error {
		if !tokenForm.MatchString(token) {
			return invalid("the token is empty or has a character that is not printable ASCII, such as a line break")
		}
		s.bearer = func() string { return "Bearer " + token }
		return nil
	}
}

// WithMetadata sends metadata with every call. A call adds its own, or replaces a key of this, with
// [metadata.AppendToOutgoingContext]. Values are printable ASCII, or any bytes under a key that ends in "-bin".
func WithMetadata(md metadata.MD) Option {
	return func(s *settings) error {
		for key, values := range md {
			s.metadata.Append(key, values...)
		}
		return checkMetadata(s.metadata)
	}
}

// WithTimeout limits calls with one response, over all their attempts, where their context has no deadline; 0 sends no
// limit, so that the server's own applies. Streams have no deadline but that of their context.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		s.timeout = timeout
		return checkLimit("timeout", timeout)
	}
}

// WithIdleTimeout limits how long a stream may bring no message while it is read; 0 means no limit. Heartbeats count as
// messages. WatchModels, LoadModel and Health.Watch may be silent for long and have no limit but one that [IdleTimeout]
// gives to the call.
func WithIdleTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		s.idleTimeout = timeout
		return checkLimit("idle timeout", timeout)
	}
}

// WithMaxAttempts says how often a call is sent at most, the first time included; 1 switches retries off. A streamed answer
// that breaks goes on in another call where the answer can be made again, with a seed or temperature 0 and without
// log-probabilities; then the attempts count anew from each new event.
func WithMaxAttempts(attempts int) Option {
	return func(s *settings) error {
		if attempts < 1 {
			return invalid("max attempts is %d; it must be at least 1", attempts)
		}
		s.maxAttempts = attempts
		return nil
	}
}

// WithMaxMessageBytes limits the size of messages, both ways.
func WithMaxMessageBytes(limit int) Option {
	return func(s *settings) error {
		if limit < 1 {
			return invalid("max message bytes is %d; it must be at least 1", limit)
		}
		s.maxMessageBytes = limit
		return nil
	}
}

// WithTLS encrypts the connection. nil takes the roots of this machine and no client certificate.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) error {
		if config == nil {
			config = &tls.Config{}
		}
		s.tls, s.plaintext = config.Clone(), new(false)
		return nil
	}
}

// WithPlaintext leaves the connection unencrypted, also to another machine.
func WithPlaintext() Option {
	return func(s *settings) error {
		s.plaintext = new(true)
		return nil
	}
}

// WithDialOptions gives options of gRPC's own, such as interceptors and stats handlers. They come last and win.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) error {
		s.extra = append(s.extra, options...)
		return nil
	}
}

// PEM are certificates as PEM, for [WithTLS]. What is empty takes the roots of this machine, no client certificate, and
// the target's own host as the server's name.
type PEM struct {
	// Roots are the authorities that may have signed the server's certificate.
	Roots []byte
	// Certificate and PrivateKey identify this client (mutual TLS); both or none.
	Certificate, PrivateKey []byte
	// ServerName is looked for in the server's certificate instead of the target's host.
	ServerName string
}

// Config returns what [WithTLS] takes. The error is an [*Error] of kind [ErrInvalidCall]; no key is in it.
func (p PEM) Config() (*tls.Config, error) {
	config := &tls.Config{ServerName: p.ServerName}
	if len(p.Roots) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(p.Roots) {
			return nil, invalid("the root certificates are no certificates in PEM")
		}
	}
	if len(p.Certificate) > 0 || len(p.PrivateKey) > 0 {
		certificate, err := tls.X509KeyPair(p.Certificate, p.PrivateKey)
		if err != nil {
			return nil, invalid("client certificate and private key: %v", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}

func newSettings(address string, options []Option) (*settings, error) {
	if address == "" {
		address = defaultTarget()
	}
	target, err := parseTarget(address)
	if err != nil {
		return nil, err
	}
	s := &settings{
		target:          target,
		metadata:        metadata.MD{},
		timeout:         DefaultTimeout,
		idleTimeout:     DefaultIdleTimeout,
		maxAttempts:     DefaultMaxAttempts,
		maxMessageBytes: DefaultMaxMessageBytes,
	}
	for _, option := range options {
		if err := option(s); err != nil {
			return nil, err
		}
	}
	if encrypted := target.encrypted; encrypted != nil && s.plaintext != nil && *encrypted == *s.plaintext {
		return nil, invalid("the URL and the TLS option contradict each other; give %q as target, and the option", target.address)
	}
	return s, nil
}

// isEncrypted tells whether the connection uses TLS.
func (s *settings) isEncrypted() bool {
	switch {
	case s.plaintext != nil:
		return !*s.plaintext
	case s.target.encrypted != nil:
		return *s.target.encrypted
	default:
		return !isLocal(s.target.address)
	}
}

func (s *settings) dialOptions() []grpc.DialOption {
	security := insecure.NewCredentials()
	if s.isEncrypted() {
		security = credentials.NewTLS(s.tls)
	}
	balancer := "round_robin"
	if isOneAddress(s.target.address) {
		balancer = "pick_first"
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithUserAgent("trivium-go/" + Version),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(s.maxMessageBytes),
			grpc.MaxCallSendMsgSize(s.maxMessageBytes),
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 60 * time.Second, Timeout: 20 * time.Second}),
		// conn is the only place that retries. A service config from DNS would change its manners.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig":[{%q:{}}]}`, balancer)),
		// Every wait of gRPC's is over before the shortest wait of ours, so that each attempt finds a new connection.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay:  initialBackoff * 2 / 5,
				Multiplier: 2,
				Jitter:     0.2,
				MaxDelay:   maxBackoff * 2 / 5,
			},
			MinConnectTimeout: 20 * time.Second,
		}),
	}
	return append(options, s.extra...)
}

func checkLimit(name string, limit time.Duration) error {
	if limit < 0 {
		return invalid("%s is %v; it must be 0 or more", name, limit)
	}
	return nil
}

// clientName is what `trivium-client` metadata says.
var clientName = fmt.Sprintf("trivium-go/%s go/%s", Version, languageVersion(runtime.Version()))

// languageVersion returns "1.26.8" for "go1.26.8", and the first word of what a development version calls itself.
func languageVersion(version string) string {
	first, _, _ := strings.Cut(version, " ")
	return strings.TrimPrefix(first, "go")
}
