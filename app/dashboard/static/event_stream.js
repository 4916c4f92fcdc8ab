/* A job's events, each exactly once and in order, however often the connection breaks.

   The browser's EventSource cannot begin at a number, and tells nothing about refusals; so the stream is read here. */

import { errorOf, leaveIfSignedOut } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const LAST_EVENT = "optimization_finished";

/* Cuts text that comes in pieces into the data of complete events. */
export class EventReader {
  #rest = "";

  read(piece) {
    const blocks = (this.#rest + piece).replaceAll("\r\n", "\n").split("\n\n");
    this.#rest = blocks.pop();
    const found = [];
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length) found.push(JSON.parse(lines.map((line) => line.slice(5).trimStart()).join("\n")));
    }
    return found;
  }
}

/* Resolves to what ask gives, tried again as long as the service cannot be reached or is not well. */
export async function persistently(ask) {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    try {
      return await ask();
    } catch (error) {
      if (error.status >= 400 && error.status < 500) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/* Calls onEvents with lists of events after the one numbered after, until the job's last one; onState with "live",
   "waiting" or "ended". Rejects where the service refuses, for a reason that no further try changes. */
export async function follow(path, { after = 0, onEvents, onState, signal }) {
  let seen = after;
  let wait = FIRST_WAIT_MS;
  while (!signal?.aborted) {
    try {
      const response = await fetch(path, { headers: { "Last-Event-ID": String(seen) }, cache: "no-store", signal });
      if (response.status >= 400 && response.status < 500) {
        leaveIfSignedOut(response.status);
        throw Object.assign(await errorOf(response), { isFinal: true });
      }
      if (!response.ok) throw await errorOf(response);
      onState("live");
      const reader = new EventReader();
      const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let { value, done } = await text.read(); !done; { value, done } = await text.read()) {
        wait = FIRST_WAIT_MS;
        const news = reader.read(value).filter((event) => event.seq > seen);
        if (!news.length) continue;
        seen = news.at(-1).seq;
        onEvents(news);
        if (news.at(-1).type === LAST_EVENT) return onState("ended");
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.isFinal) throw error;
    }
    onState("waiting");
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}
