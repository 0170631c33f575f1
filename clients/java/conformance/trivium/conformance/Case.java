package trivium.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import io.grpc.Context;
import io.grpc.MethodDescriptor;
import java.io.ByteArrayInputStream;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import trivium.client.DuplexStream;
import trivium.client.EventStream;
import trivium.client.GenerationStream;
import trivium.client.ResponseFuture;
import trivium.client.TriviumClient;
import trivium.client.TriviumException;
import trivium.v1.StreamGenerateRequest;

/** One case: a client, a call, and what its caller does meanwhile. */
final class Case {
  private final JsonObject client;
  private final JsonObject call;
  private final JsonObject act;
  private final Report report;

  Case(JsonObject given, Report report) {
    this.client = given.getAsJsonObject("client");
    this.call = given.getAsJsonObject("call");
    this.act = Settings.object(given, "act");
    this.report = report;
  }

  void run() {
    report.begin();
    ScheduledExecutorService beside = Executors.newSingleThreadScheduledExecutor();
    try (TriviumClient made = Settings.client(client);
        Context.CancellableContext context = Context.current().withCancellation()) {
      if (act.has("cancel_before")) {
        context.cancel(null);
      }
      context.run(() -> make(made, beside));
    } finally {
      beside.shutdownNow();
    }
  }

  private void make(TriviumClient made, ScheduledExecutorService beside) {
    MethodDescriptor<Message, Message> method = Methods.find(call.get("method").getAsString());
    List<Message> requests = requests(method);
    report.begin();
    try {
      if (method.getType().serverSendsOneMessage()) {
        one(made, method, requests.get(0), beside);
      } else {
        many(made, method, requests, beside);
      }
    } catch (TriviumException e) {
      report.failed(e);
    }
  }

  private void one(
      TriviumClient made,
      MethodDescriptor<Message, Message> method,
      Message request,
      ScheduledExecutorService beside) {
    ResponseFuture<Message> future =
        made.calls().with(Settings.call(call)).sendAsync(method, request);
    report.requestId(future.requestId());
    cancelLater(beside, () -> future.cancel(true));
    report.response(future.await());
  }

  private void many(
      TriviumClient made,
      MethodDescriptor<Message, Message> method,
      List<Message> requests,
      ScheduledExecutorService beside) {
    CountDownLatch mayHalfClose = new CountDownLatch(act.has("half_close") ? 1 : 0);
    try (EventStream<? extends Message> stream = open(made, method, requests, mayHalfClose)) {
      report.requestId(stream.requestId());
      cancelLater(beside, stream::close);
      try {
        read(stream, mayHalfClose);
      } finally {
        if (stream instanceof GenerationStream generation) {
          report.text(generation.text());
        }
      }
    }
  }

  private EventStream<? extends Message> open(
      TriviumClient made,
      MethodDescriptor<Message, Message> method,
      List<Message> requests,
      CountDownLatch mayHalfClose) {
    var calls = made.calls().with(Settings.call(call));
    if (!method.getType().clientSendsOneMessage()) {
      DuplexStream<Message, Message> stream = calls.duplex(method);
      Thread sender = new Thread(() -> send(stream, requests, mayHalfClose));
      sender.setDaemon(true);
      sender.start();
      return stream;
    }
    if (requests.get(0) instanceof StreamGenerateRequest request) {
      return made.text().with(Settings.call(call)).streamGenerate(request);
    }
    return calls.stream(method, requests.get(0));
  }

  private static void send(
      DuplexStream<Message, Message> stream, List<Message> requests, CountDownLatch mayHalfClose) {
    try {
      for (Message request : requests) {
        if (!stream.send(request)) {
          return;
        }
      }
      mayHalfClose.await();
      stream.halfClose();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void read(EventStream<? extends Message> stream, CountDownLatch mayHalfClose) {
    int numRead = 0;
    while (true) {
      pause();
      if (!stream.hasNext()) {
        return;
      }
      Message message = stream.next();
      report.response(message);
      numRead++;
      if (isGoAway(message)) {
        mayHalfClose.countDown();
      }
      if (act.has("stop_after_messages") && act.get("stop_after_messages").getAsInt() == numRead) {
        return;
      }
      if (act.has("cancel_after_messages")
          && act.get("cancel_after_messages").getAsInt() == numRead) {
        stream.close();
      }
    }
  }

  private static boolean isGoAway(Message message) {
    var field = message.getDescriptorForType().findFieldByName("go_away");
    return field != null && message.hasField(field);
  }

  private void pause() {
    if (act.has("read_pause_s")) {
      try {
        TimeUnit.NANOSECONDS.sleep(Settings.seconds(act, "read_pause_s").toNanos());
      } catch (InterruptedException e) {
        throw new IllegalStateException("nobody interrupts the runner", e);
      }
    }
  }

  private void cancelLater(ScheduledExecutorService beside, Runnable cancel) {
    if (act.has("cancel_after_s")) {
      long nanos = Settings.seconds(act, "cancel_after_s").toNanos();
      beside.schedule(cancel, nanos, TimeUnit.NANOSECONDS);
    }
  }

  private List<Message> requests(MethodDescriptor<Message, Message> method) {
    List<Message> requests = new ArrayList<>();
    for (JsonElement packed : call.getAsJsonArray("requests")) {
      byte[] bytes = Base64.getDecoder().decode(packed.getAsString());
      requests.add(method.parseRequest(new ByteArrayInputStream(bytes)));
    }
    return requests;
  }
}
