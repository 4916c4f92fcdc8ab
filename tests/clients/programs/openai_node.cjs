// The official Node SDK. Usage: node openai_node.cjs URL KEY MODEL SCENARIO
"use strict";
const OpenAI = require("openai");
const { zodResponseFormat, zodTextFormat } = require("openai/helpers/zod");
const { z } = require("zod");

const [url, apiKey, model, scenario] = process.argv.slice(2);
let attempts = 0;
const pieces = [];
const client = new OpenAI({
  baseURL: `${url}/v1`,
  apiKey,
  fetch: (...request) => {
    attempts += 1;
    return fetch(...request);
  },
});

const question = { role: "user", content: "Why is the sea blue?" };
const messages = [question];
const Weather = z.object({ city: z.string(), degrees: z.number() });
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tool = (name) => ({ type: "function", function: { name, parameters: city } });
const outcomes = { weather: "rain in ", time: "noon in " };

const shortUsage = (usage) => [usage.prompt_tokens, usage.completion_tokens];

async function chat(more = {}) {
  const { data, response } = await client.chat.completions
    .create({ model, messages, ...more })
    .withResponse();
  return {
    text: data.choices[0].message.content,
    model: data.model,
    usage: shortUsage(data.usage),
    version: response.headers.get("x-drpo-prompt-version"),
  };
}

async function stream() {
  const chunks = await client.chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let usage = null;
  for await (const chunk of chunks) {
    if (chunk.choices.length) pieces.push(chunk.choices[0].delta.content ?? "");
    if (chunk.usage) usage = shortUsage(chunk.usage);
  }
  return { pieces, usage };
}

async function useTools(streamed) {
  const calls = [];
  const runnable = (name) => ({
    type: "function",
    function: {
      name,
      parameters: city,
      parse: JSON.parse,
      function: (given) => {
        calls.push({ name, arguments: given });
        return outcomes[name] + given.city;
      },
    },
  });
  const tools = [runnable("weather"), runnable("time")];
  const runner = client.chat.completions.runTools({ model, messages, tools, stream: streamed });
  return { calls, text: await runner.finalContent() };
}

async function structured() {
  const format = zodResponseFormat(Weather, "weather");
  const told = await client.chat.completions.parse({ model, messages, response_format: format });
  return { value: told.choices[0].message.parsed };
}

async function response(more = { model, input: question.content }) {
  const told = await client.responses.create(more);
  const usage = [told.usage.input_tokens, told.usage.output_tokens];
  return { text: told.output_text, model: told.model, usage };
}

async function responseStream() {
  const events = client.responses.stream({ model, input: question.content });
  for await (const event of events) {
    if (event.type === "response.output_text.delta") pieces.push(event.delta);
  }
  const told = await events.finalResponse();
  return { pieces, usage: [told.usage.input_tokens, told.usage.output_tokens] };
}

async function responseTools() {
  const tools = ["weather", "time"].map((name) => ({ type: "function", name, parameters: city, strict: false }));
  const first = await client.responses.create({ model, input: [question], tools });
  const asked = first.output.filter((item) => item.type === "function_call");
  const calls = asked.map((item) => ({ name: item.name, arguments: JSON.parse(item.arguments) }));
  const outputs = asked.map((item, place) => ({
    type: "function_call_output",
    call_id: item.call_id,
    output: outcomes[item.name] + calls[place].arguments.city,
  }));
  const second = await client.responses.create({ model, input: [question, ...first.output, ...outputs], tools });
  return { calls, text: second.output_text };
}

async function responseStructured() {
  const text = { format: zodTextFormat(Weather, "weather") };
  const told = await client.responses.parse({ model, input: question.content, text });
  return { value: told.output_parsed };
}

async function embeddings() {
  const told = await client.embeddings.create({ model, input: ["ocean", "kettle"] });
  return { lengths: told.data.map((item) => item.embedding.length), first: told.data[0].embedding[0] };
}

const prompt = { id: "production", variables: { how: "brief" } };
const scenarios = {
  chat,
  stream,
  tools: () => useTools(false),
  tools_streamed: () => useTools(true),
  structured,
  prompt: () => chat({ prompt }),
  // what SDKs let through and servers refuse
  refused: () => chat({ stream: "perhaps" }),
  response,
  response_stream: responseStream,
  response_tools: responseTools,
  response_structured: responseStructured,
  response_prompt: () => response({ prompt: { ...prompt, id: model, version: "1" }, input: question.content }),
  embeddings,
};

const failure = (error) => ({
  kinds: [error.constructor.name],
  status: error.status ?? null,
  code: error.code ?? null,
  param: error.param ?? null,
  message: error.message,
});

scenarios[scenario]().then(
  (result) => console.log(JSON.stringify({ attempts, result })),
  (error) => console.log(JSON.stringify({ attempts, pieces, error: failure(error) })),
);
