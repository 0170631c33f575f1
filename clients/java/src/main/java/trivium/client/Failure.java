package trivium.client;

/**
 * A failed call: what its caller is told, and what only the retry policy must know.
 *
 * @param pushback what the trailing metadata grpc-retry-pushback-ms says; null where it is absent
 * @param isLasting another attempt would meet the same
 */
record Failure(TriviumException error, Attempts.Pushback pushback, boolean isLasting) {}
