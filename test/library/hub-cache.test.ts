/** Models in the Hugging Face cache, named by their hub ids. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MissingFileError, UnsupportedModelError, WrongBaseError } from '../../sdk/errors';
import { readPngText, writePng } from '../../sdk/images/png';
import { readImage } from '../../sdk/images/read-image';
import { createEngine } from '../../sdk/jobs/engine';
import { cachedModel } from '../../sdk/library/cached-model';
import { hubCacheFolder } from '../../sdk/library/hub-cache';
import { parseHubId } from '../../sdk/library/hub-id';
import { toyPhotos } from '../../sdk/toybox/toy-subject';
import { commitOf, filesOf, putIntoCache } from './hub-cache-layout';

const golden = join(import.meta.dirname, '../../fixtures/golden');
const source = join(golden, 'sd15-tiny');
const root = mkdtempSync(join(tmpdir(), 'dreambooth-hub-cache-'));
let cache: string;
let made = 0;

beforeEach(() => {
  cache = join(root, `cache-${made++}`);
  vi.stubEnv('HF_HUB_CACHE', cache);
});
afterEach(() => vi.unstubAllEnvs());
afterAll(() => rmSync(root, { recursive: true, force: true }));

function refusal(name: string): MissingFileError {
  try {
    cachedModel(name);
  } catch (error) {
    expect(error).toBeInstanceOf(MissingFileError);
    return error as MissingFileError;
  }
  throw new Error(`${name} was found`);
}

describe('the cache is where its tools keep it', () => {
  test.each([
    [{ HF_HUB_CACHE: '/a', HUGGINGFACE_HUB_CACHE: '/b', HF_HOME: '/c' }, '/a'],
    [{ HF_HUB_CACHE: '', HUGGINGFACE_HUB_CACHE: '/b', HF_HOME: '/c' }, '/b'],
    [{ HF_HOME: '/c', XDG_CACHE_HOME: '/d' }, '/c/hub'],
    [{ HF_HOME: '~/c', HOME: '/home/me' }, '/home/me/c/hub'],
    [{ XDG_CACHE_HOME: '/d' }, '/d/huggingface/hub'],
    [{ HOME: '/home/me' }, '/home/me/.cache/huggingface/hub'],
    [{}, join(homedir(), '.cache/huggingface/hub')],
  ])('%j', (environment, folder) => expect(hubCacheFolder(environment)).toBe(folder));
});

test('a hub id is an organisation and a name, with a revision at most', () => {
  expect(parseHubId('org/name')).toEqual({ repository: 'org/name', revision: 'main' });
  expect(parseHubId('org/na.me-1_5@refs/pr/3')).toEqual({
    repository: 'org/na.me-1_5',
    revision: 'refs/pr/3',
  });
  const others = [
    'name',
    './name',
    '../name',
    'a/b/c',
    '/a/b',
    'a/b.safetensors',
    'a--b/c',
    'a/b@../c',
    'C:\\a',
  ];
  for (const text of others) expect(parseHubId(text), text).toBeUndefined();
});

describe('a hub id finds', () => {
  test('what its branch, a tag or a commit points at', () => {
    const first = putIntoCache(cache, 'org/model', source);
    const second = putIntoCache(cache, 'org/model', source, {
      reference: 'refs/pr/1',
      commit: commitOf('2'),
    });
    expect(cachedModel('org/model')).toBe(first.snapshot);
    expect(cachedModel('org/model@main')).toBe(first.snapshot);
    expect(cachedModel('org/model@refs/pr/1')).toBe(second.snapshot);
    expect(cachedModel(`org/model@${commitOf('2')}`)).toBe(second.snapshot);
  });

  test('nothing: what was looked for, where, what is near, and how to get it', () => {
    putIntoCache(cache, 'org/model-one', source);
    putIntoCache(cache, 'other/thing', source);
    const { message } = refusal('org/model-on');
    expect(message).toContain(`models--org--model-on in ${cache}`);
    expect(message).toMatch(
      /There is org\/model-one, other\/thing\. Get it with: dreambooth models pull org\/model-on$/,
    );
    rmSync(cache, { recursive: true });
    expect(refusal('org/model').message).toMatch(/Get it with: dreambooth models pull org\/model$/);
  });

  test('another revision: which there are', () => {
    putIntoCache(cache, 'org/model', source);
    expect(refusal('org/model@v2').message).toMatch(
      /no revision "v2"\. There is org\/model\. Get it with: dreambooth models pull org\/model@v2$/,
    );
  });

  test('half a download: what is missing, and how to get the rest', () => {
    const without = (part: RegExp) => filesOf(source).filter((path) => !part.test(path));
    putIntoCache(cache, 'org/no-unet', source, { files: without(/^unet\/diff/) });
    expect(refusal('org/no-unet').message).toMatch(
      /download of org\/no-unet is not whole; get the rest with dreambooth models pull org\/no-unet: There are no weights in .*unet/,
    );
    for (const part of [
      /^vae\//,
      /^tokenizer\//,
      /scheduler_config/,
      /^text_encoder\/config/,
      /model_index/,
    ]) {
      const id = `org/without-${part.source.replace(/\W/g, '')}`;
      putIntoCache(cache, id, source, { files: without(part) });
      expect(refusal(id).message).toContain(`dreambooth models pull ${id}`);
    }
    const { repository, snapshot } = putIntoCache(cache, 'org/begun', source);
    writeFileSync(join(repository, 'blobs', 'ab.incomplete'), 'x');
    rmSync(snapshot, { recursive: true });
    expect(refusal('org/begun').message).toMatch(/Its download was broken off\. Get it with/);
  });

  test('a link whose bytes were removed', () => {
    const { repository, snapshot } = putIntoCache(cache, 'org/model', source);
    rmSync(join(snapshot, 'vae/diffusion_pytorch_model.safetensors'));
    symlinkSync(join(repository, 'blobs/gone'), join(snapshot, 'vae/diffusion_pytorch_model.safetensors'));
    expect(refusal('org/model').message).toMatch(/no weights in .*vae/);
  });

  test('a model of another kind, which pulling again would not mend', () => {
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(root, 'model_index.json'), '{"_class_name": "FluxPipeline"}');
    putIntoCache(cache, 'org/flux', root, { files: ['model_index.json'] });
    expect(() => cachedModel('org/flux')).toThrow(UnsupportedModelError);
  });
});

test('a subject is learned, drawn and kept on a model of the cache, by its id', {
  timeout: 60_000,
}, async () => {
  const photo = join(root, 'photo.png');
  const [data] = toyPhotos({ class: 'dog', seed: 3 });
  await writePng(photo, { width: 64, height: 64, data: data! });
  const engine = createEngine({ home: join(root, 'home'), mode: 'in-process', base: 'org/tiny' });
  const plain = createEngine({ home: join(root, 'home'), mode: 'in-process', base: source });
  try {
    putIntoCache(cache, 'org/tiny', source);
    const settings = { steps: 1, prior: 'none' } as const;
    const rex = await engine.personalize({ images: [photo], className: 'dog', name: 'rex', settings });
    expect(rex.base.path).toBe('org/tiny');
    const picture = { prompt: 'a photo of @rex', seed: 5, steps: 1 };
    const [image] = await engine.generate(picture);
    const [same] = await plain.generate({ ...picture, base: source });
    const [pixels, wanted] = await Promise.all([image!, same!].map(({ png }) => readImage(png)));
    expect(pixels).toEqual(wanted);
    expect(JSON.parse(readPngText(image!.png)['dreambooth']!).base.name).toBe('org/tiny');

    // Another model in its place is not taken for it; none is missed.
    rmSync(cache, { recursive: true });
    putIntoCache(cache, 'org/tiny', join(golden, 'sd21-tiny'));
    await expect(engine.generate(picture)).rejects.toThrow(WrongBaseError);
    rmSync(cache, { recursive: true });
    await expect(engine.generate(picture)).rejects.toThrow(/no base model org\/tiny.*models pull org\/tiny/);
    expect(existsSync(cache)).toBe(false);
  } finally {
    await engine.close();
    await plain.close();
  }
});
