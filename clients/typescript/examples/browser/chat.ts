// A page that chats: ?target=URL of the proxy (else where the page came from) and &model=NAME

import { TriviumClient, TriviumError } from "@trivium/client/web";

const parameters = new URLSearchParams(location.search);
const client = new TriviumClient({ target: parameters.get("target") ?? undefined });
const model = parameters.get("model") ?? "smollm2-135m-instruct";

const form = element("form", HTMLFormElement);
const prompt = element("prompt", HTMLInputElement);
const send = element("send", HTMLButtonElement);
const stop = element("stop", HTMLButtonElement);
const answer = element("answer", HTMLElement);
const status = element("status", HTMLElement);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void chat();
});

async function chat(): Promise<void> {
  const controller = new AbortController();
  stop.onclick = () => controller.abort();
  [send.disabled, stop.disabled] = [true, false];
  answer.replaceChildren();
  status.textContent = "…";
  try {
    const stream = client.text.stream(prompt.value, { model, signal: controller.signal });
    for await (const piece of stream.pieces()) {
      answer.append(Object.assign(document.createElement("span"), { textContent: piece }));
    }
    status.textContent = `${stream.completed?.info?.usage?.tokens?.outputTokens} tokens`;
  } catch (error) {
    status.textContent = said(error);
  } finally {
    [send.disabled, stop.disabled] = [false, true];
  }
}

function said(error: unknown): string {
  if (error instanceof TriviumError) {
    return error.kind === "cancelled" ? "stopped" : `${error.reason ?? error.code}: ${error.message}`;
  }
  return String(error);
}

function element<T extends HTMLElement>(id: string, kind: abstract new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) {
    throw new Error(`the page has no ${id}`);
  }
  return found;
}
