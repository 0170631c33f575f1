package trivium.bench;

import com.google.gson.JsonObject;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.Stream;
import trivium.client.TriviumClient;
import trivium.v1.CountTokensRequest;
import trivium.v1.GenerationInput;
import trivium.v1.StreamGenerateRequest;
import trivium.v1.StreamGenerateResponse;
import trivium.v1.TextGenerationServiceGrpc;
import trivium.v1.TextGenerationServiceGrpc.TextGenerationServiceBlockingStub;

/**
 * What the client costs beside the bare generated stub, against a server in another process. Both
 * take turns, a round each; figures are medians over the rounds. Prints one line of JSON.
 */
public final class Bench {
  private static final int ROUNDS = 5;
  private static final int CALLS = 2000;
  private static final int TOKENS = 2000;
  private static final int STREAMS_IN_TURN = 20;
  private static final int STREAMS_AT_ONCE = 64;

  private final TriviumClient client;
  private final TextGenerationServiceBlockingStub stub;

  private Bench(TriviumClient client, ManagedChannel bare) {
    this.client = client;
    this.stub = TextGenerationServiceGrpc.newBlockingStub(bare);
  }

  public static void main(String[] arguments) throws IOException {
    Process server =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                BenchServer.class.getName())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try (var output =
        new BufferedReader(
            new InputStreamReader(server.getInputStream(), StandardCharsets.UTF_8))) {
      String target = "127.0.0.1:" + output.readLine();
      ManagedChannel bare =
          Grpc.newChannelBuilder(target, InsecureChannelCredentials.create())
              .disableRetry()
              .build();
      try (TriviumClient client = TriviumClient.builder().target(target).build()) {
        System.out.println(new Bench(client, bare).measure());
      } finally {
        bare.shutdownNow();
      }
    } finally {
      server.destroy();
    }
  }

  private JsonObject measure() {
    JsonObject told = new JsonObject();
    told.addProperty("language", "java");
    String grpc = ManagedChannel.class.getPackage().getImplementationVersion();
    told.addProperty("runtime", "java " + Runtime.version() + ", grpc-java " + grpc);
    told.addProperty("rounds", ROUNDS);
    CountTokensRequest request =
        CountTokensRequest.newBuilder()
            .setInput(GenerationInput.newBuilder().setModel("m").setText("Good morning."))
            .build();
    told.add(
        "unary_call",
        compare(
            () -> calls(() -> stub.withDeadlineAfter(60, TimeUnit.SECONDS).countTokens(request)),
            () -> calls(() -> client.text().countTokens(request))));
    told.add("streamed_token", compare(() -> inTurn(this::ofStub), () -> inTurn(this::ofSdk)));
    told.add(
        "streamed_token_64_at_once",
        compare(() -> atOnce(this::ofStub), () -> atOnce(this::ofSdk)));
    return told;
  }

  private static JsonObject compare(Figures.Work ofStub, Figures.Work ofSdk) {
    Figures.of(ofStub); // a round of each to warm up
    Figures.of(ofSdk);
    Figures[] stubs = new Figures[ROUNDS];
    Figures[] sdks = new Figures[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
      stubs[i] = Figures.of(ofStub);
      sdks[i] = Figures.of(ofSdk);
    }
    JsonObject told = new JsonObject();
    told.add("stub", Figures.medians(stubs));
    told.add("sdk", Figures.medians(sdks));
    return told;
  }

  private static long[] calls(Runnable call) {
    long[] times = new long[CALLS];
    for (int i = 0; i < CALLS; i++) {
      long begin = System.nanoTime();
      call.run();
      times[i] = System.nanoTime() - begin;
    }
    return times;
  }

  private long[] ofStub() {
    return read(stub.streamGenerate(request(TOKENS)));
  }

  private long[] ofSdk() {
    try (var stream = client.text().streamGenerate(request(TOKENS))) {
      return read(stream);
    }
  }

  /** Returns the time before each event. */
  private static long[] read(Iterator<StreamGenerateResponse> events) {
    long[] times = new long[TOKENS + 1];
    long begin = System.nanoTime();
    for (int i = 0; i < times.length; i++) {
      events.next();
      long now = System.nanoTime();
      times[i] = now - begin;
      begin = now;
    }
    if (events.hasNext()) {
      throw new IllegalStateException("more events came than were asked for");
    }
    return times;
  }

  private static long[] inTurn(Supplier<long[]> stream) {
    return Stream.generate(stream).limit(STREAMS_IN_TURN).flatMapToLong(Arrays::stream).toArray();
  }

  private static long[] atOnce(Supplier<long[]> stream) {
    ExecutorService threads = Executors.newFixedThreadPool(STREAMS_AT_ONCE);
    try {
      List<Callable<long[]>> streams = Collections.nCopies(STREAMS_AT_ONCE, stream::get);
      return threads.invokeAll(streams).stream()
          .flatMapToLong(done -> Arrays.stream(result(done)))
          .toArray();
    } catch (InterruptedException e) {
      throw new IllegalStateException("nobody interrupts the benchmark", e);
    } finally {
      threads.shutdown();
    }
  }

  private static long[] result(Future<long[]> done) {
    try {
      return done.get();
    } catch (InterruptedException | ExecutionException e) {
      throw new IllegalStateException("a stream failed", e);
    }
  }

  private static StreamGenerateRequest request(int numTokens) {
    return StreamGenerateRequest.newBuilder()
        .setInput(GenerationInput.newBuilder().setModel("m").setText(Integer.toString(numTokens)))
        .build();
  }
}
