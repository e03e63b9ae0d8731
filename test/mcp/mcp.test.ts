import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createMcpServer, type HttpServer, serveHttp } from '../../adapters/mcp/index';
import { writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { InvalidOptionError } from '../../sdk/errors';
import { createHost, type Host, type HostOptions } from '../../sdk/operations/host';
import { operations } from '../../sdk/operations/index';
import type { JobView } from '../../sdk/operations/job-view';
import { defineOperation } from '../../sdk/operations/operation';
import type { Caller } from '../../sdk/operations/rights';
import type { Tensor } from '../../sdk/tensor';

const root = join(import.meta.dirname, '../..');
const workerModule = join(import.meta.dirname, '../operations/drawing-work.mjs');
const operator: Caller = { id: 'local', scope: null, role: 'operator', host: 'mcp' };

let folder: string;
let photo: string;
const endings: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  for (const name of ['photos', 'base', 'elsewhere']) mkdirSync(join(folder, name));
  photo = join(folder, 'photos', '1.png');
  await sharp({ create: { width: 64, height: 64, channels: 3, background: '#f00' } }).toFile(photo);
});
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

const hostOptions = (): HostOptions => ({
  home: join(folder, 'home'),
  base: join(folder, 'base'),
  allowFolders: [join(folder, 'photos')],
  workerModule,
  stopPatience: 1_000,
});
function hostWith(options: HostOptions = {}): Host {
  const host = createHost({ ...hostOptions(), ...options });
  endings.push(() => host.close());
  return host;
}

async function clientOf(transport: Parameters<Client['connect']>[0]): Promise<Client> {
  const client = new Client({ name: 'test', version: '0' });
  await client.connect(transport);
  endings.push(() => client.close());
  return client;
}
async function connected(host: Host, caller = operator): Promise<Client> {
  const [near, far] = InMemoryTransport.createLinkedPair();
  await createMcpServer(host, caller, '0').connect(far);
  return clientOf(near);
}

const call = async (
  client: Client,
  name: string,
  input: object = {},
  onMessage?: (message: string) => void,
) =>
  (await client.callTool(
    { name, arguments: { ...input } },
    undefined,
    onMessage === undefined ? {} : { onprogress: ({ message }) => onMessage(message ?? '') },
  )) as CallToolResult;
const view = ({ structuredContent }: CallToolResult) => structuredContent as unknown as JobView;
const words = ({ content }: CallToolResult) => (content[0] as { text: string }).text;

