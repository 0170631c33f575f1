import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  LoadModelResponseSchema,
  ModelState,
  StreamGenerateResponseSchema,
  StreamRecognizeResponseSchema,
  TriviumClient,
  type TriviumClientOptions,
  TriviumError,
  WatchModelsResponseSchema,
} from "@trivium/client";
import { type Script, type ScriptedCall, ScriptedServer } from "./scripted-server.js";

const CANCEL = 8; // of HTTP/2
const MODEL = { model: "m" };

async function served(
  script: Script,
  use: (client: TriviumClient, server: ScriptedServer) => Promise<void>,
  options: TriviumClientOptions = {},
): Promise<void> {
  const server = await ScriptedServer.start(script);
  const client = new TriviumClient({ target: server.target, retry: { initialBackoffMs: 5 }, ...options });
  try {
    await use(client, server);
  } finally {
    client.close();
    await server.close();
  }
}

/** Reads a stream to its end. */
async function read<T>(stream: AsyncIterable<T>): Promise<{ messages: T[]; error: TriviumError | undefined }> {
  const messages: T[] = [];
  try {
    for await (const message of stream) {
      messages.push(message);
    }
  } catch (error) {
    assert.ok(error instanceof TriviumError, String(error));
    return { messages, error };
  }
  return { messages, error: undefined };
}

function sendText(call: ScriptedCall, sequence: number, text: string): void {
  call.send(StreamGenerateResponseSchema, {
    sequence: BigInt(sequence),
    event: { case: "delta", value: { delta: { case: "text", value: text } } },
  });
}

function complete(call: ScriptedCall, sequence: number): void {
  call.send(StreamGenerateResponseSchema, {
    sequence: BigInt(sequence),
    event: { case: "completed", value: { info: { usage: { tokens: { outputTokens: 2n } } } } },
  });
}

const answer: Script = (call) => {
  sendText(call, 0, "Good ");
  sendText(call, 1, "day");
  complete(call, 2);
  call.end();
};

test("a stream gives its events, its text and its end", async () => {
  await served(answer, async (client, server) => {
    const stream = client.text.stream("Hello", { ...MODEL, requestId: "r" });
    assert.equal(stream.requestId, "r");
    assert.equal((await read(stream)).messages.length, 3);
    assert.equal(stream.text, "Good day");
    assert.equal(stream.completed?.info?.usage?.tokens?.outputTokens, 2n);
    assert.equal(server.calls[0]?.headers["grpc-timeout"], undefined);
    assert.deepEqual((await read(stream)).messages, []); // it was read
  });
});

test("the pieces of a stream are its text", async () => {
  await served(answer, async (client) => {
    assert.deepEqual((await read(client.text.stream("Hello", MODEL).pieces())).messages, ["Good ", "day"]);
  });
});

test("a stream that nobody reads is not sent", async () => {
  await served(answer, async (client, server) => {
    const controller = new AbortController();
    client.text.stream("Hello", { ...MODEL, signal: controller.signal });
    await client.text.stream("Hello", MODEL).pieces().next();
    assert.equal(server.calls.length, 1);
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  });
});

test("breaking out of the loop ends the call at the server", async () => {
  await served(
    (call) => sendText(call, 0, "a"),
    async (client, server) => {
      for await (const _ of client.text.stream("Hello", MODEL)) {
        break;
      }
      assert.equal(await server.calls[0]?.closed(), CANCEL);
    },
  );
});

test("a stream that is cancelled says so, and lets go of the signal", async () => {
  await served(
    (call) => sendText(call, 0, "a"),
    async (client, server) => {
      const controller = new AbortController();
      const stream = client.text.stream("Hello", { ...MODEL, signal: controller.signal });
      const reading = read(stream);
      while (stream.text === "") {
        await sleep(5);
      }
      controller.abort();
      const { messages, error } = await reading;
      assert.deepEqual([messages.length, error?.code, error?.kind], [1, "CANCELLED", "cancelled"]);
      assert.equal((error?.cause as Error).name, "AbortError");
      assert.equal(await server.calls[0]?.closed(), CANCEL);
      assert.equal(getEventListeners(controller.signal, "abort").length, 0);
    },
  );
});

