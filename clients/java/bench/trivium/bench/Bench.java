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
import java.util.Iterator;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import trivium.client.TriviumClient;
import trivium.v1.CountTokensRequest;
import trivium.v1.GenerationInput;
import trivium.v1.StreamGenerateRequest;
import trivium.v1.StreamGenerateResponse;
import trivium.v1.TextGenerationServiceGrpc;
import trivium.v1.TextGenerationServiceGrpc.TextGenerationServiceBlockingStub;

/**
 * What the client costs beside the bare generated stub, against a server in another process. Both
 * take turns in short blocks. Prints one line of JSON; `cpu_us` is of this process alone.
 */
public final class Bench {
  private static final int WARM_UP_BLOCKS = 10;
  private static final int BLOCKS = 40;
  private static final int CALLS = 250;
  private static final int TOKENS = 2000;
  private static final int STREAMS = 64;
  private static final int STREAM_ROUNDS = 10;

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
    told.add("count_tokens", unary());
    told.add("token_of_a_stream", tokens());
    told.add("token_of_64_streams", streams());
    return told;
  }

  private JsonObject unary() {
    CountTokensRequest request =
        CountTokensRequest.newBuilder()
            .setInput(GenerationInput.newBuilder().setModel("m").setText("Good morning."))
            .build();
    Runnable bare =
        () -> stub.withDeadlineAfter(60, TimeUnit.SECONDS).countTokens(request).getTokenCount();
    Runnable sdk = () -> client.text().countTokens(request).getTokenCount();
    return compare(BLOCKS * CALLS, side -> calls(side, bare), side -> calls(side, sdk));
  }

  private static Runnable calls(Side side, Runnable call) {
    return () -> {
      for (int i = 0; i < CALLS; i++) {
        long begin = System.nanoTime();
        call.run();
        side.add(System.nanoTime() - begin);
      }
    };
  }

  private JsonObject tokens() {
    return compare(
        BLOCKS * (TOKENS + 1),
        side -> () -> read(side, stub.streamGenerate(request(TOKENS))),
        side ->
            () -> {
              try (var stream = client.text().streamGenerate(request(TOKENS))) {
                read(side, stream);
              }
            });
  }

  private static void read(Side side, Iterator<StreamGenerateResponse> events) {
    long begin = System.nanoTime();
    while (events.hasNext()) {
      events.next();
      long now = System.nanoTime();
      side.add(now - begin);
      begin = now;
    }
  }

  private static JsonObject compare(
      int capacity, Function<Side, Runnable> bare, Function<Side, Runnable> sdk) {
    int warmUp = capacity / BLOCKS * WARM_UP_BLOCKS;
    Side coldBare = new Side(warmUp);
    Side coldSdk = new Side(warmUp);
    for (int i = 0; i < WARM_UP_BLOCKS; i++) {
      coldBare.block(bare.apply(coldBare));
      coldSdk.block(sdk.apply(coldSdk));
    }
    Side hotBare = new Side(capacity);
    Side hotSdk = new Side(capacity);
    for (int i = 0; i < BLOCKS; i++) {
      hotBare.block(bare.apply(hotBare));
      hotSdk.block(sdk.apply(hotSdk));
    }
    JsonObject told = new JsonObject();
    told.add("bare", hotBare.times());
    told.add("sdk", hotSdk.times());
    return told;
  }

  private JsonObject streams() {
    Side bare = new Side(0);
    Side sdk = new Side(0);
    for (int i = 0; i < STREAM_ROUNDS; i++) {
      bare.block(() -> together(() -> drain(stub.streamGenerate(request(TOKENS)))));
      sdk.block(() -> together(this::drainStream));
    }
    long numTokens = (long) STREAM_ROUNDS * STREAMS * (TOKENS + 1);
    JsonObject told = new JsonObject();
    told.add("bare", bare.totals(numTokens));
    told.add("sdk", sdk.totals(numTokens));
    return told;
  }

  private void drainStream() {
    try (var stream = client.text().streamGenerate(request(TOKENS))) {
      drain(stream);
    }
  }

  private static void drain(Iterator<StreamGenerateResponse> events) {
    int numEvents = 0;
    while (events.hasNext()) {
      events.next();
      numEvents++;
    }
    if (numEvents != TOKENS + 1) {
      throw new IllegalStateException(numEvents + " events came");
    }
  }

  private static void together(Runnable read) {
    Thread[] threads = new Thread[STREAMS];
    for (int i = 0; i < STREAMS; i++) {
      threads[i] = new Thread(read);
      threads[i].start();
    }
    try {
      for (Thread thread : threads) {
        thread.join();
      }
    } catch (InterruptedException e) {
      throw new IllegalStateException("nobody interrupts the benchmark", e);
    }
  }

  private static StreamGenerateRequest request(int numTokens) {
    return StreamGenerateRequest.newBuilder()
        .setInput(GenerationInput.newBuilder().setModel("m").setText(Integer.toString(numTokens)))
        .build();
  }
}
