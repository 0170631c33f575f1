package trivium.bench;

import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import trivium.v1.ContentDelta;
import trivium.v1.CountTokensRequest;
import trivium.v1.CountTokensResponse;
import trivium.v1.GenerationCompleted;
import trivium.v1.StreamGenerateRequest;
import trivium.v1.StreamGenerateResponse;
import trivium.v1.TextGenerationServiceGrpc;

/** A server that answers at once. Prints its port, and ends with its standard input. */
public final class BenchServer {
  private BenchServer() {}

  public static void main(String[] arguments) throws IOException {
    Server server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(new Answers())
            .build()
            .start();
    System.out.println(server.getPort());
    while (System.in.read() >= 0) {
      continue;
    }
    server.shutdownNow();
  }

  private static final class Answers
      extends TextGenerationServiceGrpc.TextGenerationServiceImplBase {
    private static final CountTokensResponse COUNT =
        CountTokensResponse.newBuilder().setTokenCount(5).build();

    @Override
    public void countTokens(
        CountTokensRequest request, StreamObserver<CountTokensResponse> answer) {
      answer.onNext(COUNT);
      answer.onCompleted();
    }

    /** Sends as many tokens as the prompt says, then completes. */
    @Override
    public void streamGenerate(
        StreamGenerateRequest request, StreamObserver<StreamGenerateResponse> answer) {
      int numTokens = Integer.parseInt(request.getInput().getText());
      ContentDelta token = ContentDelta.newBuilder().setText(" word").setTokenCount(1).build();
      for (int i = 0; i < numTokens; i++) {
        answer.onNext(StreamGenerateResponse.newBuilder().setSequence(i).setDelta(token).build());
      }
      answer.onNext(
          StreamGenerateResponse.newBuilder()
              .setSequence(numTokens)
              .setCompleted(GenerationCompleted.getDefaultInstance())
              .build());
      answer.onCompleted();
    }
  }
}
