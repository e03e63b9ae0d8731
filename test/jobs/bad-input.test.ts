/** What can be wrong with photos, class, settings and base, on real work: told by name, and nothing is left behind. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openSafetensors, readTensor, writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { TrainingDivergedError, UnreadableImageError } from '../../sdk/errors';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import { listJobs, readJob } from '../../sdk/jobs/jobs';
import type { PersonalizationRequest } from '../../sdk/jobs/personalization';
import { subjectNames } from '../../sdk/subjects/subjects';
import { float32 } from '../../sdk/tensor';

const fixture = join(import.meta.dirname, '../../fixtures/golden/sd15-tiny');
let folder: string;
let photo: string;
let photos: string;
let homes = 0;
const engines: Engine[] = [];

const pixels = sharp({ create: { width: 80, height: 64, channels: 3, background: '#3a7' } });
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-bad-'));
  photos = join(folder, 'photos');
  mkdirSync(photos);
  photo = join(photos, 'good.jpg');
  await pixels.clone().jpeg().toFile(photo);
});
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function engineOn(base = fixture): Engine {
  const engine = createEngine({ home: join(folder, `home-${homes++}`), base, mode: 'in-process' });
  engines.push(engine);
  return engine;
}

/** Learns with the least work; what went wrong, and all warnings. */
async function attempt(
  engine: Engine,
  { settings, ...request }: Partial<PersonalizationRequest> = {},
): Promise<{ error: (Error & { code?: string }) | undefined; warnings: string }> {
  const warnings: string[] = [];
  const error = await engine
    .personalize(
      {
        images: [photo],
        className: 'dog',
        name: 'rex',
        settings: { steps: 1, prior: 'none', rank: 1, targetModules: ['to_v'], ...settings },
        ...request,
      },
      { onProgress: (event) => event.kind === 'warning-found' && warnings.push(event.message) },
    )
    .then(
      () => undefined,
      (failure: Error) => failure,
    );
  return { error, warnings: warnings.join('\n') };
}

function nothingIsLeft(engine: Engine): void {
  expect(subjectNames(engine.home)).toEqual([]);
  for (const job of listJobs(engine.home)) expect(job.state).toBe('failed');
  expect(readdirSync(join(engine.home.subjects, '.reserved'))).toEqual([]);
}

