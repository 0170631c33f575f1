package trivium.client;

import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.PrototypeMarshaller;
import trivium.admin.v1.AdminServiceGrpc;
import trivium.admin.v1.LoadModelResponse;
import trivium.v1.ModelServiceGrpc;
import trivium.v1.ModelState;

/**
 * Follows the answer of one call and says what is missing in it. Knows the contract's streams by
 * their shape: one whose messages have {@code sequence} and {@code completed} counts and ends so.
 * Not thread-safe.
 */
abstract class StreamCourse {
  /** Whether the terminal event arrived. */
  private boolean isComplete;

  /** Returns the course of a call of this method. */
  static StreamCourse of(MethodDescriptor<?, ?> method) {
    if (method.getType().serverSendsOneMessage()) {
      return new OneMessage();
    }
    String name = method.getFullMethodName();
    if (name.equals(AdminServiceGrpc.getLoadModelMethod().getFullMethodName())) {
      return new Load();
    }
    if (name.equals(ModelServiceGrpc.getWatchModelsMethod().getFullMethodName())) {
      return new Endless();
    }
    if (method.getResponseMarshaller() instanceof PrototypeMarshaller<?> marshaller
        && marshaller.getMessagePrototype() instanceof Message prototype) {
      Descriptor type = prototype.getDescriptorForType();
      FieldDescriptor sequence = type.findFieldByName("sequence");
      FieldDescriptor completed = type.findFieldByName("completed");
      if (sequence != null && completed != null) {
        return new Numbered(sequence, completed);
      }
    }
    return new Free();
  }

  final boolean isComplete() {
    return isComplete;
  }

  final void complete() {
    isComplete = true;
  }

  /** Whether the server may be silent for long although all is well, so that no idle limit fits. */
  boolean mayBeSilent() {
    return true;
  }

  /** Takes the next message. Returns what is wrong, null where nothing is. */
  abstract String accept(Object message);

  /**
   * Called when the server ended the call with OK. Returns what is wrong, null where nothing is.
   */
  abstract String end();

  private static final class OneMessage extends StreamCourse {
    @Override
    String accept(Object message) {
      return null; // a status other than OK may still follow it
    }

    @Override
    String end() {
      return null;
    }
  }

  private static final class Numbered extends StreamCourse {
    private final FieldDescriptor sequence;
    private final FieldDescriptor completed;
    private long next;

    Numbered(FieldDescriptor sequence, FieldDescriptor completed) {
      this.sequence = sequence;
      this.completed = completed;
    }

    @Override
    boolean mayBeSilent() {
      return false;
    }

    @Override
    String accept(Object response) {
      Message message = (Message) response;
      long number = (long) message.getField(sequence);
      if (number != next) {
        return "event " + next + " of the stream is missing; " + number + " came";
      }
      next++;
      if (message.hasField(completed)) {
        complete();
      }
      return null;
    }

    @Override
    String end() {
      return isComplete() ? null : "the stream ended without its terminal event";
    }
  }

  private static final class Load extends StreamCourse {
    @Override
    String accept(Object message) {
      if (((LoadModelResponse) message).getModel().getState() == ModelState.MODEL_STATE_READY) {
        complete();
      }
      return null;
    }

    @Override
    String end() {
      return isComplete() ? null : "the stream ended before the model was ready";
    }
  }

  private static final class Endless extends StreamCourse {
    @Override
    String accept(Object message) {
      return null;
    }

    @Override
    String end() {
      return "the server ended a stream that only its caller ends";
    }
  }

  private static final class Free extends StreamCourse {
    @Override
    String accept(Object message) {
      return null;
    }

    @Override
    String end() {
      return null;
    }
  }
}
