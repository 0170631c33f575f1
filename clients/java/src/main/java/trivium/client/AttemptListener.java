package trivium.client;

import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;

/**
 * Hears one attempt of a call: passes its messages on, checks that none is missing, and says how it
 * ended. gRPC calls it from one thread at a time.
 */
final class AttemptListener<R> extends ClientCall.Listener<R> {
  private final ManagedCall<?, R> call;
  private final ClientCall.Listener<R> listener;
  private final StreamCourse course;
  private final IdleLimit limit;
  private Metadata answerHeaders;

  /**
   * @param limit null for none
   */
  AttemptListener(
      ManagedCall<?, R> call,
      ClientCall.Listener<R> listener,
      StreamCourse course,
      IdleLimit limit) {
    this.call = call;
    this.listener = listener;
    this.course = course;
    this.limit = limit;
  }

  @Override
  public void onHeaders(Metadata received) {
    answerHeaders = received; // held back: this attempt may yet be one that is sent again
  }

  @Override
  public void onMessage(R message) {
    if (limit != null) {
      limit.touch();
    }
    if (call.isEnding()) {
      return;
    }
    if (!call.hasAnswer()) {
      passHeaders();
      call.answered();
    }
    R fresh = call.take(message);
    if (fresh == null) {
      call.askAgain();
      return;
    }
    String problem = course.accept(fresh);
    if (problem != null) {
      call.refuse(truncated(problem));
      return;
    }
    if (course.isComplete()) {
      call.complete();
    }
    call.passed();
    listener.onMessage(fresh);
  }

  @Override
  public void onReady() {
    listener.onReady();
  }

  @Override
  public void onClose(Status status, Metadata trailers) {
    if (limit != null) {
      limit.end();
    }
    if (course.isComplete()) {
      end(null, trailers); // all was delivered; what follows takes nothing away
      return;
    }
    TriviumException refusal = call.refusal();
    if (refusal != null) {
      end(refusal, trailers);
    } else if (status.isOk()) {
      String problem = course.end();
      end(problem == null ? null : truncated(problem), trailers);
    } else if (call.isCancelledHere(status)) {
      end(call.cancelled(status.getCause()), trailers);
    } else {
      Failure failure = call.failure(status, trailers, call.hasAnswer());
      if (!call.sendAgain(failure)) {
        end(failure.error(), trailers);
      }
    }
  }

  private void end(TriviumException error, Metadata trailers) {
    passHeaders();
    call.finish(error, trailers);
  }

  /** The listener gets those of the attempt that it gets the first message of, or the end. */
  private void passHeaders() {
    if (answerHeaders != null && !call.hasAnswer()) {
      listener.onHeaders(answerHeaders);
      answerHeaders = null;
    }
  }

  private TriviumException truncated(String problem) {
    return new TriviumException(
        ErrorFacts.local(
            ErrorKind.TRUNCATED_STREAM, Status.Code.DATA_LOSS, problem, call.requestId(), null));
  }
}