describe('photos', () => {
  test('of every kind are learned from; what is odd is told', async () => {
    const all = join(folder, 'all');
    mkdirSync(all);
    const file = (name: string) => join(all, name);
    await pixels.clone().greyscale().toColourspace('b-w').png().toFile(file('grey.png'));
    await pixels.clone().ensureAlpha(0.5).png().toFile(file('transparent.png'));
    await pixels.clone().toColourspace('cmyk').jpeg().toFile(file('cmyk.jpg'));
    await pixels.clone().toColourspace('rgb16').png().toFile(file('deep.png'));
    await pixels.clone().withMetadata({ orientation: 6 }).jpeg().toFile(file('turned.jpg'));
    const frames = { width: 64, height: 128, channels: 3 as const, pageHeight: 64 };
    await sharp(Buffer.alloc(64 * 128 * 3, 90).fill(7, 64 * 64 * 3), { raw: frames })
      .gif()
      .toFile(file('moving.gif'));
    writeFileSync(file('notes.txt'), 'walks');
    const engine = engineOn();
    const { error, warnings } = await attempt(engine, { images: [all] });
    expect(error).toBeUndefined();
    expect(warnings).toMatch(/Passed over in .*: notes\.txt/);
    expect(warnings).toMatch(/moving\.gif has 2 frames; the first is used/);
    expect(subjectNames(engine.home)).toEqual(['rex']);
  });

  test('one works, with a warning', async () => {
    const { error, warnings } = await attempt(engineOn());
    expect(error).toBeUndefined();
    expect(warnings).toMatch(/There is one photo.*3 to 5/);
  });

  const heic = Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from('ftypheic\0\0\0\0mif1heic')]);
  /** A PNG that consists of a header of 100,000 × 100,000 pixels. */
  const enormous = () => {
    const png = readFileSync(join(folder, 'small.png'));
    png.writeUInt32BE(100_000, 16);
    png.writeUInt32BE(100_000, 20);
    png.writeUInt32BE(crc32(png.subarray(12, 29)), 29);
    return png;
  };
  test.each<[string, string, () => Buffer | Promise<Buffer>, RegExp]>([
    ['text', 'text.jpg', () => Buffer.from('hello'), /text\.jpg cannot be read as a photo/],
    ['0 bytes', 'empty.jpg', () => Buffer.alloc(0), /empty\.jpg is empty \(0 bytes\)/],
    [
      'cut short',
      'cut.jpg',
      () => readFileSync(photo).subarray(0, -200),
      /cut\.jpg cannot be read.*cut short/,
    ],
    ['HEIC', 'phone.heic', () => heic, /phone\.heic is a HEIC photo.*Convert it to JPEG/],
    ['enormous', 'huge.png', enormous, /huge\.png claims 100000×100000 pixels/],
  ])('%s: refused by the name its owner knows', async (_, name, bytes, message) => {
    await pixels.clone().png().toFile(join(folder, 'small.png'));
    const path = join(folder, name);
    writeFileSync(path, await bytes());
    const engine = engineOn();
    const { error } = await attempt(engine, { images: [photo, path] });
    expect(error).toBeInstanceOf(UnreadableImageError);
    expect(error).toMatchObject({ code: 'unreadable-image', image: name });
    expect(error!.message).toMatch(message);
    nothingIsLeft(engine);
    // As bytes it has no name but its number.
    const unnamed = await attempt(engine, { images: [readFileSync(photo), readFileSync(path)] });
    expect(unnamed.error).toMatchObject({ image: 'photo 2' });
  });
});

describe('class, identifier and settings', () => {
  test.each<[Partial<PersonalizationRequest>, RegExp]>([
    [{ className: '<|endoftext|>' }, /contains a special token/],
    [{ identifier: ' ' }, /identifier " " has no tokens/],
    [{ settings: { resolution: 60 } }, /resolution is 60; this base makes multiples of 8 pixels: 64/],
    [{ settings: { targetModules: ['nothing'] } }, /nothing: no layer of the unet ends so\. Usual are to_q,/],
  ])('%j is refused', async (request, message) => {
    const engine = engineOn();
    const { error } = await attempt(engine, request);
    expect(error).toMatchObject({ code: 'invalid-option', message: expect.stringMatching(message) });
    nothingIsLeft(engine);
  });

  test('a class of many words works, with a warning', async () => {
    const { error, warnings } = await attempt(engineOn(), { className: 'old grey dog of my aunt' });
    expect(error).toBeUndefined();
    expect(warnings).toMatch(/"old grey dog of my aunt" has 6 words/);
  });

  test('a class beyond what the text encoder reads works, and what was cut is told', async () => {
    const { error, warnings } = await attempt(engineOn(), { className: `${'very '.repeat(90)}old dog` });
    expect(error).toBeUndefined();
    expect(warnings).toMatch(/longer than this model reads; cut off was: ".*old dog"/);
  });
});

