/** What CLIP, DINO and LPIPS see, against transformers, torchvision and the lpips package on tiny random weights. */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { openSafetensors, readFloat32, readTensor } from '../../sdk/checkpoint/safetensors';
import {
  lpipsDiversity,
  meanPairCosine,
  promptCosine,
  squaredDistance,
} from '../../sdk/evaluation/embedding-metrics';
import { Graph, type Value } from '../../sdk/graph/graph';
import { writeOnnxModel } from '../../sdk/graph/onnx-model';
import { op } from '../../sdk/graph/operators';
import { preprocess } from '../../sdk/images/preprocess';
import { readImage } from '../../sdk/images/read-image';
import { createEngine } from '../../sdk/jobs/engine';
import type { EncoderFile } from '../../sdk/work/picture-encoder';
import { type PublishedKind, preparationOf } from '../../sdk/work/picture-preparation';

const fixtures = join(import.meta.dirname, '../../fixtures/evaluation');
const folder = mkdtempSync(join(tmpdir(), 'picture-encoder-'));
const engine = createEngine({ home: join(folder, 'home'), mode: 'in-process', threads: 1 });
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true });
});

function unpacked(name: string): string {
  const file = join(folder, name);
  writeFileSync(file, brotliDecompressSync(readFileSync(join(fixtures, `${name}.br`))));
  return file;
}

const { tensors, metadata } = openSafetensors(unpacked('references.safetensors'));
const said = <T>(name: string) => JSON.parse(metadata[name]!) as T;
const names = said<string[]>('pictures');
const texts = said<string[]>('texts');
const groups = said<Record<string, string[]>>('groups');
const sets = said<Record<'photos' | 'drawn' | 'bare', string[]>>('sets');
const metrics = said<Record<'CLIP-I' | 'CLIP-T' | 'DINO' | 'PRES' | 'DIV', number>>('metrics');
const numbers = (key: string) => readFloat32(tensors.get(key)!);
/** Rows of a reference [rows, …]. */
function rows(key: string): Float32Array[] {
  const all = numbers(key);
  const [count] = tensors.get(key)!.shape as [number];
  const length = all.length / count;
  return Array.from({ length: count }, (_, i) => all.subarray(i * length, (i + 1) * length));
}

const fileOf = (name: string) => join(folder, `${name}.png`);
for (const name of names)
  writeFileSync(fileOf(name), readTensor(tensors.get(`file/${name}`)!).data as Uint8Array);
const files = names.map(fileOf);

/** An encoder of the fixtures without its preprocessor_config.json. */
function bare(name: 'clip' | 'dino'): string {
  const path = join(folder, `bare-${name}`);
  cpSync(join(fixtures, name), path, { recursive: true });
  rmSync(join(path, 'preprocessor_config.json'));
  return path;
}
const [clip, dino] = [join(fixtures, 'clip'), join(fixtures, 'dino')];
const [bareClip, bareDino] = [bare('clip'), bare('dino')];
const lpips = unpacked('lpips.safetensors');
const onnx = join(dino, 'model.onnx');
const bareOnnx = join(bareDino, 'model.onnx');

const embed = (
  kind: EncoderFile['kind'],
  path: string,
  pictures: readonly string[],
  read: readonly string[] = [],
) => engine.embed({ encoder: { kind, path }, pictures, texts: read });

/** The largest difference, of any number of any row. */
const apart = (ours: readonly ArrayLike<number>[], theirs: readonly ArrayLike<number>[]): number => {
  expect(ours.map(({ length }) => length)).toEqual(theirs.map(({ length }) => length));
  return Math.max(
    ...ours.flatMap((row, i) => Array.from(row, (value, k) => Math.abs(value - theirs[i]![k]!))),
  );
};

/** Numbers of the references are of about 1; what is found is some 1e-6. */
const tolerance = 1e-5;

/** Each network, as its folder's preprocessor_config.json has pictures prepared, and as its authors do where there is none. */
const cases = [
  ['CLIP', 'clip', clip, 'clip/transformers'],
  ['CLIP without a preprocessor_config.json', 'clip', bareClip, 'clip/torchvision'],
  ['DINO', 'dino', dino, 'dino/transformers'],
  ['DINO without a preprocessor_config.json', 'dino', bareDino, 'dino/torchvision'],
  ['an ONNX file of DINO', 'dino', onnx, 'dino/transformers'],
  ['an ONNX file of DINO alone', 'dino', bareOnnx, 'dino/torchvision'],
  ['an ONNX file for DreamSim', 'dreamsim', bareOnnx, 'dreamsim/torchvision'],
] as const satisfies readonly (readonly [string, PublishedKind, string, string])[];