test("a stream can be closed from beside its reader", async () => {
  await served(
    (call) => sendText(call, 0, "a"),
    async (client, server) => {
      const stream = client.text.stream("Hello", MODEL);
      const reading = read(stream);
      while (stream.text === "") {
        await sleep(5);
      }
      stream.close();
      stream.close();
      assert.equal((await reading).error?.kind, "cancelled");
      assert.equal(await server.calls[0]?.closed(), CANCEL);
    },
  );
});

test("a stream that brings nothing fails and is cancelled", async () => {
  await served(
    (call) => sendText(call, 0, "a"),
    async (client, server) => {
      const begun = performance.now();
      const { messages, error } = await read(client.text.stream("Hello", { ...MODEL, idleTimeoutMs: 100 }));
      assert.deepEqual([messages.length, error?.code, error?.kind], [1, "DEADLINE_EXCEEDED", "stream_idle_timeout"]);
      assert.ok(performance.now() - begun >= 100);
      assert.equal(await server.calls[0]?.closed(), CANCEL);
    },
  );
});

test("a server that listens, or watches, owes nothing", async () => {
  const quiet: Script = (call) => {
    call.send(StreamRecognizeResponseSchema, { event: { case: "ready", value: {} } });
    setTimeout(() => {
      call.send(StreamRecognizeResponseSchema, { sequence: 1n, event: { case: "completed", value: {} } });
      call.end();
    }, 900);
  };
  async function* silence(): AsyncGenerator<never> {
    await sleep(1200);
    yield* [];
  }
  await served(
    quiet,
    async (client) => {
      assert.equal((await read(client.speech.streamRecognize(silence()))).error, undefined);
      // Whoever has half-closed waits for an answer.
      assert.equal((await read(client.speech.streamRecognize([]))).error?.kind, "stream_idle_timeout");
    },
    { idleTimeoutMs: 300 },
  );
  const watched: Script = (call) => {
    call.send(LoadModelResponseSchema, { model: { state: ModelState.LOADING } });
    setTimeout(() => {
      call.send(LoadModelResponseSchema, { model: { state: ModelState.READY } });
      call.end();
    }, 900);
  };
  await served(
    watched,
    async (client) => {
      assert.equal((await read(client.admin.loadModel({}))).error, undefined);
      assert.equal((await read(client.admin.loadModel({}, { idleTimeoutMs: 300 }))).error?.kind, "stream_idle_timeout");
    },
    { idleTimeoutMs: 300 },
  );
});

test("what had come before a connection broke is read", async () => {
  const script: Script = (call) => {
    for (let sequence = 0; sequence < 100; sequence += 1) {
      sendText(call, sequence, "a");
    }
    setTimeout(call.breakConnection, 50);
  };
  await served(script, async (client) => {
    const reader = client.text.stream("Hello", MODEL)[Symbol.asyncIterator]();
    await reader.next();
    await sleep(150);
    let count = 1;
    await assert.rejects(async () => {
      for (; !(await reader.next()).done; count += 1);
    });
    assert.equal(count, 100);
  });
});

test("leaving the pieces ends the call at the server", async () => {
  await served(
    (call) => sendText(call, 0, "a"),
    async (client, server) => {
      for await (const piece of client.text.stream("Hello", MODEL).pieces()) {
        assert.equal(piece, "a");
        break;
      }
      assert.equal(await server.calls[0]?.closed(), CANCEL);
    },
  );
});

test("a reader that takes its time is not idle", async () => {
  await served(answer, async (client) => {
    for await (const _ of client.text.stream("Hello", { ...MODEL, idleTimeoutMs: 50 })) {
      await sleep(70);
    }
  });
});

test("a stream without its terminal event is truncated", async () => {
  const script: Script = (call) => {
    sendText(call, 0, "a");
    call.end();
  };
  await served(script, async (client) => {
    const { messages, error } = await read(client.text.stream("Hello", { ...MODEL, requestId: "r" }));
    assert.equal(messages.length, 1);
    assert.deepEqual([error?.code, error?.kind, error?.requestId], ["DATA_LOSS", "truncated_stream", "r"]);
  });
});

test("a missing event is told, and ends the call", async () => {
  const script: Script = (call) => {
    sendText(call, 0, "a");
    sendText(call, 2, "c");
  };
  await served(script, async (client, server) => {
    const { messages, error } = await read(client.text.stream("Hello", MODEL));
    assert.deepEqual([messages.length, error?.kind], [1, "truncated_stream"]);
    assert.match(error?.message ?? "", /event 1 .* 2 came/);
    assert.equal(await server.calls[0]?.closed(), CANCEL);
  });
});

