import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI, { APIError, toFile } from 'openai';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ImageServer, serveImages } from '../../adapters/openai/index';
import { InvalidOptionError } from '../../sdk/errors';
import { listJobs } from '../../sdk/jobs/jobs';
import { createHost, type Host } from '../../sdk/operations/host';

const workerModule = join(import.meta.dirname, '../operations/drawing-work.mjs');
let folder: string;
let host: Host;
let server: ImageServer;
let client: OpenAI;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  mkdirSync(join(folder, 'base'));
  const options = {
    home: join(folder, 'home'),
    base: join(folder, 'base'),
    workerModule,
    stopPatience: 1_000,
  };
  host = createHost({ ...options, limits: {} });
  server = await serveImages(host, { port: 0, key: 'secret' });
  client = new OpenAI({ apiKey: 'secret', baseURL: server.url, maxRetries: 0 });
});
afterEach(async () => {
  await server.close();
  await host.close();
  rmSync(folder, { recursive: true, force: true });
});

const learn = async () => {
  const photo = join(host.inbox, 'photo.png');
  await sharp({ create: { width: 64, height: 64, channels: 3, background: '#f00' } }).toFile(photo);
  const caller = { id: 'local', scope: null, role: 'operator', host: 'library' } as const;
  const { result } = await host.call('personalize', { photos: [photo], class: 'dog', name: 'rex' }, caller);
  await host.call('getJob', { job: result['job'], waitSeconds: 40 }, caller);
  rmSync(photo);
};
const sizeOf = async (bytes: Uint8Array) => {
  const { width, height, format } = await sharp(bytes).metadata();
  return [width, height, format];
};
const errorOf = async (promise: Promise<unknown>): Promise<APIError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(APIError);
  return error as APIError;
};

test("pictures as OpenAI's client asks for them: as base64, and by an address that runs out", async () => {
  const { data } = await client.images.generate({ prompt: 'a dog', n: 2, size: '128x64' as never });
  expect(data).toHaveLength(2);
  expect(await sizeOf(Buffer.from(data![0]!.b64_json!, 'base64'))).toEqual([128, 64, 'png']);
  const byAddress = await client.images.generate({ prompt: 'a dog', response_format: 'url' });
  const { url } = byAddress.data![0]!;
  const answer = await fetch(url!);
  expect(await sizeOf(new Uint8Array(await answer.arrayBuffer()))).toEqual([512, 512, 'png']);
  expect((await fetch(url!.replace(/signature=.../, 'signature=abc'))).status).toBe(404);
  expect((await fetch(url!.replace(/until=\d+/, 'until=1'))).status).toBe(404);
});

test('a subject is a model, and its prompts are of it', async () => {
  await learn();
  const models = await client.models.list();
  expect(models.data.map(({ id }) => id)).toEqual(['dreambooth', 'dreambooth:rex']);
  expect(await client.models.retrieve('dreambooth:rex')).toMatchObject({
    id: 'dreambooth:rex',
    object: 'model',
  });
  expect(await client.models.retrieve('dreambooth')).toMatchObject({ id: 'dreambooth' });
  const unknown = await errorOf(client.models.retrieve('dreambooth:mia'));
  expect(unknown).toMatchObject({ status: 404, code: 'model_not_found' });
  await client.images.generate({ prompt: 'in the snow', model: 'dreambooth:rex', user: 'ann' });
  const job = listJobs(host.home).at(-1)!;
  expect(job).toMatchObject({
    kind: 'generate',
    prompt: 'a photo of @rex, in the snow',
    owner: 'openai:ann',
  });
});

test('an edit takes a picture and a mask that is transparent where to draw; nothing of them is left', async () => {
  const picture = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#0f0' } })
    .png()
    .toBuffer();
  // Its left half is transparent.
  const rgba = Buffer.from(
    Array.from({ length: 64 * 64 * 4 }, (_, i) => (i % 4 === 3 && (i >> 2) % 64 < 32 ? 0 : 255)),
  );
  const transparent = await sharp(rgba, { raw: { width: 64, height: 64, channels: 4 } })
    .png()
    .toBuffer();
  const file = (bytes: Buffer, name: string) => toFile(bytes, name, { type: 'image/png' });
  const { data } = await client.images.edit({
    image: await file(picture, 'room.png'),
    mask: await file(transparent, 'mask.png'),
    prompt: 'a dog on the sofa',
  });
  expect(data).toHaveLength(1);
  const job = listJobs(host.home).at(-1)!;
  const kept = join(host.home.jobs, job.id);
  const { data: pixels, info } = await sharp(readFileSync(join(kept, 'mask')))
    .greyscale()
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect([pixels[0], pixels[info.width - 1]]).toEqual([255, 0]);
  expect(readFileSync(join(kept, 'image')).equals(picture)).toBe(true);
  expect(readdirSync(host.inbox)).toEqual([]);
});

