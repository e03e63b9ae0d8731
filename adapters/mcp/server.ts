/** The protocol's side of the table of operations: tools, resources and prompts of one client's session. */
import { readFileSync } from 'node:fs';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import {
  CallToolRequestSchema,
  type CallToolResult,
  CompleteRequestSchema,
  ErrorCode,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import {
  type Answer,
  type Caller,
  DreamBoothError,
  fitPicture,
  type Host,
  type JobView,
  nameAt,
  type Operation,
} from 'dreambooth';
import { z } from 'zod';
import { reportProgress } from './progress';
import { promptNamed, prompts } from './prompts';

/** Pixels of the longer side of a picture that a model looks at. */
const previewSide = 512;
/** Bytes of a picture that is read as a resource: a line of the protocol has 10 MiB at most, and base64 takes a third more. */
const largestPicture = 5e6;
/** Clients list resources for people to choose from. */
const resourcesListed = 50;

const instructions = `Learn a subject (a pet, a toy, a person) from 3 to 6 photos with personalize_subject, which answers with a job that takes minutes to hours. Call get_job with waitSeconds until it is done. Then draw it with generate_image, whose prompt mentions it as @name, as in "a photo of @rex in the snow". Photos are named by absolute paths on the machine of this server, one by one or as a folder; nothing is fetched from the net. Before people are learned, ask the user whether they may be.`;

/** A server for one client; `caller` is whoever speaks through it. */
export function createMcpServer(host: Host, caller: Caller, version: string): Server {
  const server = new Server(
    { name: 'dreambooth', title: 'DreamBooth', version },
    {
      capabilities: { tools: {}, resources: {}, prompts: {}, completions: {} },
      instructions,
    },
  );
  const tools = new Map(
    Object.entries(host.operations).flatMap(([key, operation]) => {
      const name = nameAt(operation, 'mcp');
      return name === null ? [] : [[name, { key, operation }] as const];
    }),
  );
  const ask = (name: string, input: object) => host.call(name, input, caller);

  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: [...tools].map(([name, { operation }]) => describeTool(name, operation)),
  }));

  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { signal, sendNotification, _meta }) => {
    const tool = tools.get(params.name);
    if (tool === undefined) {
      throw new McpError(
        ErrorCode.InvalidParams,
        `There is no tool ${params.name}; there are ${[...tools.keys()].join(', ')}.`,
      );
    }
    const token = params._meta?.progressToken ?? _meta?.progressToken;
    try {
      const tell = (message: string, progress: number) =>
        sendNotification({
          method: 'notifications/progress',
          params: { progressToken: token!, progress, message },
        });
      const told: Promise<void>[] = [];
      const answer = await host.call(tool.key, params.arguments ?? {}, caller, {
        signal,
        ...(token === undefined
          ? {}
          : { onWait: (job, waits) => void told.push(reportProgress(host, caller, job, waits, tell)) }),
      });
      // The result ends the call: what is still to be told of it goes before.
      await Promise.all(told);
      return await present(answer);
    } catch (error) {
      return failure(error);
    }
  });

  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: templates }));
  server.setRequestHandler(ListResourcesRequestSchema, async () => {
    const { subjects } = (await ask('listSubjects', {})).result as {
      subjects: { subject: string; class: string }[];
    };
    const { jobs } = (await ask('listJobs', { limit: resourcesListed })).result as { jobs: JobView[] };
    const pictures = jobs.flatMap((job) =>
      job.pictures.map((picture) => ({ ...picture, prompt: job.prompt })),
    );
    return {
      resources: [
        ...subjects.map(({ subject, class: className }) => ({
          uri: `dreambooth://subjects/${subject}`,
          name: `@${subject}`,
          description: `A learned ${className}`,
          mimeType: 'application/json',
        })),
        ...pictures.slice(0, resourcesListed).map(({ picture, prompt, seed }) => ({
          uri: `dreambooth://pictures/${picture}`,
          name: picture,
          description: `"${prompt}", seed ${seed}`,
          mimeType: 'image/png',
        })),
        ...jobs.map(({ job, state }) => ({
          uri: `dreambooth://jobs/${job}`,
          name: job,
          description: state,
          mimeType: 'application/json',
        })),
      ],
    };
  });
  server.setRequestHandler(ReadResourceRequestSchema, async ({ params: { uri } }) => {
    const [, kind, id] = /^dreambooth:\/\/(subjects|pictures|jobs)\/([^/]+)$/.exec(uri) ?? [];
    if (kind === undefined || id === undefined)
      throw new McpError(ErrorCode.InvalidParams, `There is no resource ${uri}.`);
    try {
      if (kind === 'pictures') {
        const { result } = await ask('getPicture', { picture: id });
        const { bytes, mimeType } = await fitPicture(String(result['path']), { bytes: largestPicture });
        return { contents: [{ uri, mimeType, blob: Buffer.from(bytes).toString('base64') }] };
      }
      const { result } = await (kind === 'jobs'
        ? ask('getJob', { job: id })
        : ask('showSubject', { subject: id }));
      return { contents: [{ uri, mimeType: 'application/json', text: JSON.stringify(result, null, 2) }] };
    } catch (error) {
      throw new McpError(ErrorCode.InvalidParams, wordsOf(error));
    }
  });

  server.setRequestHandler(ListPromptsRequestSchema, () => ({
    prompts: prompts.map(({ text: _, ...shown }) => shown),
  }));
  server.setRequestHandler(GetPromptRequestSchema, ({ params }) => {
    const prompt = promptNamed(params.name);
    if (prompt === undefined)
      throw new McpError(ErrorCode.InvalidParams, `There is no prompt ${params.name}.`);
    const text = prompt.text(params.arguments ?? {});
    return { description: prompt.description, messages: [{ role: 'user', content: { type: 'text', text } }] };
  });
  server.setRequestHandler(CompleteRequestSchema, async ({ params: { argument } }) => {
    const names = async (): Promise<string[]> => {
      if (argument.name === 'subject') {
        const { subjects } = (await ask('listSubjects', {})).result as { subjects: { subject: string }[] };
        return subjects.map(({ subject }) => subject);
      }
      if (argument.name !== 'job') return [];
      return ((await ask('listJobs', {})).result as { jobs: JobView[] }).jobs.map(({ job }) => job);
    };
    const values = (await names()).filter((name) => name.startsWith(argument.value.replace(/^@/, '')));
    return {
      completion: { values: values.slice(0, 100), total: values.length, hasMore: values.length > 100 },
    };
  });
  return server;
}

