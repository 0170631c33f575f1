package trivium.bench;

import com.google.gson.JsonObject;
import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Arrays;

/** One of the two ways that are compared: how long each of its operations took. */
final class Side {
  private static final OperatingSystemMXBean PROCESS =
      ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);

  private final long[] nanos;
  private int numTimes;
  private long cpuNanos;
  private long wallNanos;

  Side(int capacity) {
    nanos = new long[capacity];
  }

  void add(long time) {
    nanos[numTimes++] = time;
  }

  /** Runs a block of operations and adds up what it cost. */
  void block(Runnable operations) {
    long cpu = PROCESS.getProcessCpuTime();
    long wall = System.nanoTime();
    operations.run();
    wallNanos += System.nanoTime() - wall;
    cpuNanos += PROCESS.getProcessCpuTime() - cpu;
  }

  /** Times in microseconds, per operation. */
  JsonObject times() {
    long[] sorted = Arrays.copyOf(nanos, numTimes);
    Arrays.sort(sorted);
    JsonObject told = totals(numTimes);
    told.addProperty("p50_us", micros(sorted[numTimes / 2]));
    told.addProperty("p99_us", micros(sorted[(int) (numTimes * 0.99)]));
    return told;
  }

  /** What all blocks cost, for so many operations. */
  JsonObject totals(long numOperations) {
    JsonObject told = new JsonObject();
    told.addProperty("cpu_us", micros(cpuNanos / (double) numOperations));
    told.addProperty("per_s", Math.round(numOperations / (wallNanos / 1e9)));
    return told;
  }

  private static double micros(double nanoseconds) {
    return Math.round(nanoseconds / 10) / 100.0;
  }
}
