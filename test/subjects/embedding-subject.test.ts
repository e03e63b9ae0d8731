import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openSafetensors, readTensor, writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { InvalidOptionError, UnsupportedEmbeddingError, UnsupportedLoraError } from '../../sdk/errors';
import { createEngine } from '../../sdk/jobs/engine';
import { exportLearned, importLearned } from '../../sdk/jobs/learned-files';
import { createRandom } from '../../sdk/random';
import { openHome } from '../../sdk/subjects/home';
import { deleteSubject, listSubjects, renameSubject } from '../../sdk/subjects/subjects';
import { float32, type Tensor } from '../../sdk/tensor';
import { learned, randomLora } from '../exports/subject';

const base = (name: string) => join(import.meta.dirname, `../../fixtures/golden/${name}-tiny`);
const folder = mkdtempSync(join(tmpdir(), 'embeddings-'));
afterAll(() => rmSync(folder, { recursive: true }));

const home = openHome(join(folder, 'home'));
const random = createRandom(3);
const vectors = (...shape: number[]): Tensor<'float32'> =>
  float32(
    shape,
    random.normals(shape.reduce((a, b) => a * b, 1)).map((x) => x / 4),
  );
function file(name: string, tensors: Readonly<Record<string, Tensor>>): string {
  mkdirSync(join(folder, name, '..'), { recursive: true });
  writeSafetensors(join(folder, name), Object.entries(tensors));
  return join(folder, name);
}
const contents = (path: string) =>
  Object.fromEntries([...openSafetensors(path).tensors].map(([key, stored]) => [key, readTensor(stored)]));

let count = 0;
function importOn(which: string, path: string) {
  count += 1;
  return importLearned(home, path, { name: `one-${count}`, className: 'dog', base: base(which) });
}

describe('an embedding goes in and out again as it was', () => {
  const rows = vectors(3, 32);
  const [clip_l, clip_g] = [vectors(2, 24), vectors(2, 40)];
  const pair = file('pair/learned_embeds.safetensors', { '<x>': clip_l });
  file('pair/learned_embeds_2.safetensors', { '<x>': clip_g });

  test.each([
    ['of the web UI', 'sd15', file('a1111.safetensors', { emb_params: rows }), { emb_params: rows }],
    ['of diffusers', 'sd15', file('learned.safetensors', { '<cat-toy>': rows }), { emb_params: rows }],
    ['of two encoders', 'sdxl', file('xl.safetensors', { clip_g, clip_l }), { clip_l, clip_g }],
    ['of two encoders, of diffusers', 'sdxl', join(pair, '..'), { clip_l, clip_g }],
  ])('%s', async (_, which, path, expected) => {
    const subject = importOn(which, path);
    expect(subject).toMatchObject({ kind: 'embedding', identifier: `<${subject.name}>`, className: 'dog' });
    const out = await exportLearned(home, subject.name, 'kohya', join(folder, `${subject.name}.safetensors`));
    expect(contents(out)).toEqual(expected);

    const diffusers = await exportLearned(home, subject.name, 'diffusers', join(folder, subject.name));
    const token = `<${subject.name}>`;
    if (which === 'sd15') expect(contents(diffusers)).toEqual({ [token]: rows });
    else {
      expect(contents(join(diffusers, 'learned_embeds.safetensors'))).toEqual({ [token]: clip_l });
      expect(contents(join(diffusers, 'learned_embeds_2.safetensors'))).toEqual({ [token]: clip_g });
      await expect(
        exportLearned(home, subject.name, 'diffusers', join(folder, 'one.safetensors')),
      ).rejects.toThrow(/two files.*name a folder/);
    }
  });

  test('a single vector is a row', async () => {
    const one = vectors(32);
    const { name } = importOn('sd15', file('vector.safetensors', { '<x>': one }));
    const out = await exportLearned(home, name, 'kohya', join(folder, 'out'));
    expect(contents(out)).toEqual({ emb_params: float32([1, 32], one.data) });
  });
});