const templates = [
  { uriTemplate: 'dreambooth://subjects/{subject}', name: 'A learned subject', mimeType: 'application/json' },
  { uriTemplate: 'dreambooth://pictures/{picture}', name: 'A picture that was drawn', mimeType: 'image/png' },
  { uriTemplate: 'dreambooth://jobs/{job}', name: 'A job', mimeType: 'application/json' },
];

function describeTool(name: string, { title, words, input, result, effect }: Operation) {
  const schema = (one: z.ZodObject, io: 'input' | 'output') => {
    const { $schema: _, ...rest } = z.toJSONSchema(one, { io }) as Record<string, unknown>;
    return { type: 'object' as const, ...rest };
  };
  return {
    name,
    title,
    description: words,
    inputSchema: schema(input, 'input'),
    outputSchema: schema(result, 'output'),
    annotations: {
      title,
      readOnlyHint: effect === 'reads',
      destructiveHint: effect === 'deletes',
      idempotentHint: effect === 'reads',
      openWorldHint: false,
    },
  };
}

/** Words for the model, the result as data, and pictures small enough to look at with where they are in full. */
async function present({ result, text }: Answer): Promise<CallToolResult> {
  const content: CallToolResult['content'] = [{ type: 'text', text }];
  for (const { picture, path } of picturesIn(result)) {
    const { bytes, mimeType } = await fitPicture(readFileSync(path), { side: previewSide, bytes: 200_000 });
    content.push({
      type: 'image',
      data: Buffer.from(bytes).toString('base64'),
      mimeType,
      annotations: { audience: ['user', 'assistant'] },
    });
    content.push({
      type: 'resource_link',
      uri: `dreambooth://pictures/${picture}`,
      name: picture,
      mimeType: 'image/png',
    });
  }
  return { content, structuredContent: { ...result } };
}

interface ShownPicture {
  readonly picture: string;
  readonly path: string;
}

function picturesIn(result: Readonly<Record<string, unknown>>): ShownPicture[] {
  if (Array.isArray(result['pictures'])) return result['pictures'] as ShownPicture[];
  return typeof result['picture'] === 'string' ? [result as unknown as ShownPicture] : [];
}

const failure = (error: unknown): CallToolResult => ({
  isError: true,
  content: [{ type: 'text', text: wordsOf(error) }],
});

/** What is no failure of the package's own kind is told in the log alone: it may name what concerns nobody. */
function wordsOf(error: unknown): string {
  if (error instanceof DreamBoothError) return `${error.message} (${error.code})`;
  if (error instanceof McpError) return error.message;
  console.error(error);
  return 'Something unexpected went wrong; the log of the server says what. (unexpected)';
}
