// Vercel's AI SDK with OpenAI's and Anthropic's models: chat, stream, a tool, embeddings. Prints one JSON document.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { embed, generateText, jsonSchema, streamText, tool } from "ai";

globalThis.AI_SDK_LOG_WARNINGS = false;
const { GATEWAY_URL, GATEWAY_KEY: apiKey } = process.env;
const baseURL = `${GATEWAY_URL}/v1`;
const openai = createOpenAI({ baseURL, apiKey });
const anthropic = createAnthropic({ baseURL, apiKey });
const properties = { city: { type: "string" } };
const weather = tool({ description: "The weather of a city.", inputSchema: jsonSchema({ type: "object", properties }) });

async function seen(model, hasTools) {
  const ask = { model, prompt: "Hello!", maxRetries: 0 };
  const chat = await generateText(ask);
  let stream = "";
  for await (const piece of streamText(ask).textStream) stream += piece;
  const found = { chat: chat.text, tokens: chat.usage.outputTokens, stream };
  if (!hasTools) return found;
  const { toolCalls } = await generateText({ ...ask, tools: { weather } });
  return { ...found, tool: [toolCalls[0].toolName, toolCalls[0].input] };
}

// The code of the error that a stream brings before its connection breaks.
async function broken(model) {
  const { fullStream } = streamText({ model, prompt: "Hello!", maxRetries: 0, onError: () => {} });
  for await (const part of fullStream) if (part.type === "error") return part.error.code;
}

const { embedding } = await embed({ model: openai.embedding("gpt-demo"), value: "Hello!" });
console.log(
  JSON.stringify({
    openai: await seen(openai.chat("gpt-demo"), true),
    responses: await seen(openai.responses("gpt-demo"), false),
    anthropic: await seen(anthropic("claude-demo"), true),
    embedding: embedding.length,
    broken: [await broken(openai.chat("cut")), await broken(openai.responses("cut"))],
  }),
);