test("a status after the terminal event takes nothing away", async () => {
  const script: Script = (call) => {
    complete(call, 0);
    call.end(13, "too late");
  };
  await served(script, async (client) => {
    assert.equal((await read(client.text.stream("Hello", MODEL))).error, undefined);
  });
});

test("a stream that is refused is sent again, and one that has begun is not", async () => {
  const script: Script = (call, number) => {
    if (number === 1) {
      sendText(call, 0, "a");
    }
    call.end(14, "away");
  };
  await served(script, async (client, server) => {
    const { messages, error } = await read(client.text.stream("Hello", MODEL));
    assert.deepEqual([messages.length, error?.kind], [1, "connection_lost"]);
    assert.equal(server.calls.length, 2);
  });
});

test("a connection that breaks under a stream is lost", async () => {
  const script: Script = (call) => {
    sendText(call, 0, "a");
    setTimeout(call.breakConnection, 50);
  };
  await served(script, async (client, server) => {
    const { messages, error } = await read(client.text.stream("Hello", MODEL));
    assert.deepEqual([messages.length, error?.kind, error?.code], [1, "connection_lost", "UNAVAILABLE"]);
    assert.equal(server.calls.length, 1);
  });
});

test("loading ends when the model is ready", async () => {
  const states =
    (last: ModelState): Script =>
    (call) => {
      for (const state of [ModelState.LOADING, last]) {
        call.send(LoadModelResponseSchema, { model: { state } });
      }
      call.end();
    };
  await served(states(ModelState.READY), async (client) => {
    assert.equal((await read(client.admin.loadModel({ model: "m" }))).error, undefined);
  });
  await served(states(ModelState.WARMING), async (client) => {
    assert.equal((await read(client.admin.loadModel({ model: "m" }))).error?.kind, "truncated_stream");
  });
});

test("only the caller ends a watch", async () => {
  const script: Script = (call) => {
    call.send(WatchModelsResponseSchema, { event: { case: "snapshotEnd", value: {} } });
    call.end();
  };
  await served(script, async (client) => {
    assert.equal((await read(client.models.watchModels({}))).error?.kind, "truncated_stream");
  });
});

test("requests are read as they come, and ended when the call ends", async () => {
  let isReturned = false;
  async function* spoken() {
    try {
      for (;;) {
        yield { request: { case: "audio" as const, value: new Uint8Array(10) } };
        await sleep(5);
      }
    } finally {
      isReturned = true;
    }
  }
  const script: Script = (call) => {
    call.send(StreamRecognizeResponseSchema, { event: { case: "ready", value: {} } });
    setTimeout(() => call.end(10, "enough"), 50);
  };
  await served(script, async (client, server) => {
    const { messages, error } = await read(client.speech.streamRecognize(spoken()));
    assert.deepEqual([messages.length, error?.code], [1, "ABORTED"]);
    assert.equal(server.calls.length, 1);
    await sleep(20);
    assert.ok(isReturned);
  });
});

test("what the caller's requests throw, the stream throws", async () => {
  const defect = new RangeError("the microphone broke");
  async function* spoken(): AsyncGenerator<{ request: { case: "audio"; value: Uint8Array } }> {
    yield { request: { case: "audio", value: new Uint8Array(10) } };
    throw defect;
  }
  await served(
    () => undefined,
    async (client, server) => {
      await assert.rejects(async () => {
        for await (const _ of client.speech.streamRecognize(spoken())) {
          assert.fail("nothing came");
        }
      }, defect);
      await server.calls[0]?.closed();
    },
  );
});

test("a stream of requests is not sent again", async () => {
  await served(
    (call) => call.end(14, "away"),
    async (client, server) => {
      const { error } = await read(client.speech.streamRecognize([]));
      assert.equal(error?.kind, "server_unavailable");
      assert.equal(server.calls.length, 1);
    },
  );
});

test("64 streams run side by side over one connection", async () => {
  await served(answer, async (client, server) => {
    const streams = Array.from({ length: 64 }, () => client.text.stream("Hello", MODEL));
    await Promise.all(streams.map(read));
    assert.ok(streams.every(({ text }) => text === "Good day"));
    assert.equal(server.numConnections, 1);
  });
});
