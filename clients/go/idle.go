package trivium

import (
	"sync"
	"time"
)

// idleLimit ends a stream whose reader waits for too long. It does not count while the caller of a stream of requests may
// still send and an answer has begun: a server owes nothing while it listens and nobody speaks. A nil one is no limit.
type idleLimit struct {
	timer *time.Timer
	limit time.Duration

	mutex        sync.Mutex
	isWaiting    bool
	isListening  bool
	isHalfClosed bool
}

// newIdleLimit returns one that is called when the limit has passed in a wait. 0 is none.
func newIdleLimit(limit time.Duration, expire func()) *idleLimit {
	if limit == 0 {
		return nil
	}
	timer := time.AfterFunc(limit, expire)
	timer.Stop()
	return &idleLimit{timer: timer, limit: limit}
}

// during runs what waits for the server.
func (l *idleLimit) during(wait func() error) error {
	if l == nil {
		return wait()
	}
	l.set(func() { l.isWaiting = true })
	defer l.set(func() { l.isWaiting = false })
	return wait()
}

// listen is called when the answer to a stream of requests has begun.
func (l *idleLimit) listen() {
	if l != nil {
		l.set(func() { l.isListening = !l.isHalfClosed })
	}
}

// halfClose is called when no request follows.
func (l *idleLimit) halfClose() {
	if l != nil {
		l.set(func() { l.isListening, l.isHalfClosed = false, true })
	}
}

// set changes the state, and lets the limit count from now on where it counts.
func (l *idleLimit) set(change func()) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	change()
	if l.isWaiting && !l.isListening {
		l.timer.Reset(l.limit)
	} else {
		l.timer.Stop()
	}
}
