package trivium.client;

import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

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

  private TriviumClient(Connection connection) {
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
  public static Builder builder() {
    return new Builder();
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

  /** The settings of a client. Not thread-safe. */
  public static final class Builder {
    private static final Duration DEFAULT_LIMIT = Duration.ofSeconds(60);
    private static final int DEFAULT_MESSAGE_BYTES = 16 * 1024 * 1024;
    private static final int KEEPALIVE_SECONDS = 60; // a server takes more frequent pings for abuse
    private static final int KEEPALIVE_ANSWER_SECONDS = 20;

    private final Metadata metadata = new Metadata();
    private String target = Target.ofEnvironment();
    private Boolean isEncrypted;
    private Tls tls = Tls.systemRoots();
    private String token;
    private Duration timeout = DEFAULT_LIMIT;
    private Duration idleTimeout = DEFAULT_LIMIT;
    private int maxMessageBytes = DEFAULT_MESSAGE_BYTES;
    private RetryPolicy retry = RetryPolicy.DEFAULT;
    private Consumer<ManagedChannelBuilder<?>> more = builder -> {};

    private Builder() {}

    /**
     * Says where the server is. Default: {@code $TRIVIUM_TARGET}, else 127.0.0.1:50051.
     *
     * @param address {@code host:port}, {@code http://host:port}, {@code https://host[:port]}, or a
     *     target of gRPC's own: {@code dns:///…}, {@code unix:…}
     * @return this
     */
    public Builder target(String address) {
      Target.parse(address);
      target = address;
      return this;
    }

    /**
     * Switches TLS on or off. Default: as a URL's scheme says; else off for loopback addresses and
     * Unix sockets, and on for any other.
     *
     * @param isOn whether the connection is encrypted
     * @return this
     */
    public Builder tls(boolean isOn) {
      isEncrypted = isOn;
      tls = Tls.systemRoots();
      return this;
    }

    /**
     * Switches TLS on.
     *
     * @param certificates which certificates to trust and to show
     * @return this
     */
    public Builder tls(Tls certificates) {
      isEncrypted = true;
      tls = certificates;
      return this;
    }

    /**
     * Authenticates every call with a bearer token. Default: none.
     *
     * @param bearer printable ASCII without blanks
     * @return this
     */
    public Builder token(String bearer) {
      token = MetadataRules.checkedToken(bearer);
      return this;
    }

    /**
     * Sends a text with every call.
     *
     * @param key in any case; not one that the SDK or gRPC sets
     * @param value printable ASCII
     * @return this
     */
    public Builder metadata(String key, String value) {
      MetadataRules.put(metadata, key, value);
      return this;
    }

    /**
     * Sends bytes with every call.
     *
     * @param key ends in {@code -bin}
     * @param value any bytes
     * @return this
     */
    public Builder metadata(String key, byte[] value) {
      MetadataRules.put(metadata, key, value);
      return this;
    }

    /**
     * Limits how long a call with one response may take, over all its attempts. Default: 60 s.
     *
     * @param limit more than 0
     * @return this
     */
    public Builder timeout(Duration limit) {
      timeout = CallSettings.checkedLimit("timeout", limit);
      return this;
    }

    /**
     * Limits how long a stream may bring no message before it fails. Default: 60 s.
     *
     * @param limit more than 0; {@code ChronoUnit.FOREVER.getDuration()} switches the limit off
     * @return this
     */
    public Builder idleTimeout(Duration limit) {
      idleTimeout = CallSettings.checkedLimit("idleTimeout", limit);
      return this;
    }

    /**
     * Limits the size of messages both ways. Default: 16 MiB, as the server's.
     *
     * @param numBytes at least 1
     * @return this
     */
    public Builder maxMessageBytes(int numBytes) {
      if (numBytes < 1) {
        throw new IllegalArgumentException("maxMessageBytes is " + numBytes + "; it is at least 1");
      }
      maxMessageBytes = numBytes;
      return this;
    }

    /**
     * Says how often failed calls are sent again. Default: {@link RetryPolicy#DEFAULT}.
     *
     * @param policy the policy
     * @return this
     */
    public Builder retry(RetryPolicy policy) {
      retry = policy;
      return this;
    }

    /**
     * Changes gRPC's own settings, after those of the SDK were made.
     *
     * @param change called once by build()
     * @return this
     */
    public Builder channel(Consumer<ManagedChannelBuilder<?>> change) {
      more = change;
      return this;
    }

    /**
     * Makes the client. Does not connect yet.
     *
     * @return the client; to be closed
     * @throws IllegalArgumentException where settings contradict each other or a certificate cannot
     *     be read
     */
    public TriviumClient build() {
      Target parsed = Target.parse(target);
      Boolean ofUrl = parsed.isEncrypted();
      if (ofUrl != null && isEncrypted != null && !ofUrl.equals(isEncrypted)) {
        throw new IllegalArgumentException(
            "the URL and tls contradict each other; give " + parsed.address() + " as target");
      }
      boolean isOn = !parsed.isLocal();
      if (ofUrl != null || isEncrypted != null) {
        isOn = Boolean.TRUE.equals(ofUrl) || Boolean.TRUE.equals(isEncrypted);
      }
      ClientSettings settings =
          new ClientSettings(
              parsed,
              ClientSettings.withOwn(metadata, token),
              timeout,
              idleTimeout,
              maxMessageBytes,
              retry);
      return new TriviumClient(new Connection(channelTo(parsed, isOn).build(), settings));
    }

    private ManagedChannelBuilder<?> channelTo(Target parsed, boolean isOn) {
      ChannelCredentials credentials =
          isOn ? tls.credentials() : InsecureChannelCredentials.create();
      ManagedChannelBuilder<?> builder =
          Grpc.newChannelBuilder(parsed.address(), credentials)
              .disableRetry()
              .maxInboundMessageSize(maxMessageBytes)
              .userAgent("trivium-java/" + ClientSettings.VERSION)
              .keepAliveTime(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
              .keepAliveTimeout(KEEPALIVE_ANSWER_SECONDS, TimeUnit.SECONDS)
              .keepAliveWithoutCalls(false)
              .defaultLoadBalancingPolicy(parsed.balancer());
      if (isOn && tls.serverName() != null) {
        builder.overrideAuthority(tls.serverName());
      }
      more.accept(builder);
      return builder;
    }
  }
}
