package trivium

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
)

const (
	initialBackoff = 200 * time.Millisecond
	maxBackoff     = 5 * time.Second
	maxWait        = 30 * time.Second
	// stretch is how much longer than the server asks a client waits at most, as a part of it: callers that were refused
	// together must not come back together.
	stretch = 0.2
)

// attempts counts those of one call.
type attempts struct {
	made, limit int
}

// delay returns how long to wait before the call is sent again, and whether it may be.
func (a *attempts) delay(ctx context.Context, failed failure) (time.Duration, bool) {
	if a.made >= a.limit || !isRetriable(failed) {
		return 0, false
	}
	wait, ok := waitFor(failed, a.made)
	if !ok {
		return 0, false
	}
	if deadline, limited := ctx.Deadline(); limited && time.Until(deadline) <= wait {
		return 0, false
	}
	return wait, true
}

func isRetriable(failed failure) bool {
	if failed.isLasting {
		return false
	}
	return failed.isLoss || failed.Code == codes.Unavailable ||
		failed.Code == codes.ResourceExhausted && failed.RetryAfter != nil
}

// waitFor returns how long to wait after so many attempts, and false where it would be too long or is forbidden.
func waitFor(failed failure, made int) (time.Duration, bool) {
	if failed.pushback != nil {
		return stretched(*failed.pushback), *failed.pushback >= 0 && *failed.pushback <= maxWait
	}
	// 2 to the power of 5 is past maxBackoff; more would only overflow.
	ceiling := min(maxBackoff, initialBackoff<<min(made-1, 5))
	wait := ceiling/2 + time.Duration(rand.Float64()*float64(ceiling/2))
	if failed.RetryAfter == nil {
		return wait, true
	}
	return max(wait, stretched(*failed.RetryAfter)), *failed.RetryAfter <= maxWait
}

func stretched(wait time.Duration) time.Duration {
	return wait + time.Duration(rand.Float64()*stretch*float64(wait))
}
