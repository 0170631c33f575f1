package trivium.bench;

import com.google.gson.JsonObject;
import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.function.ToDoubleFunction;

/** What the operations of one round took, each, in microseconds; cpu is of this whole process. */
record Figures(double p50, double p99, double cpu) {
  private static final OperatingSystemMXBean PROCESS =
      ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);

  /** Operations that a round is made of. */
  interface Work {
    /** Returns the time of each operation in nanoseconds. */
    long[] run();
  }

  /** Runs one round. */
  static Figures of(Work work) {
    long cpu = PROCESS.getProcessCpuTime();
    long[] times = work.run();
    double cpuOfEach = (PROCESS.getProcessCpuTime() - cpu) / (double) times.length;
    Arrays.sort(times);
    return new Figures(
        times[times.length / 2] / 1e3, times[(int) (times.length * 0.99)] / 1e3, cpuOfEach / 1e3);
  }

  /** Returns the median of each figure over all rounds. */
  static JsonObject medians(Figures[] rounds) {
    JsonObject told = new JsonObject();
    told.addProperty("p50_us", median(rounds, Figures::p50));
    told.addProperty("p99_us", median(rounds, Figures::p99));
    told.addProperty("cpu_us", median(rounds, Figures::cpu));
    return told;
  }

  private static double median(Figures[] rounds, ToDoubleFunction<Figures> figure) {
    double[] sorted = Arrays.stream(rounds).mapToDouble(figure).sorted().toArray();
    return Math.round(sorted[sorted.length / 2] * 100) / 100.0;
  }
}