describe('refused, with nothing left behind:', () => {
  const known = () => listSubjects(home).length;
  test.each([
    [
      'another width',
      'sd15',
      { emb_params: vectors(2, 1024) },
      /1024 numbers, as Stable Diffusion 2 takes them;.*takes 32/,
    ],
    [
      'of XL for one of 1',
      'sd15',
      { clip_l: vectors(1, 768), clip_g: vectors(1, 1280) },
      /768 \+ 1280 numbers, as Stable Diffusion XL/,
    ],
    ['half of XL', 'sdxl', { '<x>': vectors(1, 24) }, /takes 24 \+ 40.*learned_embeds_2/],
    ['half of a pair', 'sdxl', { clip_g: vectors(1, 40) }, /no clip_l/],
    ['uneven', 'sdxl', { clip_l: vectors(1, 24), clip_g: vectors(2, 40) }, /1 and 2 vectors/],
    [
      'not finite',
      'sd15',
      { emb_params: float32([1, 32], new Float32Array(32).fill(Number.NaN)) },
      /NaN at 0/,
    ],
    ['empty', 'sd15', { emb_params: float32([0, 32], new Float32Array(0)) }, /one vector, or a row/],
  ])('%s', (name, which, tensors, message) => {
    const subjects = known();
    const wrong = () => importOn(which, file(`${name}.safetensors`, tensors));
    expect(wrong).toThrow(UnsupportedEmbeddingError);
    expect(wrong).toThrow(message);
    expect(known()).toBe(subjects);
  });

  test('a pickle, with the way to convert it', () => {
    const path = join(folder, 'old.pt');
    writeFileSync(path, '');
    expect(() => importOn('sd15', path)).toThrow(/pickle.*weights_only=True.*save_file\(\{'emb_params'/);
  });

  test('a LoRA still asks for its word', () => {
    const path = file('lora.safetensors', { 'lora_unet_x.lora_down.weight': vectors(2, 2), b: vectors(1) });
    expect(() => importOn('sd15', path)).toThrow(InvalidOptionError);
    expect(() =>
      importLearned(home, path, { name: 'l', className: 'dog', identifier: 'sks', base: base('sd15') }),
    ).toThrow(UnsupportedLoraError);
  });
});

describe('drawn', () => {
  const engine = createEngine({ home: home.folder, base: base('sd15'), mode: 'in-process' });
  afterAll(() => engine.close());
  const draw = async (prompt: string, negativePrompt = '') => {
    const [image] = await engine.generate({ prompt, negativePrompt, seed: 1, steps: 2 });
    return Buffer.from(image!.png.subarray(-2000)).toString('base64');
  };
  for (const name of ['mug', 'jar']) {
    const path = file(`${name}.safetensors`, { emb_params: vectors(2, 32) });
    importLearned(home, path, { name, className: 'cup', base: base('sd15') });
  }

  test('alone, together, as what is unwanted, and under another name', async () => {
    const pictures = [
      await draw('a photo of @mug'),
      await draw('a photo of @jar'),
      await draw('a photo of @mug and @jar'),
      await draw('a photo of @jar and @mug'),
      await draw('a photo of @mug', '@jar'),
      await draw('a photo of <mug>'),
    ];
    expect(new Set(pictures).size).toBe(pictures.length);
    renameSubject(home, 'mug', 'cup-2');
    expect(await draw('a photo of @cup-2')).toBe(pictures[0]);
    await expect(draw('@cup-2:0.5')).rejects.toThrow(
      '@cup-2 is an embedding, a word among others: write @cup-2',
    );
    // The new @mug has the word that the old one keeps.
    const path = file('mug.safetensors', { emb_params: vectors(1, 32) });
    importLearned(home, path, { name: 'mug', className: 'cup', base: base('sd15') });
    await expect(draw('@mug and @cup-2')).rejects.toThrow('stand in the text as <mug>');
    deleteSubject(home, 'mug');
    await expect(draw('@mug')).rejects.toThrow('There is no subject @mug');
  });

  test('beside a LoRA, as that one’s recipe says', async () => {
    const { folder: place } = learned(home, 'rex', randomLora(base('sd15'), ['to_q']), base('sd15'));
    const record = JSON.parse(readFileSync(join(place, 'subject.json'), 'utf8'));
    Object.assign(record.settings, { drawSteps: 3, drawScheduler: 'ddim', clipSkip: 1 });
    writeFileSync(join(place, 'subject.json'), JSON.stringify(record));
    const [image] = await engine.generate({ prompt: '@rex in a @jar', seed: 1, negativePrompt: '@jar' });
    const [other] = await engine.generate({ prompt: 'in a @jar, @rex', seed: 1 });
    for (const one of [image, other])
      expect(one!.settings).toMatchObject({ steps: 3, scheduler: 'ddim', clipSkip: 1 });
  });
});