describe('a base model', () => {
  const change = (path: string, edit: (file: string) => void) => {
    const base = join(folder, `base-${homes++}`);
    cpSync(fixture, base, { recursive: true, filter: (source) => !source.endsWith('/golden') });
    edit(join(base, path));
    return base;
  };
  const edited = (from: string, to: string) => (file: string) => {
    const text = readFileSync(file, 'utf8');
    expect(text).toContain(from);
    writeFileSync(file, text.replace(from, to));
  };
  const unet = 'unet/diffusion_pytorch_model.safetensors';
  const otherShape = (file: string) => {
    const { tensors } = openSafetensors(file);
    const all = [...tensors].map(([key, stored]) => [key, readTensor(stored)] as const);
    writeSafetensors(
      file,
      all.map(([key, tensor]) => [key, key === 'conv_in.bias' ? float32([3], [1, 2, 3]) : tensor]),
    );
  };
  const notANumber = (file: string) => {
    const bytes = readFileSync(file);
    bytes.writeUInt32LE(0x7fc00000, bytes.length - 4);
    writeFileSync(file, bytes);
  };

  test.each<[string, string, (file: string) => void, string, RegExp]>([
    ['lacks a config', 'vae/config.json', rmSync, 'missing-file', /vae.config\.json/],
    ['lacks weights', unet, rmSync, 'missing-file', /no weights in .*unet/],
    ['lacks a vocabulary', 'tokenizer/vocab.json', rmSync, 'missing-file', /vocab\.json/],
    ['has weights cut short', unet, (file) => truncateSync(file, 90_000), 'broken-file', /cut short/],
    ['has a config cut short', 'unet/config.json', (file) => truncateSync(file, 20), 'broken-file', /JSON/],
    ['has a tensor of another shape', unet, otherShape, 'weight-shape', /conv_in\.bias" is \[3\].*asks for/],
    ['has a NaN', unet, notANumber, 'non-finite-weight', /unet\..* is NaN or infinite at element/],
    [
      'is of another class',
      'model_index.json',
      edited('"StableDiffusionPipeline"', '"FluxPipeline"'),
      'unsupported-model',
      /FluxPipeline.*supported: StableDiffusionPipeline/,
    ],
    [
      'has a network of another class',
      'model_index.json',
      edited('"UNet2DConditionModel"', '"SD3Transformer2DModel"'),
      'unsupported-model',
      /SD3Transformer2DModel.*supported: UNet2DConditionModel/,
    ],
  ])('that %s is refused, to learn on and to draw with', async (_, path, edit, code, message) => {
    const engine = engineOn(change(path, edit));
    const { error } = await attempt(engine);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    nothingIsLeft(engine);
    const drawing = engine.generate({ prompt: 'a dog', steps: 1 });
    await expect(drawing).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

describe('a training that diverges', () => {
  test('stops, keeps a checkpoint from before, and goes on from it at a lower rate', async () => {
    const engine = engineOn();
    const settings = { kind: 'full', learningRate: 1, steps: 30, checkpointEvery: 1 } as const;
    const { error } = await attempt(engine, { settings });
    expect(error).toBeInstanceOf(TrainingDivergedError);
    const { step, job, message } = error as TrainingDivergedError;
    expect(message).toMatch(/the loss is NaN.*Lower the learning rate.*--set learningRate=0\.1$/);
    nothingIsLeft(engine);
    const checkpoint = openSafetensors(join(engine.home.jobs, job!, 'checkpoint.safetensors'));
    const kept = JSON.parse(checkpoint.metadata['progress']!).step;
    // The weights after `step − 1` updates gave the NaN; those one update earlier are the last good ones.
    expect(kept).toBe(step - 2);
    expect(readJob(engine.home, job!)).toMatchObject({
      state: 'failed',
      error: { code: 'training-diverged' },
    });

    await expect(engine.resume(job!, { settings: { rank: 8 } })).rejects.toThrow(
      /rank cannot change while a subject is being learned; learningRate,/,
    );
    const steps: number[] = [];
    const subject = await engine.resume(job!, {
      settings: { learningRate: 1e-6 },
      onProgress: (event) => event.kind === 'step-end' && event.phase === 'train' && steps.push(event.step),
    });
    expect(steps[0]).toBe(kept);
    expect(subject.settings['learningRate']).toBe(1e-6);
    expect(existsSync(join(engine.home.jobs, job!, 'checkpoint.safetensors'))).toBe(false);
  });
});