describe.each(cases)('%s', (_, kind, path, reference) => {
  test(`sees the pixels of ${reference}`, async () => {
    const preparation = preparationOf(kind, path, 32);
    const seen = await Promise.all(
      files.map(async (file) => preprocess(await readImage(file), preparation).planes),
    );
    expect(apart(seen, rows(`${reference}/pixels`))).toBeLessThan(tolerance);
  });

  test(`makes of them what ${reference} is`, async () => {
    const { pictures } = await embed(kind, path, files);
    expect(apart(pictures, rows(`${reference}/embeddings`))).toBeLessThan(tolerance);
  });
});

test('CLIP reads texts, cut to its own length, as transformers', async () => {
  const read = await embed('clip', clip, [], texts);
  expect(apart(read.texts, rows('clip/texts'))).toBeLessThan(tolerance);
});

test.each(Object.entries(groups))('LPIPS of the pairs of %s, as the package', async (group, members) => {
  const { pictures } = await embed('lpips', lpips, members.map(fileOf));
  const distances = pictures.flatMap((one, i) =>
    pictures.slice(i + 1).map((other) => squaredDistance(one, other)),
  );
  expect(apart([distances], [numbers(`lpips/${group}`)])).toBeLessThan(tolerance);
});

test('the metrics over all of these', async () => {
  const vectors = async (kind: EncoderFile['kind'], path: string, set: keyof typeof sets) =>
    (await embed(kind, path, sets[set].map(fileOf))).pictures;
  const clipped = await embed('clip', clip, sets.drawn.map(fileOf), texts);
  const photos = await vectors('dino', dino, 'photos');
  const prompts: (readonly Float32Array[])[] = [];
  for (const members of Object.values(groups)) {
    prompts.push((await embed('lpips', lpips, members.map(fileOf))).pictures);
  }
  const ours = {
    'CLIP-I': meanPairCosine(clipped.pictures, await vectors('clip', clip, 'photos')),
    'CLIP-T': promptCosine(clipped.pictures.map((picture, i) => ({ picture, prompt: clipped.texts[i]! }))),
    DINO: meanPairCosine(await vectors('dino', dino, 'drawn'), photos),
    PRES: meanPairCosine(await vectors('dino', dino, 'bare'), photos),
    DIV: lpipsDiversity(prompts),
  };
  expect(Object.keys(ours)).toEqual(Object.keys(metrics));
  expect(apart([Object.values(ours)], [Object.values(metrics)])).toBeLessThan(tolerance);
});

describe('how pictures are prepared is said', () => {
  const imageNet = { image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] };
  /** The description of the fixture's network with such a file, and what is warned of. */
  async function opened(kind: 'dino' | 'clip', config: Readonly<Record<string, unknown>>, file = '') {
    const path = join(mkdtempSync(join(folder, 'said-')), 'network');
    cpSync(kind === 'dino' ? dino : clip, path, { recursive: true });
    writeFileSync(join(path, 'preprocessor_config.json'), JSON.stringify(config));
    const warnings: string[] = [];
    const { encoder } = await engine.embed(
      { encoder: { kind, path: join(path, file) }, pictures: [], texts: [] },
      {
        onProgress(event) {
          if (event.kind === 'warning-found') warnings.push(event.message);
        },
      },
    );
    return { encoder, warnings };
  }
  const processor = { image_processor_type: 'ViTImageProcessor', size: { height: 32, width: 32 } };

  test("as DINO's authors do where no file says otherwise", async () => {
    const { encoder } = await embed('dino', bareDino, []);
    expect(encoder).toMatch(
      /^DINO ViT\/\d+, \d layers of 32 \(pictures shorter side bicubic to 37, 32 × 32 cut out, mean and std of ImageNet\)$/,
    );
  });

  test.each(['', 'model.onnx'])(
    'as the file beside it says, with a warning of a mean of 0.5: %s',
    async (file) => {
      expect(await opened('dino', { ...processor, ...imageNet }, file)).toEqual({
        encoder: expect.stringContaining('pictures bilinear to 32 × 32, uncut, mean and std of ImageNet)'),
        warnings: [],
      });
      expect(await opened('dino', processor, file)).toEqual({
        encoder: expect.stringContaining('uncut, mean 0.5 0.5 0.5, std 0.5 0.5 0.5)'),
        warnings: [
          expect.stringMatching(/preprocessor_config\.json has pictures prepared with mean 0\.5 .*ImageNet/),
        ],
      });
    },
  );

  test('CLIP is not DINO', async () => {
    const config = { ...processor, do_center_crop: false };
    expect(await opened('clip', config)).toEqual({
      encoder: expect.stringContaining(
        '(pictures bilinear to 32 × 32, uncut, mean 0.5 0.5 0.5, std 0.5 0.5 0.5)',
      ),
      warnings: [],
    });
  });
});

