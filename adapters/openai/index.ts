/** `/v1/images/generations` and `/v1/images/edits` as OpenAI's clients call them, over the host's line of jobs. */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  type Caller,
  DreamBoothError,
  type Host,
  type JobView,
  listenFailure,
  maskFromAlpha,
} from 'dreambooth';
import { z } from 'zod';

export interface ImageServerOptions {
  /** Default `127.0.0.1`. */
  readonly address?: string;
  /** Default 7332; 0: any that is free. */
  readonly port?: number;
  /** What clients give as their API key; null: nothing, for the loopback alone. */
  readonly key: string | null;
  /** Names in the Host header, beside the loopback's. */
  readonly allowedHosts?: readonly string[];
}

export interface ImageServer {
  /** What clients take as base URL, ending in `/v1`. */
  readonly url: string;
  close(): Promise<void>;
}

const largestBody = 50e6;
/** How long the address of a picture is good for, in ms. */
const addressLife = 3600e3;

/** A failure in the form of OpenAI's. */
class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly param: string | null;

  constructor(status: number, message: string, code: string, param: string | null = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
  }
}

/** Of the fields of OpenAI's those that mean something here, and a few more; numbers may come as texts in forms. */
const wanted = z.object({
  prompt: z.string().min(1),
  model: z.string().optional(),
  n: z.coerce.number().optional(),
  size: z.string().optional(),
  response_format: z.enum(['b64_json', 'url']).optional(),
  output_format: z.enum(['png']).optional(),
  background: z.enum(['auto', 'opaque']).optional(),
  user: z.string().max(200).optional(),
  stream: z.union([z.boolean(), z.stringbool()]).optional(),
  seed: z.coerce.number().optional(),
  negative_prompt: z.string().optional(),
  steps: z.coerce.number().optional(),
  guidance: z.coerce.number().optional(),
  strength: z.coerce.number().optional(),
});

const wantedValues: Readonly<Record<string, string>> = {
  prompt: 'a text that says what to draw',
  response_format: 'b64_json or url',
  output_format: 'png',
  background: 'auto or opaque',
  user: 'a text of at most 200 characters',
  stream: 'false, or nothing',
  ...Object.fromEntries(['n', 'seed', 'steps', 'guidance', 'strength'].map((name) => [name, 'a number'])),
  ...Object.fromEntries(['model', 'size', 'negative_prompt'].map((name) => [name, 'a text'])),
};

