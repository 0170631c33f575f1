package trivium.client;

import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/**
 * Watches that a stream brings a message in time, while one is wanted: a reader that asks for none
 * may take as long as it likes. One task of the timer for a stream, however many messages it has.
 * Thread-safe.
 */
final class IdleLimit {
  private final ScheduledExecutorService timer;
  private final long limitNanos;
  private final Runnable expire;
  private long wanted;
  private long since;
  private boolean isSuspended;
  private boolean isOver;
  private ScheduledFuture<?> look;

  /** expire is called at most once, on the timer's thread. */
  IdleLimit(ScheduledExecutorService timer, long limitNanos, Runnable expire) {
    this.timer = timer;
    this.limitNanos = limitNanos;
    this.expire = expire;
  }

  /** The call was sent, and so many messages are wanted of it already. */
  synchronized void begin(long numMessages) {
    wanted = numMessages;
    since = System.nanoTime();
    if (!isOver) {
      lookIn(limitNanos);
    }
  }

  /** More messages are wanted. */
  synchronized void want(long numMessages) {
    if (wanted == 0) {
      since = System.nanoTime();
    }
    wanted += numMessages;
  }

  /** A message came. */
  synchronized void touch() {
    wanted--;
    since = System.nanoTime();
  }

  /** The server owes nothing from now on. */
  synchronized void suspend() {
    isSuspended = true;
  }

  /** The server owes a message again, from now on. */
  synchronized void resume() {
    isSuspended = false;
    since = System.nanoTime();
  }

  /** The call is over. */
  synchronized void end() {
    isOver = true;
    if (look != null) {
      look.cancel(false);
    }
  }

  private void lookIn(long nanos) {
    try {
      look = timer.schedule(this::look, nanos, TimeUnit.NANOSECONDS);
    } catch (RejectedExecutionException e) {
      isOver = true; // the client was closed, which ends the call
    }
  }

  private void look() {
    synchronized (this) {
      if (isOver) {
        return;
      }
      long left = wanted > 0 && !isSuspended ? since + limitNanos - System.nanoTime() : limitNanos;
      if (left > 0) {
        lookIn(left);
        return;
      }
      isOver = true;
    }
    expire.run();
  }
}