describe('a conversation', () => {
  test('learns a subject, waits for it, draws it, and looks at the picture', async () => {
    const client = await connected(hostWith());
    const begun = await call(client, 'personalize_subject', { photos: [photo], class: 'dog', name: 'rex' });
    expect(view(begun)).toMatchObject({ kind: 'personalize', subject: 'rex', state: 'queued' });
    const done = await call(client, 'get_job', { job: view(begun).job, waitSeconds: 40 });
    expect(view(done).state).toBe('done');
    expect(words(done)).toContain('write @rex in a prompt');
    expect((await call(client, 'list_subjects')).structuredContent).toMatchObject({
      subjects: [{ subject: 'rex', class: 'dog', mine: true }],
    });

    const drawn = await call(client, 'generate_image', {
      prompt: 'a photo of @rex',
      seed: 7,
      width: 1024,
      height: 512,
    });
    const [, image, link] = drawn.content;
    expect(image).toMatchObject({ type: 'image' });
    const { width, height } = await sharp(Buffer.from((image as { data: string }).data, 'base64')).metadata();
    expect([width, height]).toEqual([512, 256]);
    const { picture } = view(drawn).pictures[0]!;
    expect(link).toMatchObject({ type: 'resource_link', uri: `dreambooth://pictures/${picture}` });
    expect(JSON.stringify(drawn.structuredContent)).not.toContain('base64');
    const { contents } = await client.readResource({ uri: `dreambooth://pictures/${picture}` });
    const full = await sharp(Buffer.from((contents[0] as { blob: string }).blob, 'base64')).metadata();
    expect([full.width, full.height, full.format]).toEqual([1024, 512, 'png']);

    const { resources } = await client.listResources();
    expect(resources.map(({ uri }) => uri)).toEqual(
      expect.arrayContaining([
        'dreambooth://subjects/rex',
        `dreambooth://pictures/${picture}`,
        `dreambooth://jobs/${view(begun).job}`,
      ]),
    );
    const job = await client.readResource({ uri: `dreambooth://jobs/${view(begun).job}` });
    expect(JSON.parse((job.contents[0] as { text: string }).text)).toMatchObject({ state: 'done' });
    await expect(client.readResource({ uri: 'dreambooth://jobs/none' })).rejects.toThrow(
      /There is no job "none"/,
    );
    expect(
      (await client.getPrompt({ name: 'picture_ideas', arguments: { subject: 'rex' } })).messages[0]!.content,
    ).toMatchObject({
      text: expect.stringContaining('@rex'),
    });
    const completion = await client.complete({
      ref: { type: 'ref/resource', uri: 'dreambooth://subjects/{subject}' },
      argument: { name: 'subject', value: 'r' },
    });
    expect(completion.completion.values).toEqual(['rex']);
    // What the stand-in for the work learned is no LoRA.
    const weights: Tensor = { dtype: 'float32', shape: [1], data: new Float32Array(1) };
    writeSafetensors(join(folder, 'home/subjects/rex/lora.safetensors'), [['a', weights]]);
    const archive = join(folder, 'photos', 'rex.safetensors');
    const exported = await call(client, 'export_subject', {
      subject: 'rex',
      format: 'subject',
      path: archive,
    });
    expect(words(exported)).toContain(archive);
    writeFileSync(archive, "somebody's work");
    const again = { subject: 'rex', format: 'subject', path: archive };
    const refused = await call(client, 'export_subject', again);
    expect(words(refused)).toContain(`${archive} is there already`);
    expect(readFileSync(archive, 'utf8')).toBe("somebody's work");
    expect((await call(client, 'export_subject', { ...again, overwrite: true })).isError).toBeUndefined();
    expect(readFileSync(archive).length).toBeGreaterThan(100);
    expect(words(await call(client, 'delete_subject', { subject: 'rex' }))).toBe('@rex is forgotten.');
  });

  test('a call that waits tells how far the job is, ever further, and ends before the client gives up', async () => {
    const client = await connected(hostWith());
    const begun = await call(client, 'personalize_subject', { photos: [photo], class: 'slow', steps: 400 });
    const messages: string[] = [];
    const waited = await call(client, 'get_job', { job: view(begun).job, waitSeconds: 3 }, (message) =>
      messages.push(message),
    );
    expect(view(waited).state).toBe('running');
    expect(messages.length).toBeGreaterThanOrEqual(1);
    expect(messages.at(-1)).toMatch(/train \d+\/400/);
    expect(words(await call(client, 'cancel_job', { job: view(begun).job }))).toContain('cancelled');
  });

  test('tools are those of the table, each with schemas and hints; a new operation is a new tool', async () => {
    const echo = defineOperation({
      name: 'echoLoudly',
      title: 'Echo',
      words: 'Says it again.',
      effect: 'reads',
      input: z.object({ word: z.string().describe('What to say') }),
      result: z.object({ said: z.string() }),
      example: { word: 'hello' },
      say: ({ said }) => said,
      run: async (_, { word }) => ({ said: `${word}!` }),
    });
    const client = await connected(hostWith({ operations: { ...operations, echo } }));
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual([
      'personalize_subject',
      'get_job',
      'cancel_job',
      'resume_job',
      'list_jobs',
      'generate_image',
      'get_image',
      'list_subjects',
      'export_subject',
      'delete_subject',
      'echo_loudly',
    ]);
    for (const tool of tools) {
      expect(Object.keys(tool.annotations ?? {}).sort(), tool.name).toEqual([
        'destructiveHint',
        'idempotentHint',
        'openWorldHint',
        'readOnlyHint',
        'title',
      ]);
      expect(tool.outputSchema?.type).toBe('object');
      expect(JSON.stringify(tool.inputSchema)).not.toMatch(/\$ref|\$schema/);
    }
    expect(words(await call(client, 'echo_loudly', { word: 'hi' }))).toBe('hi!');
  });
});

