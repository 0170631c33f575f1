package trivium.client;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** The settings of a client; from {@link TriviumClient#builder()}. Not thread-safe. */
public final class TriviumClientBuilder {
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

  TriviumClientBuilder() {}

  /**
   * Says where the server is. Default: {@code $TRIVIUM_TARGET}, else 127.0.0.1:50051.
   *
   * @param address {@code host:port}, {@code http://host:port}, {@code https://host[:port]}, or a
   *     target of gRPC's own: {@code dns:///…}, {@code unix:…}
   * @return this
   */
  public TriviumClientBuilder target(String address) {
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
  public TriviumClientBuilder tls(boolean isOn) {
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
  public TriviumClientBuilder tls(Tls certificates) {
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
  public TriviumClientBuilder token(String bearer) {
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
  public TriviumClientBuilder metadata(String key, String value) {
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
  public TriviumClientBuilder metadata(String key, byte[] value) {
    MetadataRules.put(metadata, key, value);
    return this;
  }

  /**
   * Limits how long a call with one response may take, over all its attempts. Default: 60 s.
   *
   * @param limit more than 0
   * @return this
   */
  public TriviumClientBuilder timeout(Duration limit) {
    timeout = CallSettings.checkedLimit("timeout", limit);
    return this;
  }

  /**
   * Limits how long a stream may bring no message before it fails. Default: 60 s. It does not count
   * while nobody reads, nor in a stream both ways between the first message of the server and
   * halfClose(), nor for watchModels() and loadModel(), which may be silent for long.
   *
   * @param limit more than 0; {@code ChronoUnit.FOREVER.getDuration()} switches the limit off
   * @return this
   */
  public TriviumClientBuilder idleTimeout(Duration limit) {
    idleTimeout = CallSettings.checkedLimit("idleTimeout", limit);
    return this;
  }

  /**
   * Limits the size of messages both ways. Default: 16 MiB, as the server's.
   *
   * @param numBytes at least 1
   * @return this
   */
  public TriviumClientBuilder maxMessageBytes(int numBytes) {
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
  public TriviumClientBuilder retry(RetryPolicy policy) {
    retry = policy;
    return this;
  }

  /**
   * Changes gRPC's own settings, after those of the SDK were made.
   *
   * @param change called once by build()
   * @return this
   */
  public TriviumClientBuilder channel(Consumer<ManagedChannelBuilder<?>> change) {
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
    ChannelCredentials credentials = isOn ? tls.credentials() : InsecureChannelCredentials.create();
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
