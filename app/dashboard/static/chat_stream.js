/* One streamed chat answer: asks /v1/chat/completions and tells of its text as it comes. */

import { ApiError, errorOf, headersFor, leaveIfSignedOut } from "./api.js";

const DONE = "[DONE]";

async function* framesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const lines = held.split("\n");
    held = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data:")) yield line.slice(5).trim();
    }
  }
}

/* Resolves to the answer's id, version, usage and whether it was finished; throws an ApiError, or AbortError. */
export async function streamChat(body, { signal, onText }) {
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    signal,
    headers: headersFor({ "Content-Type": "application/json" }),
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
  }).catch((error) => {
    throw error.name === "AbortError" ? error : new ApiError(0, { message: "The service cannot be reached." });
  });
  if (!response.ok) {
    leaveIfSignedOut(response.status);
    throw await errorOf(response);
  }
  const answer = { id: null, version: response.headers.get("x-drpo-prompt-version"), usage: null };
  for await (const frame of framesOf(response.body)) {
    if (frame === DONE) return answer;
    const chunk = JSON.parse(frame);
    if (chunk.error) throw new ApiError(200, chunk.error);
    answer.id ??= chunk.id;
    answer.usage = chunk.usage ?? answer.usage;
    const text = chunk.choices?.[0]?.delta?.content;
    if (text) onText(text);
  }
  throw new ApiError(0, { message: "The answer has broken off." });
}
