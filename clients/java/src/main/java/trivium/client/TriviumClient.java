package trivium.client;

import io.grpc.Channel;

/**
 * A connection to a Trivium server. Thread-safe; make one and share it. Connects at the first call.
 *
 * <p>Methods with the name of an RPC wait for its response, those that end in {@code Async} return
 * a future, and those that begin with {@code stream} return the messages as they come. All throw,
 * or fail with, {@link TriviumException}; an argument that cannot be sent is an {@link
 * IllegalArgumentException}.
 */
public final class TriviumClient implements AutoCloseable {
  private final Connection connection;
  private final Calls calls;

  TriviumClient(Connection connection) {
    this.connection = connection;
    this.calls = new Calls(connection, CallSettings.DEFAULT);
  }

  /**
   * Connects to {@code $TRIVIUM_TARGET}, else to 127.0.0.1:50051, with all settings as they are by
   * default.
   *
   * @return the client; to be closed
   */
  public static TriviumClient create() {
    return builder().build();
  }

  /**
   * Begins a client with settings of its own.
   *
   * @return the settings
   */
  public static TriviumClientBuilder builder() {
    return new TriviumClientBuilder();
  }

  /**
   * Returns the calls that generate text.
   *
   * @return TextGenerationService
   */
  public Text text() {
    return new Text(calls);
  }

  /**
   * Returns the calls that embed, rank and compare texts.
   *
   * @return EmbeddingService
   */
  public Embeddings embeddings() {
    return new Embeddings(calls);
  }

  /**
   * Returns the calls that classify texts, find entities and detect languages.
   *
   * @return TextAnalysisService
   */
  public Analysis analysis() {
    return new Analysis(calls);
  }

  /**
   * Returns the calls that look at images.
   *
   * @return VisionService
   */
  public Vision vision() {
    return new Vision(calls);
  }

  /**
   * Returns the calls that hear and speak.
   *
   * @return SpeechRecognitionService and SpeechSynthesisService
   */
  public Speech speech() {
    return new Speech(calls);
  }

  /**
   * Returns the calls that tell which models there are.
   *
   * @return ModelService
   */
  public Models models() {
    return new Models(calls);
  }

  /**
   * Returns the calls that operate the server.
   *
   * @return AdminService
   */
  public Admin admin() {
    return new Admin(calls);
  }

  /**
   * Returns the calls that ask whether the server takes calls.
   *
   * @return grpc.health.v1.Health
   */
  public Health health() {
    return new Health(calls);
  }

  /**
   * Returns calls of any method.
   *
   * @return calls by descriptor
   */
  public Calls calls() {
    return calls;
  }

  /**
   * Returns the channel for generated stubs, with the same manners as every call of this client.
   * Its errors are gRPC's own, with the {@link TriviumException} as their cause.
   *
   * @return the channel, which this client closes
   */
  public Channel channel() {
    return connection;
  }

  /** Ends all calls, which fail with kind CANCELLED, and closes the connection. */
  @Override
  public void close() {
    connection.close();
  }

  /** Names the server, and no token. */
  @Override
  public String toString() {
    return "TriviumClient[" + connection.settings().target().address() + "]";
  }
}