describe('preprocessor_config.json', () => {
  let count = 0;
  /** Where a file of that content lies, alone in its folder. */
  function written(config: Readonly<Record<string, unknown>>): string {
    const path = join(folder, `processor-${count++}`);
    mkdirSync(path);
    writeFileSync(join(path, 'preprocessor_config.json'), JSON.stringify(config));
    return path;
  }
  const published = {
    do_normalize: true,
    do_resize: true,
    image_mean: [0.1, 0.2, 0.3],
    image_std: [0.4, 0.5, 0.6],
  };
  const own = { mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6], halves: 'down' };

  test.each([
    [
      'of facebook/dino-vits16, where one number is both sides',
      'dino',
      { ...published, feature_extractor_type: 'ViTFeatureExtractor', resample: 2, size: 224 },
      { ...own, shorterSide: null, filter: 'bilinear', crop: 224 },
    ],
    [
      'of openai/clip-vit-base-patch32, where it is the shorter',
      'clip',
      {
        ...published,
        ...{ feature_extractor_type: 'CLIPFeatureExtractor', resample: 3, size: 224 },
        ...{ do_center_crop: true, crop_size: 224 },
      },
      { ...own, shorterSide: 224, filter: 'bicubic', crop: 224 },
    ],
    [
      'of facebook/dinov2-small',
      'dino',
      {
        ...published,
        ...{ image_processor_type: 'BitImageProcessor', resample: 3, size: { shortest_edge: 256 } },
        ...{ do_center_crop: true, crop_size: { height: 224, width: 224 }, do_convert_rgb: true },
      },
      { ...own, shorterSide: 256, filter: 'bicubic', crop: 224 },
    ],
    [
      "that leaves all to ViT's processor",
      'dino',
      { image_processor_type: 'ViTImageProcessorFast' },
      {
        ...{ shorterSide: null, filter: 'bilinear', crop: 224, halves: 'down' },
        ...{ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
      },
    ],
    [
      'that does not normalise',
      'dreamsim',
      { do_normalize: false, size: { height: 224, width: 224 }, resample: 1 },
      {
        ...{ shorterSide: null, filter: 'lanczos', crop: 224, halves: 'down' },
        ...{ mean: [0, 0, 0], std: [1, 1, 1] },
      },
    ],
  ] as const)('%s', (_, kind, config, wanted) => {
    expect(preparationOf(kind, written(config), 224)).toEqual(wanted);
  });

  test.each([
    ['image_processor_type', { image_processor_type: 'DonutImageProcessor' }],
    ['size', { size: { height: 224, width: 200 } }],
    ['size', { size: { shortest_edge: 224, longest_edge: 300 } }],
    ['crop_size', { size: { shortest_edge: 200 }, do_center_crop: true, crop_size: 224 }],
    ['do_center_crop', { size: { shortest_edge: 224 }, do_center_crop: false }],
    ['do_center_crop', { size: { height: 256, width: 256 }, do_center_crop: true }],
    ['resample', { resample: 0 }],
    ['do_resize', { do_resize: false }],
    ['do_rescale', { do_rescale: false }],
    ['rescale_factor', { rescale_factor: 1 / 127.5 }],
    ['image_mean', { image_mean: [0.5] }],
  ])('is refused for what is not implemented, by its key: %s of %o', (key, config) => {
    expect(() => preparationOf('dino', written(config), 224)).toThrow(
      expect.objectContaining({ code: 'unsupported-config', key }),
    );
  });

  test('is that of the model above a folder `onnx`', async () => {
    const model = join(folder, 'model');
    mkdirSync(join(model, 'onnx'), { recursive: true });
    copyFileSync(onnx, join(model, 'onnx/model.onnx'));
    copyFileSync(join(dino, 'preprocessor_config.json'), join(model, 'preprocessor_config.json'));
    const { pictures } = await embed('dino', join(model, 'onnx/model.onnx'), files.slice(0, 1));
    expect(apart(pictures, rows('dino/transformers/embeddings').slice(0, 1))).toBeLessThan(tolerance);
  });

  test.each(['folder', 'ONNX file'])('of another size than that of the network in a %s', async (what) => {
    const path = join(folder, `other ${what}`);
    cpSync(dino, path, { recursive: true });
    writeFileSync(join(path, 'preprocessor_config.json'), '{"size": {"height": 48, "width": 48}}');
    const encoder = what === 'folder' ? path : join(path, 'model.onnx');
    await expect(embed('dino', encoder, files)).rejects.toThrow(
      `${encoder} takes pictures of 32 × 32 pixels, and ${join(path, 'preprocessor_config.json')} prepares them as 48 × 48`,
    );
  });
});

