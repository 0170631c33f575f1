package trivium.conformance;

import com.google.protobuf.Message;
import io.grpc.MethodDescriptor;
import io.grpc.ServiceDescriptor;
import java.util.Collection;
import java.util.List;
import trivium.admin.v1.AdminServiceGrpc;
import trivium.v1.EmbeddingServiceGrpc;
import trivium.v1.ModelServiceGrpc;
import trivium.v1.SpeechRecognitionServiceGrpc;
import trivium.v1.SpeechSynthesisServiceGrpc;
import trivium.v1.TextAnalysisServiceGrpc;
import trivium.v1.TextGenerationServiceGrpc;
import trivium.v1.VisionServiceGrpc;

/** The methods of the contract, by name. */
final class Methods {
  private static final List<ServiceDescriptor> SERVICES =
      List.of(
          AdminServiceGrpc.getServiceDescriptor(),
          EmbeddingServiceGrpc.getServiceDescriptor(),
          ModelServiceGrpc.getServiceDescriptor(),
          SpeechRecognitionServiceGrpc.getServiceDescriptor(),
          SpeechSynthesisServiceGrpc.getServiceDescriptor(),
          TextAnalysisServiceGrpc.getServiceDescriptor(),
          TextGenerationServiceGrpc.getServiceDescriptor(),
          VisionServiceGrpc.getServiceDescriptor());

  private Methods() {}

  /** Returns the method of a full name, such as trivium.v1.ModelService/GetModel. */
  @SuppressWarnings("unchecked") // every message of the contract is a Message
  static MethodDescriptor<Message, Message> find(String name) {
    return SERVICES.stream()
        .map(ServiceDescriptor::getMethods)
        .flatMap(Collection::stream)
        .filter(method -> method.getFullMethodName().equals(name))
        .map(method -> (MethodDescriptor<Message, Message>) method)
        .findFirst()
        .orElseThrow(() -> new IllegalStateException("the contract has no " + name));
  }
}