describe('what a model gets wrong it is told', () => {
  let client: Client;
  beforeEach(async () => {
    client = await connected(hostWith({ runsJobs: false }));
  });
  const wrong = async (name: string, input: object, message: RegExp) => {
    const result = await call(client, name, input);
    expect(result.isError).toBe(true);
    expect(words(result)).toMatch(message);
    expect(words(result)).not.toContain('    at ');
  };
  const learn = (more: object) => ({ photos: [photo], class: 'dog', ...more });

  test.each<[string, string, () => object, RegExp]>([
    [
      'a field that is missing',
      'personalize_subject',
      () => ({ photos: [photo] }),
      /class is missing: give a text.*An example/,
    ],
    [
      'a field that there is not',
      'generate_image',
      () => ({ prompt: 'x', promt: 1 }),
      /no promt; did you mean prompt\?/,
    ],
    [
      'a megabyte',
      'generate_image',
      () => ({ prompt: 'A'.repeat(1e6) }),
      /1000002 characters.*at most 2000 characters/,
    ],
    [
      'a photo as base64',
      'personalize_subject',
      () => learn({ photos: ['A'.repeat(1e6)] }),
      /photos is \["AAA.*characters/,
    ],
    ['21 photos', 'personalize_subject', () => learn({ photos: Array(21).fill(photo) }), /a list of 1 to 20/],
    [
      'an address',
      'personalize_subject',
      () => learn({ photos: ['https://example.org/a.jpg'] }),
      /is an address: nothing is fetched/,
    ],
    ['a file: address', 'personalize_subject', () => learn({ photos: [`file://${photo}`] }), /is an address/],
    ['a relative path', 'personalize_subject', () => learn({ photos: ['1.png'] }), /is no absolute path/],
    [
      'a path elsewhere',
      'personalize_subject',
      () => learn({ photos: ['/etc/passwd'] }),
      /outside the folders.*--allow-dir \/etc/,
    ],
    ['a device', 'personalize_subject', () => learn({ photos: ['/dev/zero'] }), /outside the folders/],
    [
      'a person without consent',
      'personalize_subject',
      () => learn({ class: 'young woman' }),
      /ask the user to affirm.*consent: true/,
    ],
    [
      'an unknown subject',
      'generate_image',
      () => ({ prompt: '@mia in the snow' }),
      /no subject @mia\. There are none yet/,
    ],
    ['an unknown job', 'get_job', () => ({ job: 'rex-0000' }), /There is no job "rex-0000"/],
    ['an unknown picture', 'get_image', () => ({ picture: 'draw-1.1' }), /There is no picture/],
    [
      'an export elsewhere',
      'export_subject',
      () => ({ subject: 'rex', format: 'kohya', path: '/etc/rex.safetensors' }),
      /no subject @rex/,
    ],
  ])('%s', async (_, name, input, message) => wrong(name, input(), message));

  test("what is another's is not there", async () => {
    const host = hostWith();
    const [ann, bob] = await Promise.all(
      ['ann', 'bob'].map((id) => connected(host, { id, scope: null, role: 'member', host: 'mcp' })),
    );
    const { job } = view(
      await call(ann!, 'personalize_subject', { photos: [photo], class: 'dog', name: 'rex' }),
    );
    await call(ann!, 'get_job', { job, waitSeconds: 40 });
    client = bob!;
    await wrong('get_job', { job }, /There is no job/);
    await wrong('cancel_job', { job }, /There is no job/);
    await wrong('generate_image', { prompt: '@rex' }, /no subject @rex\. There are none yet/);
    await wrong('delete_subject', { subject: 'rex' }, /no subject @rex/);
    await wrong('personalize_subject', learn({ name: 'rex' }), /@rex already/);
  });
});

describe('over standard input and output', () => {
  const serve = (options: HostOptions = {}) => [
    '--import',
    'tsx',
    join(import.meta.dirname, 'serve.ts'),
    JSON.stringify({ ...hostOptions(), ...options }),
  ];
  const initialize = {
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '0' } },
  };
  const exit = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once('exit', resolve));

  test("the SDK's client speaks with it", async () => {
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: serve(),
      cwd: root,
      stderr: 'ignore',
    });
    const client = await clientOf(transport);
    expect((await client.listTools()).tools.length).toBe(10);
    expect(client.getInstructions()).toContain('personalize_subject');
  });

  test('nothing but the protocol is said, and it ends when its client has left, with the job to go on with', async () => {
    const child = spawn(process.execPath, serve(), { cwd: root, stdio: ['pipe', 'pipe', 'ignore'] });
    let out = '';
    const answered = new Map<number, (result: { structuredContent: JobView }) => void>();
    child.stdout.on('data', (data) => {
      out += data;
      for (const line of out.split('\n').slice(0, -1)) {
        if (!line.startsWith('{')) continue;
        const message = JSON.parse(line) as { id?: number; result?: { structuredContent: JobView } };
        if (message.result !== undefined) answered.get(message.id ?? 0)?.(message.result);
      }
    });
    let id = 1;
    const send = (message: object) => child.stdin.write(`${JSON.stringify(message)}\n`);
    const tool = (name: string, input: object) =>
      new Promise<JobView>((resolve) => {
        answered.set(++id, ({ structuredContent }) => resolve(structuredContent));
        send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: input } });
      });
    send(initialize);
    send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    const { job } = await tool('personalize_subject', {
      photos: [photo],
      class: 'slow',
      name: 'rex',
      steps: 150,
    });
    while (((await tool('get_job', { job, waitSeconds: 1 })).step ?? 0) < 5);
    const ended = exit(child);
    const left = Date.now();
    child.stdin.end();
    expect(await ended).toBe(0);
    expect(Date.now() - left).toBeLessThan(4_000);
    for (const line of out.trim().split('\n')) expect(() => JSON.parse(line), line).not.toThrow();

    const next = await connected(hostWith());
    expect(view(await call(next, 'get_job', { job })).state).not.toBe('failed');
    const done = view(await call(next, 'get_job', { job, waitSeconds: 45 }));
    expect(done.state).toBe('done');
  });

  test('killed, it leaves the job to a second server on the same home', async () => {
    const client = await connected(hostWith({ runsJobs: false }));
    const child = spawn(process.execPath, serve(), { cwd: root, stdio: ['pipe', 'ignore', 'ignore'] });
    const { job } = view(
      await call(client, 'personalize_subject', { photos: [photo], class: 'slow', steps: 100 }),
    );
    while ((view(await call(client, 'get_job', { job, waitSeconds: 1 })).step ?? 0) < 5);
    const gone = exit(child);
    child.kill('SIGKILL');
    await gone;
    expect(view(await call(client, 'get_job', { job })).state).toBe('queued');
    hostWith();
    expect(view(await call(client, 'get_job', { job, waitSeconds: 45 })).state).toBe('done');
  });

  test('the built command line serves, too, and is told where it may look', async () => {
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [
        join(root, 'dist/adapters/cli.js'),
        'mcp',
        '--home',
        join(folder, 'home'),
        '--allow-dir',
        join(folder, 'photos'),
      ],
      stderr: 'ignore',
    });
    const client = await clientOf(transport);
    expect((await client.listTools()).tools.length).toBe(10);
    const refused = await call(client, 'personalize_subject', { photos: ['/etc/passwd'], class: 'dog' });
    expect(words(refused)).toContain(join(folder, 'photos'));
  });
});