/** Listens until it is closed. The host stays its caller's. Rejects with InvalidOptionError when the port is taken. */
export async function serveImages(host: Host, options: ImageServerOptions): Promise<ImageServer> {
  const { address = '127.0.0.1', port = 7332, key } = options;
  const names = new Set(['127.0.0.1', 'localhost', '[::1]', ...(options.allowedHosts ?? [])]);
  const secret = randomBytes(32);
  const signed = (picture: string, until: number) =>
    createHmac('sha256', secret).update(`${picture} ${until}`).digest('base64url');

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => fail(response, error));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    if (!names.has(hostName(request.headers.host)))
      throw new Refusal(403, notCalled(request.headers.host), 'forbidden');
    const { origin } = request.headers;
    if (origin !== undefined && !names.has(hostName(URL.canParse(origin) ? new URL(origin).host : '')))
      throw new Refusal(403, `Pages of ${origin} may not use this server.`, 'forbidden');
    if (request.method === 'GET' && pathname.startsWith('/files/'))
      return sendPicture(response, pathname.slice('/files/'.length), searchParams);
    if (key !== null && !isKey(request.headers.authorization, key))
      throw new Refusal(401, 'Give the API key of this server.', 'invalid_api_key');
    const route = `${request.method} ${pathname}`;
    if (route === 'GET /v1/models') return send(response, 200, await models());
    if (request.method === 'GET' && pathname.startsWith('/v1/models/')) {
      const id = decodeURIComponent(pathname.slice('/v1/models/'.length));
      const model = (await models()).data.find((one) => one.id === id);
      return send(response, 200, model ?? unknownModel(id));
    }
    if (route === 'POST /v1/images/generations')
      return send(response, 200, await draw(request, response, false));
    if (route === 'POST /v1/images/edits') return send(response, 200, await draw(request, response, true));
    throw new Refusal(
      404,
      `There is no ${route}; there are POST /v1/images/generations, POST /v1/images/edits and GET /v1/models.`,
      'not_found',
    );
  }

  async function models() {
    const { result } = await host.call('listSubjects', {}, callerOf(undefined));
    const subjects = result['subjects'] as { subject: string; createdAt: string }[];
    const model = (id: string, created: number) => ({ id, object: 'model', created, owned_by: 'dreambooth' });
    return {
      object: 'list',
      data: [
        model('dreambooth', 0),
        ...subjects.map((one) =>
          model(`dreambooth:${one.subject}`, Math.floor(Date.parse(one.createdAt) / 1000)),
        ),
      ],
    };
  }

  async function draw(request: IncomingMessage, response: ServerResponse, edits: boolean) {
    const body = await readBody(request);
    const { fields, image, mask } = edits
      ? await readForm(body, request.headers['content-type'] ?? '')
      : { fields: readJson(body), image: undefined, mask: undefined };
    const parsed = wanted.safeParse(fields);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      const param = issue?.path.join('.') ?? null;
      throw new Refusal(400, faultOf(param, fields), 'invalid_value', param);
    }
    if (parsed.data.stream === true)
      throw new Refusal(
        400,
        'stream is true, and pictures are not sent in pieces here: leave it out.',
        'invalid_value',
        'stream',
      );
    if (edits && image === undefined)
      throw new Refusal(400, 'image is missing: send a picture.', 'invalid_value', 'image');
    const {
      n,
      size,
      model = 'dreambooth',
      user,
      negative_prompt: negativePrompt,
      response_format,
      ...others
    } = parsed.data;
    const [, subject] = /^dreambooth(?::(.+))?$/.exec(model) ?? unknownModel(model);
    if (subject !== undefined && !(await models()).data.some(({ id }) => id === model)) unknownModel(model);
    const { background: _, output_format: _png, stream: _whole, ...rest } = others;
    const kept: string[] = [];
    const keep = (bytes: Uint8Array): string => {
      const file = join(host.inbox, randomBytes(12).toString('hex'));
      writeFileSync(file, bytes, { mode: 0o600 });
      kept.push(file);
      return file;
    };
    const caller = callerOf(user);
    try {
      const input = {
        ...rest,
        ...sizeOf(size),
        ...(n === undefined ? {} : { count: n }),
        ...(subject === undefined ? {} : { subject }),
        ...(negativePrompt === undefined ? {} : { negativePrompt }),
        ...(image === undefined ? {} : { image: keep(image) }),
        ...(mask === undefined ? {} : { mask: keep(await maskFromAlpha(mask, 'the mask')) }),
        waitSeconds: 0,
      };
      const { result } = await host.call('generate', input, caller).catch((error: unknown) => {
        throw inWordsOfClient(error, kept);
      });
      const job = await ended(result as unknown as JobView, caller, response);
      if (job.state !== 'done')
        throw new DreamBoothError(
          job.error?.code ?? 'unexpected',
          job.error?.message ?? `The job is ${job.state}.`,
        );
      return {
        created: Math.floor(Date.now() / 1000),
        data: job.pictures.map(({ picture, path, seed }) =>
          response_format === 'url'
            ? { url: addressOf(request, picture), seed }
            : { b64_json: readFileSync(path).toString('base64'), seed },
        ),
      };
    } finally {
      for (const file of kept) rmSync(file, { force: true });
    }
  }

  /** Nobody waits for the pictures of a client that has left. */
  async function ended(job: JobView, caller: Caller, response: ServerResponse): Promise<JobView> {
    const left = new AbortController();
    response.once('close', () => left.abort());
    let last = job;
    for await (const view of host.watch(job.job, caller, left.signal)) last = view;
    if (left.signal.aborted && (last.state === 'queued' || last.state === 'running'))
      await host.call('cancelJob', { job: job.job }, caller);
    return last;
  }

  const addressOf = (request: IncomingMessage, picture: string) => {
    const until = Date.now() + addressLife;
    return `http://${request.headers.host}/files/${picture}?until=${until}&signature=${signed(picture, until)}`;
  };

  async function sendPicture(
    response: ServerResponse,
    picture: string,
    query: URLSearchParams,
  ): Promise<void> {
    const until = Number(query.get('until'));
    const given = Buffer.from(query.get('signature') ?? '');
    const right = Buffer.from(signed(picture, until));
    if (given.length !== right.length || !timingSafeEqual(given, right) || !(until > Date.now()))
      throw new Refusal(404, 'There is no such picture, or its address has run out.', 'not_found');
    const { result } = await host.call('getPicture', { picture }, callerOf(undefined));
    response.writeHead(200, { 'Content-Type': 'image/png' });
    response.end(readFileSync(String(result['path'])));
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenFailure(error, address, port)));
    server.listen(port, address, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${bound.port}/v1`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Who holds the key may all that the server's operator may; users of theirs take turns. */
const callerOf = (user: string | undefined): Caller => ({
  id: user === undefined ? 'openai' : `openai:${user}`,
  scope: null,
  role: 'operator',
  host: 'openai',
});

const notCalled = (host: string | undefined) =>
  `This server is not called ${host}: start it with --allow-host ${hostName(host)}, or call it 127.0.0.1.`;

function unknownModel(model: string): never {
  throw new Refusal(
    404,
    `There is no model ${model}; GET /v1/models lists those there are.`,
    'model_not_found',
    'model',
  );
}

/** `fields` is what was sent. */
function faultOf(param: string | null, fields: unknown): string {
  if (!param) return 'The body is no object: send prompt, and what else there is to say, as fields.';
  const value = (fields as Readonly<Record<string, unknown>>)[param];
  const found = value === undefined ? 'is missing' : `is ${JSON.stringify(value).slice(0, 60)}`;
  return `${param} ${found}: give ${wantedValues[param]}.`;
}

/** What operations call it, and what clients do. */
const clientNames: readonly (readonly [RegExp, string])[] = [
  [/\bcount\b/g, 'n'],
  [/\b(?:width|height)\b/g, 'size'],
  [/\bnegativePrompt\b/g, 'negative_prompt'],
];

/** A refusal with the fields by the names that the client gave them, and without where its files were put. */
function inWordsOfClient(error: unknown, kept: readonly string[]): unknown {
  if (!(error instanceof DreamBoothError)) return error;
  const option = (error as { option?: unknown }).option;
  let message = error.message.replace(/ An example: .*$/s, '').replace(/\.?$/, '.');
  for (const file of kept) message = message.replaceAll(`: ${file} `, ' ').replaceAll(file, 'the picture');
  if (typeof option !== 'string') return kept.length === 0 ? error : new DreamBoothError(error.code, message);
  const named = clientNames.find(([name]) => option.match(name)?.[0] === option);
  if (named !== undefined) message = message.replace(named[0], named[1]);
  return new Refusal(statusOf[error.code] ?? 500, message, error.code, named?.[1] ?? option);
}

function sizeOf(size: string | undefined): { width?: number; height?: number } {
  if (size === undefined || size === 'auto') return {};
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(size) ?? [];
  if (width === undefined)
    throw new Refusal(400, `size is "${size}": write it as 512x768, or auto.`, 'invalid_value', 'size');
  return { width: Number(width), height: Number(height) };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > largestBody)
      throw new Refusal(413, `More than ${largestBody / 1e6} MB are not taken.`, 'too_large');
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function readJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new Refusal(400, 'The body is not JSON.', 'invalid_json');
  }
}

async function readForm(body: Buffer, type: string) {
  let form: FormData;
  try {
    form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData();
  } catch {
    throw new Refusal(
      400,
      'The body is no form: send multipart/form-data with image and prompt.',
      'invalid_form',
    );
  }
  const file = async (...names: string[]) => {
    const found = names.map((name) => form.get(name)).find((value) => value instanceof Blob);
    return found instanceof Blob ? new Uint8Array(await found.arrayBuffer()) : undefined;
  };
  const fields = Object.fromEntries([...form].filter(([, value]) => typeof value === 'string'));
  return { fields, image: await file('image', 'image[]'), mask: await file('mask') };
}

const statusOf: Readonly<Record<string, number>> = {
  'invalid-option': 400,
  'unknown-subject': 400,
  'unreadable-image': 400,
  'wrong-base': 400,
  'missing-file': 400,
  'unknown-picture': 404,
  'limit-reached': 429,
  'insufficient-memory': 503,
  'engine-crashed': 503,
};

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.end();
  } else if (error instanceof Refusal) {
    refuse(response, error.status, error.message, error.code, error.param);
  } else if (error instanceof DreamBoothError) {
    const option = (error as { option?: unknown }).option;
    const param = typeof option === 'string' ? option : null;
    refuse(response, statusOf[error.code] ?? 500, error.message, error.code, param);
  } else {
    console.error(error);
    refuse(response, 500, 'Something unexpected went wrong; the log of the server says what.', 'unexpected');
  }
}

function refuse(
  response: ServerResponse,
  status: number,
  message: string,
  code: string,
  param: string | null = null,
): void {
  const type = status === 429 ? 'rate_limit_error' : status < 500 ? 'invalid_request_error' : 'server_error';
  send(response, status, { error: { message, type, param, code } });
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

const hostName = (host: string | undefined): string => (host ?? '').replace(/:\d+$/, '').toLowerCase();

/** In the same time, however much of it is right. */
function isKey(authorization: string | undefined, key: string): boolean {
  const given = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1] ?? '';
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return key !== '' && timingSafeEqual(digest(given), digest(key));
}
