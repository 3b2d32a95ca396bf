// Asks the LLM server by the Vercel AI SDK, with two of its providers: node vercel.mjs http://127.0.0.1:8033
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [url, folder] = process.argv.slice(2);
const installed = createRequire(`${folder}/package.json`);
const load = (name) => import(pathToFileURL(installed.resolve(name)));
const [{ embed, generateText, Output, stepCountIs, streamText, tool }, { createOpenAICompatible }, { createOllama }, { z }] = await Promise.all(
  ["ai", "@ai-sdk/openai-compatible", "ollama-ai-provider-v2", "zod"].map(load),
);
const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => `sunny in ${city}`,
});

const openai = createOpenAICompatible({ name: "relay", baseURL: `${url}/v1`, supportsStructuredOutputs: true });
const ollama = createOllama({ baseURL: `${url}/api` });
const providers = {
  "openai-compatible": { model: openai("default"), embedding: openai.textEmbeddingModel("default") },
  "ollama-ai-provider-v2": { model: ollama("default"), embedding: ollama.textEmbeddingModel("default") },
};
const uses = {
  text: async ({ model }) => (await generateText({ model, prompt: "Hello" })).text,
  stream: async ({ model }) => {
    let text = "";
    for await (const piece of streamText({ model, prompt: "Hello" }).textStream) text += piece;
    return text;
  },
  tools: async ({ model }) =>
    (await generateText({ model, prompt: "How is the weather in Paris?", tools: { weather }, stopWhen: stepCountIs(2) })).text,
  object: async ({ model }) =>
    (await generateText({ model, prompt: "A pet", output: Output.object({ schema: z.object({ name: z.string() }) }) })).output.name,
  embed: async ({ embedding }) => (await embed({ model: embedding, value: "a" })).embedding,
};
for (const [client, provider] of Object.entries(providers))
  for (const [use, run] of Object.entries(uses)) {
    const outcome = await run(provider).then((got) => ({ got }), (error) => ({ error: `${error.name}: ${error.message}`.slice(0, 300) }));
    console.log(JSON.stringify({ client, use, ...outcome }));
  }
