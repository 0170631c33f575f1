package trivium

import (
	"regexp"
	"strings"

	"google.golang.org/grpc/metadata"
)

const (
	requestIDKey     = "x-request-id"
	clientKey        = "trivium-client"
	authorizationKey = "authorization"
	usageKey         = "trivium-usage-bin"
	pushbackKey      = "grpc-retry-pushback-ms"
)

// ownKeys are what the client or gRPC sets, and where the caller says it instead.
var ownKeys = map[string]string{
	requestIDKey:     "give trivium.RequestID to the call instead",
	authorizationKey: "give trivium.WithToken to the client instead",
	clientKey:        "it names the client itself",
	"user-agent":     "grpc.WithUserAgent sets it",
	"content-type":   "gRPC sets it",
	"te":             "gRPC sets it",
}

var (
	metadataKey    = regexp.MustCompile(`^[a-z0-9_.-]+$`)
	printableASCII = regexp.MustCompile(`^[\x20-\x7e]*$`)
	tokenForm      = regexp.MustCompile(`^[\x21-\x7e]+$`)
	requestIDForm  = regexp.MustCompile(`^[A-Za-z0-9._:/+=@-]{1,128}$`)
)

// checkMetadata refuses what cannot be sent and what is not the caller's to set. The keys are in lower case.
func checkMetadata(given metadata.MD) error {
	for key, values := range given {
		if instead, own := ownKeys[key]; own {
			return invalid("metadata has %q, which the client sets itself: %s", key, instead)
		}
		if strings.HasPrefix(key, "grpc-") {
			return invalid("metadata has %q; keys that begin with grpc- are gRPC's own", key)
		}
		if !metadataKey.MatchString(key) {
			return invalid("metadata has %q; a key is letters of ASCII, digits, '-', '_' and '.'", key)
		}
		if strings.HasSuffix(key, "-bin") {
			continue
		}
		for _, value := range values {
			if !printableASCII.MatchString(value) {
				return invalid("the metadata value of %q is not printable ASCII; bytes go under a key that ends in -bin", key)
			}
		}
	}
	return nil
}

func checkRequestID(id string) error {
	if !requestIDForm.MatchString(id) {
		return invalid("request id %q; it must be 1 to 128 characters of A-Z, a-z, 0-9 and . _ : / + = @ -", id)
	}
	return nil
}