describe("what is wrong comes back in OpenAI's form", () => {
  const generate = (more: object) => client.images.generate({ prompt: 'a dog', ...more } as never);
  test.each<[string, object, Partial<Record<keyof APIError, unknown>>]>([
    ['no prompt', { prompt: '' }, { status: 400, param: 'prompt' }],
    ['too many', { n: 50 }, { status: 400, param: 'n', message: expect.stringMatching(/n is 50: give/) }],
    ['too large', { size: '9000x64' }, { status: 400, param: 'size' }],
    ['an answer in pieces', { stream: true }, { status: 400, param: 'stream' }],
    ['a size that is none', { size: 'large' }, { status: 400, param: 'size' }],
    ['an unknown model', { model: 'dall-e-3' }, { status: 404, code: 'model_not_found' }],
    [
      'an unknown subject',
      { model: 'dreambooth:mia' },
      { status: 404, code: 'model_not_found', param: 'model' },
    ],
    ['an unknown subject in a prompt', { prompt: '@mia' }, { status: 400, code: 'unknown-subject' }],
    ['a transparent background', { background: 'transparent' }, { status: 400, param: 'background' }],
  ])('%s', async (_, more, wanted) => {
    expect(await errorOf(generate(more))).toMatchObject(wanted);
  });

  test('a wrong key, an edit without a picture, another route, a page, a body too large', async () => {
    const stranger = new OpenAI({ apiKey: 'secre', baseURL: server.url, maxRetries: 0 });
    expect(await errorOf(stranger.models.list())).toMatchObject({ status: 401, code: 'invalid_api_key' });
    const authorization = { authorization: 'Bearer secret' };
    const post = (path: string, init: RequestInit) =>
      fetch(server.url + path, { method: 'POST', ...init, headers: { ...authorization, ...init.headers } });
    const form = new FormData();
    form.set('prompt', 'a dog');
    expect((await post('/images/edits', { body: form })).status).toBe(400);
    expect((await post('/images/edits', { body: '{}' })).status).toBe(400);
    expect((await post('/images/generations', { body: '{' })).status).toBe(400);
    expect((await post('/images/variations', { body: form })).status).toBe(404);
    expect(
      (await post('/images/generations', { body: '{}', headers: { origin: 'https://example.org' } })).status,
    ).toBe(403);
    expect((await post('/images/generations', { body: new Uint8Array(51e6) })).status).toBe(413);
  });

  test('nothing at all, and another name of the server', async () => {
    const asked = await fetch(`${server.url}/images/generations`, {
      method: 'POST',
      body: '{}',
      headers: { authorization: 'Bearer secret' },
    });
    const { error } = (await asked.json()) as { error: { message: string; param: string } };
    expect(error).toMatchObject({
      param: 'prompt',
      message: expect.stringMatching(/^prompt is missing: give /),
    });
    const named = await new Promise<string>((resolve) =>
      request(`${server.url}/models`, { headers: { host: 'there.example.org' } }, (response) =>
        response.setEncoding('utf8').on('data', resolve),
      ).end(),
    );
    expect(named).toContain('--allow-host there.example.org');
  });

  test('a text in place of a picture', async () => {
    writeFileSync(join(folder, 'text.png'), 'no picture');
    const image = await toFile(readFileSync(join(folder, 'text.png')), 'text.png', { type: 'image/png' });
    const error = await errorOf(client.images.edit({ image, prompt: 'a dog' }));
    expect(error).toMatchObject({ status: 400, param: 'image' });
    expect(error.message).toContain('image is no picture');
    expect(error.message).not.toContain(folder);
  });
});

test('a port that is in use, and an address of another machine, are named', async () => {
  const port = Number(new URL(server.url).port);
  const refused = serveImages(host, { port, key: null });
  await expect(refused).rejects.toThrow(InvalidOptionError);
  await expect(refused).rejects.toThrow(
    `127.0.0.1:${port} is in use by another program, or by this one started before: give another port, as ${port + 1}`,
  );
  await expect(serveImages(host, { port: 0, address: '192.0.2.1', key: null })).rejects.toThrow(
    /192\.0\.2\.1 is no address of this machine/,
  );
});

test('a key that was lost lets nobody in', async () => {
  const open = await serveImages(host, { port: 0, key: '' });
  const { status } = await fetch(`${open.url}/models`);
  await open.close();
  expect(status).toBe(401);
});

test('a job of a client that has left is not drawn', async () => {
  const leaving = new AbortController();
  const asked = client.images.generate(
    { prompt: 'a slow dog', ...{ steps: 200 } },
    { signal: leaving.signal },
  );
  while (listJobs(host.home)[0]?.state !== 'running') await new Promise((resolve) => setTimeout(resolve, 20));
  leaving.abort();
  await expect(asked).rejects.toThrow();
  while (listJobs(host.home)[0]?.state !== 'cancelled')
    await new Promise((resolve) => setTimeout(resolve, 20));
});