describe('over HTTP', () => {
  const serveAt = async (token: string | null): Promise<HttpServer> => {
    const server = await serveHttp(hostWith(), { port: 0, token, version: '0' });
    endings.push(() => server.close());
    return server;
  };
  const statusOf = (url: string, headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const sent = request(
        url,
        { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
        (response) => {
          response.resume();
          resolve(response.statusCode!);
        },
      );
      sent.on('error', reject);
      sent.end('{}');
    });

  test('two clients with the token share jobs and subjects, each in a session of its own', async () => {
    const { url } = await serveAt('secret');
    const connect = () =>
      clientOf(
        new StreamableHTTPClientTransport(new URL(url), {
          requestInit: { headers: { authorization: 'Bearer secret' } },
        }) as unknown as Parameters<Client['connect']>[0],
      );
    const [one, other] = [await connect(), await connect()];
    const { job } = view(
      await call(one, 'personalize_subject', { photos: [photo], class: 'dog', name: 'rex' }),
    );
    const messages: string[] = [];
    const done = await call(other, 'get_job', { job, waitSeconds: 40 }, (message) => messages.push(message));
    expect(view(done).state).toBe('done');
    expect((await call(other, 'list_subjects')).structuredContent).toMatchObject({
      subjects: [{ subject: 'rex' }],
    });
  });

  test('a port that is in use is named', async () => {
    const port = Number(new URL((await serveAt(null)).url).port);
    const refused = serveHttp(hostWith(), { port, token: null, version: '0' });
    await expect(refused).rejects.toThrow(InvalidOptionError);
    await expect(refused).rejects.toThrow(`127.0.0.1:${port} is in use`);
  });

  test('others are turned away: no token, a wrong one, a page, another name, another place, an ended session', async () => {
    const { url } = await serveAt('secret');
    const authorization = 'Bearer secret';
    expect(await statusOf(url, {})).toBe(401);
    expect(await statusOf(url, { authorization: 'Bearer secre' })).toBe(401);
    expect(await statusOf(url, { authorization, origin: 'https://example.org' })).toBe(403);
    expect(await statusOf(url, { authorization, host: 'rebound.example.org' })).toBe(403);
    // A token that was lost lets nobody in.
    expect(await statusOf((await serveAt('')).url, {})).toBe(401);
    expect(await statusOf(url.replace('/mcp', '/'), { authorization })).toBe(404);
    expect(await statusOf(url, { authorization, 'mcp-session-id': 'gone' })).toBe(404);
    // No beginning of a session, though let in.
    expect(await statusOf(url, { authorization })).toBeGreaterThanOrEqual(400);
  });

  test.each(['server-initialize', 'ping', 'tools-list', 'dns-rebinding-protection'])(
    'the conformance scenario %s is passed',
    async (scenario) => {
      const { url } = await serveAt(null);
      const program = join(root, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');
      const child = spawn(process.execPath, [program, 'server', '--url', url, '--scenario', scenario], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let said = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data));
      expect(await new Promise((resolve) => child.once('exit', resolve)), said).toBe(0);
      expect(said).toMatch(/Passed: (\d+)\/\1/);
    },
  );
});