describe('what cannot be compared', () => {
  /** An ONNX file that makes of a picture what `network` does. */
  function exported(
    name: string,
    shape: readonly number[],
    network: (pictures: Value) => Value,
    dtype: 'float32' | 'int64' = 'float32',
  ): string {
    const input = op.Cast(new Graph().input('pictures', dtype, shape), { to: 'float32' });
    const path = join(folder, `${name}.onnx`);
    writeFileSync(path, writeOnnxModel({ embedding: network(input) }, (file) => file).bytes);
    return path;
  }

  test.each([
    ['a map of every place', [1, 3, 8, 8], (x: Value) => op.Relu(x), '[1, 3, 8, 8]'],
    ['a row without a picture', [1, 3, 8, 8], (x: Value) => op.Reshape(x, { shape: [192] }), '[192]'],
    ['rows of a picture', [1, 3, 8, 8], (x: Value) => op.Reshape(x, { shape: [3, 64] }), '[3, 64]'],
  ] as const)('an ONNX file that gives %s, told without a picture', async (name, shape, network, found) => {
    const path = exported(name, shape, network);
    for (const kind of ['dino', 'lpips'] as const) {
      await expect(embed(kind, path, [])).rejects.toThrow(
        expect.objectContaining({
          code: 'unsupported-model',
          message: expect.stringContaining(` of ${found}, not an embedding of [1, numbers]`),
        }),
      );
    }
  });

  test('an ONNX file of another network as LPIPS, told without a picture', async () => {
    await expect(embed('lpips', bareOnnx, [])).rejects.toThrow(
      expect.objectContaining({
        code: 'unsupported-model',
        message: expect.stringMatching(/gives 32 numbers for a picture of 32 × 32 pixels, and LPIPS/),
      }),
    );
  });

  test('a file that is neither weights nor ONNX is told by its own name', async () => {
    const path = join(folder, 'README.md');
    writeFileSync(path, '# No encoder');
    await expect(embed('dino', path, [])).rejects.toThrow(/dino=\S*README\.md: this is no encoder\./);
  });

  test('weights that are not those of LPIPS, told without a picture', async () => {
    await expect(embed('lpips', join(dino, 'model.safetensors'), [])).rejects.toThrow(
      expect.objectContaining({ code: 'missing-weight' }),
    );
    expect(await embed('lpips', lpips, [])).toMatchObject({ pictures: [], texts: [] });
  });

  test('an ONNX file takes pictures as they are, of another size', async () => {
    const path = exported('flat', [1, 3, 32, 32], (x) => op.Reshape(x, { shape: [1, -1] }));
    await expect(embed('lpips', path, [fileOf('portrait')])).rejects.toThrow(
      `${path} takes pictures of 32 × 32 pixels, and this one has 45 × 61`,
    );
  });

  test.each([
    [
      'two inputs',
      [
        ['a', 'float32', [1, 3, 8, 8]],
        ['b', 'float32', [1, 3, 8, 8]],
      ],
      'a of float32 [1, 3, 8, 8] and b',
    ],
    ['whole numbers', [['a', 'int64', [1, 3, 8, 8]]], 'a of int64 [1, 3, 8, 8]'],
    ['eight pictures at a time', [['a', 'float32', [8, 3, 8, 8]]], 'a of float32 [8, 3, 8, 8]'],
    ['four channels', [['a', 'float32', [1, 4, 8, 8]]], 'a of float32 [1, 4, 8, 8]'],
    ['rows of numbers', [['a', 'float32', [1, 3]]], 'a of float32 [1, 3]'],
  ] as const)('an ONNX file that takes %s', async (name, inputs, found) => {
    const graph = new Graph();
    const values = inputs.map(([input, dtype, shape]) =>
      op.Cast(graph.input(input, dtype, shape), { to: 'float32' }),
    );
    const model = writeOnnxModel({ embedding: values.reduce((a, b) => op.Add(a, b)) }, (file) => file);
    const path = join(folder, `${name}.onnx`);
    writeFileSync(path, model.bytes);
    await expect(embed('dino', path, files)).rejects.toThrow(
      expect.objectContaining({
        code: 'unsupported-model',
        message: expect.stringContaining(`${path} takes ${found}`),
      }),
    );
  });

  test('pictures of several sizes, or too small, by LPIPS', async () => {
    await expect(embed('lpips', lpips, files)).rejects.toThrow('LPIPS compares pictures of one size');
    await expect(embed('lpips', lpips, [fileOf('tiny')])).rejects.toThrow('from 31 × 31 pixels on');
    expect(() => squaredDistance([1, 2], [1, 2, 3])).toThrow('2 numbers and one of 3');
  });

  test('texts, by what reads none', async () => {
    for (const [kind, path] of [
      ['dino', dino],
      ['dino', onnx],
      ['lpips', lpips],
    ] as const) {
      await expect(embed(kind, path, [], texts)).rejects.toThrow('reads no texts');
    }
  });
});
