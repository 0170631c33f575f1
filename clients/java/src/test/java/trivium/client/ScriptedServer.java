package trivium.client;

import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.logging.Level;
import java.util.logging.Logger;
import trivium.v1.ContentDelta;
import trivium.v1.CountTokensRequest;
import trivium.v1.CountTokensResponse;
import trivium.v1.EmbeddingServiceGrpc;
import trivium.v1.GenerationCompleted;
import trivium.v1.StreamEmbedRequest;
import trivium.v1.StreamEmbedResponse;
import trivium.v1.StreamGenerateRequest;
import trivium.v1.StreamGenerateResponse;
import trivium.v1.TextGenerationServiceGrpc;

/** A real gRPC server on a free port whose answers a test writes: one act for each call in turn. */
final class ScriptedServer implements AutoCloseable {
  static final long PATIENCE_S = 10;

  /** Of the server, which would tell of every client that speaks TLS to it. */
  private static final Logger LOG =
      Logger.getLogger("io.grpc.netty.shaded.io.grpc.netty.NettyServerTransport");

  static {
    LOG.setLevel(Level.WARNING);
  }

  /** What one call does; the last act of a script serves all further calls. */
  interface Act<Q, R> extends BiConsumer<Q, ServerCallStreamObserver<R>> {}

  private final Server server;
  private final List<Metadata> headers = new CopyOnWriteArrayList<>();
  private final CountDownLatch cancelled = new CountDownLatch(1);

  private ScriptedServer(int port, TextService text, EmbedService embed) {
    ServerInterceptor record =
        new ServerInterceptor() {
          @Override
          public <Q, R> ServerCall.Listener<Q> interceptCall(
              ServerCall<Q, R> call, Metadata received, ServerCallHandler<Q, R> next) {
            headers.add(received);
            return next.startCall(call, received);
          }
        };
    text.server = this;
    try {
      server =
          Grpc.newServerBuilderForPort(port, InsecureServerCredentials.create())
              .addService(ServerInterceptors.intercept(text, record))
              .addService(ServerInterceptors.intercept(embed, record))
              .build()
              .start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @SafeVarargs
  static ScriptedServer counting(Act<CountTokensRequest, CountTokensResponse>... acts) {
    return countingOn(0, acts);
  }

  @SafeVarargs
  static ScriptedServer countingOn(int port, Act<CountTokensRequest, CountTokensResponse>... acts) {
    return new ScriptedServer(port, new TextService(List.of(acts), List.of()), new EmbedService());
  }

  @SafeVarargs
  static ScriptedServer generating(Act<StreamGenerateRequest, StreamGenerateResponse>... acts) {
    return new ScriptedServer(0, new TextService(List.of(), List.of(acts)), new EmbedService());
  }

  /** Answers each request of StreamEmbed at once, and completes when the caller half-closes. */
  static ScriptedServer embedding() {
    return new ScriptedServer(0, new TextService(List.of(), List.of()), new EmbedService());
  }

  /** Sends these messages and ends the call with OK. */
  @SafeVarargs
  static <Q, R> Act<Q, R> replies(R... responses) {
    return (request, answer) -> {
      for (R response : responses) {
        answer.onNext(response);
      }
      answer.onCompleted();
    };
  }

  static <Q, R> Act<Q, R> fails(Status.Code code) {
    return fails(code.toStatus().asRuntimeException());
  }

  static <Q, R> Act<Q, R> fails(StatusRuntimeException error) {
    return (request, answer) -> answer.onError(error);
  }

  /** Sends these messages, then nothing. */
  @SafeVarargs
  static <Q, R> Act<Q, R> hangs(R... responses) {
    return (request, answer) -> List.of(responses).forEach(answer::onNext);
  }

  static StreamGenerateResponse delta(long sequence, String text) {
    return StreamGenerateResponse.newBuilder()
        .setSequence(sequence)
        .setDelta(ContentDelta.newBuilder().setText(text))
        .build();
  }

  static StreamGenerateResponse completed(long sequence) {
    return StreamGenerateResponse.newBuilder()
        .setSequence(sequence)
        .setCompleted(GenerationCompleted.getDefaultInstance())
        .build();
  }

  static CountTokensResponse tokens(long count) {
    return CountTokensResponse.newBuilder().setTokenCount(count).build();
  }

  String target() {
    return "127.0.0.1:" + server.getPort();
  }

  int port() {
    return server.getPort();
  }

  TriviumClient client() {
    return TriviumClient.builder().target(target()).build();
  }

  int numCalls() {
    return headers.size();
  }

  /** Returns what a call in turn was sent with. */
  String header(int call, String key) {
    return headers.get(call).get(Metadata.Key.of(key, Metadata.ASCII_STRING_MARSHALLER));
  }

  /** Waits until a call was cancelled by its client. */
  boolean sawCancel() throws InterruptedException {
    return cancelled.await(PATIENCE_S, TimeUnit.SECONDS);
  }

  @Override
  public void close() {
    server.shutdownNow();
    try {
      server.awaitTermination(PATIENCE_S, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static final class TextService
      extends TextGenerationServiceGrpc.TextGenerationServiceImplBase {
    private final List<Act<CountTokensRequest, CountTokensResponse>> counts;
    private final List<Act<StreamGenerateRequest, StreamGenerateResponse>> streams;
    private ScriptedServer server;

    TextService(
        List<Act<CountTokensRequest, CountTokensResponse>> counts,
        List<Act<StreamGenerateRequest, StreamGenerateResponse>> streams) {
      this.counts = counts;
      this.streams = streams;
    }

    @Override
    public void countTokens(
        CountTokensRequest request, StreamObserver<CountTokensResponse> answer) {
      act(counts, request, answer);
    }

    @Override
    public void streamGenerate(
        StreamGenerateRequest request, StreamObserver<StreamGenerateResponse> answer) {
      act(streams, request, answer);
    }

    private <Q, R> void act(List<Act<Q, R>> acts, Q request, StreamObserver<R> answer) {
      var call = (ServerCallStreamObserver<R>) answer;
      call.setOnCancelHandler(server.cancelled::countDown);
      acts.get(Math.min(server.numCalls(), acts.size()) - 1).accept(request, call);
    }
  }

  private static final class EmbedService extends EmbeddingServiceGrpc.EmbeddingServiceImplBase {
    @Override
    public StreamObserver<StreamEmbedRequest> streamEmbed(
        StreamObserver<StreamEmbedResponse> answer) {
      return new StreamObserver<>() {
        private long sequence;

        @Override
        public void onNext(StreamEmbedRequest request) {
          answer.onNext(StreamEmbedResponse.newBuilder().setSequence(sequence++).build());
        }

        @Override
        public void onError(Throwable thrown) {}

        @Override
        public void onCompleted() {
          var last = StreamEmbedResponse.newBuilder().setSequence(sequence);
          last.getCompletedBuilder().setSucceededCount(sequence);
          answer.onNext(last.build());
          answer.onCompleted();
        }
      };
    }
  }
}
