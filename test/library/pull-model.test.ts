/** What is fetched of a model, and what a hub does not give. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { openSafetensors, readFloat32, safetensorsChunks } from '../../sdk/checkpoint/safetensors';
import {
  HubAccessError,
  InvalidOptionError,
  UnknownModelError,
  UnsupportedModelError,
} from '../../sdk/errors';
import { createEngine } from '../../sdk/jobs/engine';
import { cachedModel } from '../../sdk/library/cached-model';
import { type ModelOnHub, type PullOptions, pullModel } from '../../sdk/library/pull-model';
import type { StepEnd } from '../../sdk/work/progress';
import { commitOf } from './hub-cache-layout';
import {
  bytesOf,
  failure,
  halves,
  holds,
  id,
  junk,
  plain,
  source,
  tinyOnHub,
  unet,
  withoutWeights,
} from './tiny-on-hub';

const tiny = tinyOnHub();

describe('what is fetched', () => {
  test('what a base needs and nothing else, told before it begins', async () => {
    const told: ModelOnHub[] = [];
    const pulled = await pullModel(id, {
      onFound(found) {
        told.push(found);
        expect(readdirSync(join(tiny.repository, 'blobs')).length).toBe(1);
      },
    });
    holds(tiny, plain);
    const bytes = bytesOf(plain);
    expect(told).toEqual([
      expect.objectContaining({
        id,
        commit: commitOf(id),
        licence: 'creativeml-openrail-m',
        page: `${tiny.hub.url}/${id}`,
        bytes,
        bytesToFetch: bytes - plain.get('model_index.json')!.length,
        cache: tiny.cache,
      }),
    ]);
    expect(pulled).toMatchObject({ base: id, path: tiny.snapshot, family: 'SD 1', precision: 'float32' });
    expect(cachedModel(id)).toBe(tiny.snapshot);
    expect(tiny.hub.served(unet)).toBe(plain.get(unet)!.length);
  });

  test('half precision where it is published, full when asked for', async () => {
    tiny.publish(new Map([...plain, ...halves()]));
    expect(await pullModel(id)).toMatchObject({ precision: 'float16' });
    holds(tiny, new Map([...withoutWeights, ...halves()]));
    rmSync(tiny.cache, { recursive: true });
    expect(await pullModel(id, { variant: 'full' })).toMatchObject({ precision: 'float32' });
    holds(tiny, plain);
    tiny.publish(plain);
    expect(await failure(id, { variant: 'fp16' })).toBeInstanceOf(InvalidOptionError);
    expect((await failure(id, { variant: 'fp16' })).message).toMatch(
      /no weights of the variant "fp16".*full/,
    );
  });

  test('shards, with the index that lists them', async () => {
    const index = 'unet/diffusion_pytorch_model.safetensors.index.json';
    const half = 'unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors';
    const parts = [1, 2].map((n) => `unet/diffusion_pytorch_model-0000${n}-of-00002.safetensors`);
    const tensors = [...openSafetensors(join(source, unet)).tensors];
    const cut = Math.floor(tensors.length / 2);
    const written = [tensors.slice(0, cut), tensors.slice(cut)].map((part) =>
      Buffer.concat([
        ...safetensorsChunks(
          part.map(([key, stored]) => [
            key,
            { dtype: 'float32', shape: stored.shape, data: readFloat32(stored) },
          ]),
        ),
      ]),
    );
    const map = tensors.map(([key], i) => [key, parts[i < cut ? 0 : 1]!.slice('unet/'.length)]);
    const sharded = new Map(plain);
    sharded.delete(unet);
    sharded.set(index, Buffer.from(JSON.stringify({ weight_map: Object.fromEntries(map) })));
    for (const [i, part] of parts.entries()) sharded.set(part, written[i]!);
    tiny.publish(new Map([...sharded, [half, junk(200_000)]]));
    await pullModel(id);
    holds(tiny, sharded);
  });

  test('the only checkpoint of a repository that has no folders; of several, the one that is named', async () => {
    const lora = Buffer.concat([
      ...safetensorsChunks([
        ['x.lora_up.weight', { dtype: 'float32', shape: [1], data: new Float32Array(1) }],
      ]),
    ]);
    tiny.publish(
      new Map([
        ['one.safetensors', lora],
        ['README.md', junk(9)],
      ]),
    );
    // It is no base, which shows when it is there.
    expect(await failure()).toBeInstanceOf(UnsupportedModelError);
    tiny.publish(
      new Map([
        ['one.safetensors', lora],
        ['two.safetensors', junk(2_000_000_000 / 1000)],
      ]),
    );
    expect((await failure()).message).toMatch(
      /several checkpoints: name one with --include, of one\.safetensors \(.*two/,
    );
    expect((await failure(id, { include: ['three.safetensors'] })).message).toMatch(
      /no file three.*one\.safetensors, two/,
    );
    await failure(id, { include: ['one.safetensors'] });
    expect(tiny.hub.served('two.safetensors')).toBe(0);
  });

  test('no pickles, and nothing of a model of another kind', async () => {
    tiny.publish(new Map([['model.ckpt', junk(10)]]));
    expect((await failure()).message).toMatch(/model\.ckpt is a Python pickle/);
    expect((await failure(id, { include: ['model.ckpt'] })).message).toMatch(/pickle/);
    const pickled = new Map(plain);
    pickled.delete(unet);
    tiny.publish(new Map([...pickled, ['unet/diffusion_pytorch_model.bin', junk(10)]]));
    expect((await failure()).message).toMatch(/unet\/diffusion_pytorch_model\.bin is a Python pickle/);
    tiny.publish(new Map([...plain, ['model_index.json', Buffer.from('{"_class_name": "FluxPipeline"}')]]));
    expect((await failure()).message).toMatch(/org\/tiny is a FluxPipeline .*, which is not supported/);
    expect(tiny.hub.served(unet)).toBe(0);
  });

  test('another revision, beside the first', async () => {
    await pullModel(id);
    tiny.hub.models.set(id, { files: plain, commit: commitOf('v1') });
    tiny.hub.reset();
    const pulled = await pullModel(`${id}@v1`);
    expect(pulled.path).toBe(join(tiny.repository, 'snapshots', commitOf('v1')));
    expect(cachedModel(`${id}@v1`)).toBe(pulled.path);
    expect(cachedModel(id)).toBe(tiny.snapshot);
    // The bytes are the same, and here.
    expect(tiny.hub.asked.filter(({ url }) => url.includes('/resolve/'))).toEqual([]);
  });

  test('nothing of what is here already; progress counts bytes to the end', async () => {
    const steps: StepEnd[] = [];
    const onProgress: PullOptions['onProgress'] = (event) => event.kind === 'step-end' && steps.push(event);
    await pullModel(id, { onProgress });
    const bytes = bytesOf(plain);
    expect(steps[0]).toMatchObject({ phase: 'download', step: 0, steps: bytes });
    expect(steps.at(-1)).toMatchObject({ step: bytes, steps: bytes, secondsLeft: 0 });
    expect(steps.map(({ step }) => step)).toEqual(steps.map(({ step }) => step).sort((a, b) => a - b));
    tiny.hub.reset();
    await pullModel(id);
    expect(tiny.hub.served(unet)).toBe(0);
  });
});

test('what was fetched draws with no hub there, by the id', { timeout: 60_000 }, async () => {
  tiny.publish(new Map([...plain, ...halves()]));
  await pullModel(id);
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  const engine = createEngine({ home: join(tiny.root, 'home'), mode: 'in-process', base: id });
  try {
    const [image] = await engine.generate({ prompt: 'a dog', seed: 1, steps: 1 });
    expect(image!.png.length).toBeGreaterThan(100);
  } finally {
    await engine.close();
  }
});

describe('the hub refuses', () => {
  const token = 'hf_secret';

  test('a model that it does not know, or a revision', async () => {
    const error = await failure('org/tinny');
    expect(error).toBeInstanceOf(UnknownModelError);
    expect(error.message).toMatch(/no public model org\/tinny at http.*spelling.*private.*HF_TOKEN/);
    expect((await failure(`${id}@v9`)).message).toMatch(/has no revision "v9"/);
    expect(await failure('tinny')).toBeInstanceOf(InvalidOptionError);
    expect(existsSync(join(tiny.cache, 'models--org--tinny'))).toBe(false);
  });

  test('one whose terms are to be accepted: where, and what to set', async () => {
    tiny.publish(plain, {
      token,
      card: { license: 'other', license_name: 'house-rules', license_link: 'LICENSE.md' },
    });
    const error = await failure();
    expect(error).toBeInstanceOf(HubAccessError);
    expect(error.message).toContain(`accept them at ${tiny.hub.url}/${id}`);
    expect(error.message).toMatch(/Set HF_TOKEN/);
    vi.stubEnv('HF_TOKEN', 'hf_wrong');
    const wrong = await failure();
    expect(wrong).toBeInstanceOf(HubAccessError);
    expect(wrong.message).toMatch(/has no access/);
    expect(JSON.stringify([wrong.message, wrong.stack])).not.toContain('hf_wrong');
  });

  test.each([
    ['HF_TOKEN', () => vi.stubEnv('HF_TOKEN', token)],
    ['HUGGING_FACE_HUB_TOKEN', () => vi.stubEnv('HUGGING_FACE_HUB_TOKEN', token)],
    [
      'the file that logging in writes',
      () => {
        const home = join(tiny.root, `logged-in`);
        mkdirSync(home);
        writeFileSync(join(home, 'token'), `${token}\n`);
        vi.stubEnv('HF_HOME', home);
      },
    ],
  ])('not who brings the token, from %s, which goes to the hub alone', async (_, give) => {
    give();
    tiny.publish(plain, {
      token,
      card: { license: 'other', license_name: 'house-rules', license_link: 'LICENSE.md' },
    });
    expect((await pullModel(id)).licence).toBe('house-rules (LICENSE.md)');
    const sent = (fromBytes: string) =>
      new Set(
        tiny.hub.asked.filter((one) => one.fromBytes === fromBytes).map(({ authorization }) => authorization),
      );
    expect(sent('hub')).toEqual(new Set([`Bearer ${token}`]));
    expect(sent('bytes')).toEqual(new Set([undefined]));
  });

  test('a token that is no more', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_old');
    tiny.hub.fault(/revision/, { status: 401, headers: {}, body: 'Invalid credentials' });
    expect((await failure()).message).toMatch(/does not accept the token.*renew HF_TOKEN, or unset it/);
  });
});
