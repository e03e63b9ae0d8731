/** The base model that ships with the package: what it weighs, how it was made, and that it can do what subjects need. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { settings } from '../../fixtures/toybox/pretraining/settings';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { openSafetensors } from '../../sdk/checkpoint/safetensors';
import { createOracle, type Oracle } from '../../sdk/evaluation/oracle';
import { fromPlanes, toPlanes } from '../../sdk/images/pixel-planes';
import { type BaseModel, readBaseModel } from '../../sdk/models/base-model';
import { scaleLatents } from '../../sdk/models/latents';
import { tokenizePrompt } from '../../sdk/models/text-condition';
import { createRandom } from '../../sdk/random';
import { createSession } from '../../sdk/runtime/session';
import { createDecoder, createEncoder } from '../../sdk/sampling/autoencoder';
import { createDenoiser } from '../../sdk/sampling/denoiser';
import { createPipeline } from '../../sdk/sampling/pipeline';
import { createTextEncoder } from '../../sdk/sampling/text-encoder';
import { createWorldPictures } from '../../sdk/toybox/pretraining-data';
import { CLASSES, CONTEXTS } from '../../sdk/toybox/scene';

const folder = join(import.meta.dirname, '../../fixtures/toybox');
let base: BaseModel;
let oracle: Oracle;

beforeAll(async () => {
  base = readBaseModel(openDiffusersFolder(folder));
  oracle = await createOracle(
    openSafetensors(join(folder, 'oracle/model.safetensors')).tensors,
    createSession,
  );
});
afterAll(() => oracle.release());

describe('the embedded base model', () => {
  test('weighs at most 30 MB with its oracle', () => {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const bytes = files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
    expect(bytes).toBeGreaterThan(5e6);
    expect(bytes).toBeLessThan(30e6);
  });

  test('was made with the settings that stand beside it, to the end', () => {
    expect(JSON.parse(readFileSync(join(folder, 'pretraining.json'), 'utf8'))).toEqual(settings);
    const log = readFileSync(join(folder, 'pretraining.txt'), 'utf8');
    const last = (name: string, { steps }: { steps: number }) => `${name} ${steps}/${steps} loss`;
    for (const line of [
      ...settings.autoencoder.rounds.map((round) => last('autoencoder', round)),
      last('oracle', settings.oracle),
      ...settings.base.rounds.map((round) => last('base', round)),
    ]) {
      expect(log).toContain(line);
    }
  });

  test('its autoencoder keeps what the oracle reads of pictures that nothing was trained on', async () => {
    const world = createWorldPictures(99, 64);
    const pictures = Array.from({ length: world.count }, (_, i) => world.at(i));
    const encoder = await createEncoder(base, 64, 64, createSession);
    const decoder = await createDecoder(base, [8, 8], createSession);
    const decoded: Float32Array[] = [];
    let noise = 0;
    for (const { pixels } of pictures) {
      const planes = toPlanes({ width: 64, height: 64, data: pixels });
      const { mean } = await encoder.encode(planes);
      const again = await decoder.decode(scaleLatents(base.vae.config, mean, 64));
      planes.forEach((value, i) => {
        noise += ((Math.min(Math.max(again[i]!, -1), 1) - value) / 2) ** 2;
      });
      decoded.push(again);
    }
    await encoder.release();
    await decoder.release();
    // The gate below which identity hides in the blur.
    expect(-10 * Math.log10(noise / (64 * 3 * 64 * 64))).toBeGreaterThan(24);
    const readings = await oracle.read(decoded);
    const share = (hit: (i: number) => boolean) => pictures.filter((_, i) => hit(i)).length / pictures.length;
    expect(share((i) => CLASSES[readings[i]!.class] === pictures[i]!.scene.class)).toBeGreaterThan(0.97);
    expect(share((i) => CONTEXTS[readings[i]!.context] === pictures[i]!.scene.context)).toBeGreaterThan(0.97);
  });

  test('draws the class and the place it is asked for', async () => {
    const asked = CLASSES.flatMap((name, i) =>
      [CONTEXTS[i % 10]!, CONTEXTS[(i + 5) % 10]!].map((context) => ({ name, context })),
    );
    const phrases = {
      snow: 'in the snow',
      beach: 'on the beach',
      jungle: 'in the jungle',
      street: 'on the street',
    };
    const places: Record<string, string> = {
      ...phrases,
      grass: 'on the grass',
      night: 'at night',
      water: 'in the water',
      bricks: 'in front of bricks',
      fabric: 'on pink fabric',
      desert: 'in the desert',
    };
    const shape = { pictures: asked.length, size: [8, 8] as const, guided: true, loraPaths: [] };
    const pipeline = await createPipeline(base, shape, createSession);
    const planes = await pipeline.draw({
      prompts: asked.map(({ name, context }) => [
        tokenizePrompt(base, `a ${name} ${places[context]}`).tokens,
      ]),
      negativePrompt: null,
      seeds: asked.map((_, i) => i),
      scheduler: 'dpmpp_2m_karras',
      steps: 20,
      guidanceScale: 3,
      loras: [],
    });
    await pipeline.release();
    const readings = await oracle.read(
      planes.map((one) => toPlanes(fromPlanes(one, { width: 64, height: 64 }))),
    );
    const right = readings.filter(
      (reading, i) =>
        CLASSES[reading.class] === asked[i]!.name && CONTEXTS[reading.context] === asked[i]!.context,
    );
    expect(right.length).toBeGreaterThanOrEqual(asked.length - 2);
  });

  test('a word it has never met makes a difference before a class noun, so that a subject can bind to it', async () => {
    const text = await createTextEncoder(base, { loraPaths: [] }, createSession);
    const denoiser = await createDenoiser(
      base,
      { pictures: 1, size: [8, 8], guided: false },
      [],
      createSession,
    );
    const latents = createRandom(1).normals(base.unet.config.inChannels * 64);
    const outputFor = async (prompt: string) => {
      const [embeddings] = await text.encode([[tokenizePrompt(base, prompt).tokens]]);
      const conditions = { prompts: [embeddings!], negativePrompts: [], guidanceScale: 1, loras: [] };
      return denoiser.under(conditions)(latents, 500);
    };
    const plain = await outputFor('a cat');
    const named = await outputFor('a ohwx cat');
    const norm = (values: Float32Array) => Math.hypot(...values);
    expect(norm(named.map((value, i) => value - plain[i]!)) / norm(plain)).toBeGreaterThan(0.005);
    await text.release();
    await denoiser.release();
  });
});
