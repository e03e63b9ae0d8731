/** A tiny checkpoint on the stand-in hub, with what published models have beside; a cache of its own for each test. */
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from 'vitest';
import { openSafetensors, readFloat32, safetensorsChunks } from '../../sdk/checkpoint/safetensors';
import type { DreamBoothError } from '../../sdk/errors';
import { float32ToHalf } from '../../sdk/half';
import { type PullOptions, pullModel } from '../../sdk/library/pull-model';
import { commitOf, filesOf } from './hub-cache-layout';
import { type PublishedModel, type StandInHub, startHub } from './stand-in-hub';

export const source = join(import.meta.dirname, '../../fixtures/golden/sd15-tiny');
export const id = 'org/tiny';
export const unet = 'unet/diffusion_pytorch_model.safetensors';
/** What a base needs. */
export const plain: ReadonlyMap<string, Buffer> = new Map(
  filesOf(source).map((path) => [path, readFileSync(join(source, path))]),
);
export const bytesOf = (files: ReadonlyMap<string, Buffer>) =>
  [...files.values()].reduce((sum, { length }) => sum + length, 0);
export const junk = (bytes: number) => Buffer.alloc(bytes, 'junk');

const extras = new Map<string, Buffer>([
  ['README.md', junk(100)],
  ['v1-5-pruned.ckpt', junk(200_000)],
  ['safety_checker/model.safetensors', junk(200_000)],
  ['safety_checker/config.json', junk(10)],
  ['feature_extractor/preprocessor_config.json', junk(10)],
  ['unet/diffusion_pytorch_model.bin', junk(200_000)],
  ['unet/diffusion_pytorch_model.non_ema.safetensors', junk(200_000)],
  ['unet/model.onnx', junk(200_000)],
  ['vae/diffusion_flax_model.msgpack', junk(200_000)],
  ['text_encoder/pytorch_model.bin', junk(200_000)],
]);

const weights = [...plain.keys()].filter((path) => path.endsWith('.safetensors'));
export const withoutWeights = new Map([...plain].filter(([path]) => !weights.includes(path)));

/** The weights again, in half precision, as a variant. */
export const halves = (): Map<string, Buffer> =>
  new Map(
    weights.map((path) => {
      const tensors = [...openSafetensors(join(source, path)).tensors].map(([key, stored]) => {
        const data = float32ToHalf(readFloat32(stored));
        return [key, { dtype: 'float16', shape: stored.shape, data }] as const;
      });
      return [
        path.replace('.safetensors', '.fp16.safetensors'),
        Buffer.concat([...safetensorsChunks(tensors)]),
      ];
    }),
  );

export interface TinyOnHub {
  readonly hub: StandInHub;
  /** A folder for the file, and the cache of the test. */
  readonly root: string;
  readonly cache: string;
  readonly repository: string;
  readonly snapshot: string;
  /** Puts other files in the model's place. */
  publish(files: ReadonlyMap<string, Buffer>, more?: Partial<PublishedModel>): void;
  /** Names of blobs that are not whole. */
  incomplete(): string[];
}

/** Sets a file's tests up; what is returned is to be read within them. */
export function tinyOnHub(): TinyOnHub {
  const root = mkdtempSync(join(tmpdir(), 'dreambooth-pull-'));
  let hub: StandInHub;
  let made = 0;
  const tiny: TinyOnHub = {
    root,
    get hub() {
      return hub;
    },
    get cache() {
      return join(root, `cache-${made}`);
    },
    get repository() {
      return join(tiny.cache, 'models--org--tiny');
    },
    get snapshot() {
      return join(tiny.repository, 'snapshots', commitOf(id));
    },
    publish: (files, more = {}) => hub.models.set(id, { files, commit: commitOf(id), ...more }),
    incomplete: () =>
      readdirSync(join(tiny.repository, 'blobs')).filter((name) => name.endsWith('.incomplete')),
  };
  beforeAll(async () => {
    hub = await startHub();
  });
  beforeEach(() => {
    made++;
    const unset = [
      'HF_TOKEN',
      'HUGGING_FACE_HUB_TOKEN',
      'HF_HUB_OFFLINE',
      'HTTP_PROXY',
      'http_proxy',
      'no_proxy',
    ];
    for (const name of unset) vi.stubEnv(name, undefined);
    vi.stubEnv('HF_HUB_CACHE', tiny.cache);
    vi.stubEnv('HF_HOME', join(root, 'nobody'));
    vi.stubEnv('HF_ENDPOINT', hub.url);
    hub.reset();
    hub.models.clear();
    tiny.publish(new Map([...plain, ...extras]), { card: { license: 'creativeml-openrail-m' } });
  });
  afterEach(() => vi.unstubAllEnvs());
  afterAll(async () => {
    await hub.close();
    rmSync(root, { recursive: true, force: true });
  });
  return tiny;
}

export async function failure(name = id, options: PullOptions = {}): Promise<DreamBoothError> {
  const error = await pullModel(name, options).then(
    () => new Error(`${name} was fetched`),
    (thrown) => thrown,
  );
  return error as DreamBoothError;
}

/** The snapshot is these files, each a link to a blob that is named by a hash; the branch points at it. */
export function holds(
  { repository, snapshot, incomplete }: TinyOnHub,
  files: ReadonlyMap<string, Buffer>,
): void {
  const found = readdirSync(snapshot, { recursive: true, withFileTypes: true })
    .filter((one) => !one.isDirectory())
    .map((one) => join(one.parentPath, one.name).slice(snapshot.length + 1));
  expect(found.sort()).toEqual([...files.keys()].sort());
  for (const [path, bytes] of files) {
    const place = join(snapshot, path);
    expect(lstatSync(place).isSymbolicLink()).toBe(true);
    expect(readlinkSync(place)).toMatch(/^(\.\.\/){2,3}blobs\/[0-9a-f]{40,64}$/);
    expect(readFileSync(place).equals(bytes), path).toBe(true);
  }
  expect(readFileSync(join(repository, 'refs/main'), 'utf8')).toBe(commitOf(id));
  expect(incomplete()).toEqual([]);
}
