import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { loraTargets } from '../../sdk/lora/lora';
import { readBaseModel } from '../../sdk/models/base-model';
import type { PromptCondition } from '../../sdk/models/text-condition';
import { createRandom } from '../../sdk/random';
import { createSession } from '../../sdk/runtime/session';
import { createDenoiser } from '../../sdk/sampling/denoiser';
import { float32, sizeOf } from '../../sdk/tensor';

const base = readBaseModel(openDiffusersFolder(join(import.meta.dirname, '../../fixtures/golden/sd15-tiny')));

test('a LoRA of every layer, of any rank: for many small pictures at once as for each alone', async () => {
  const random = createRandom(2);
  const small = (shape: readonly number[]) =>
    float32(
      shape,
      random.normals(sizeOf(shape)).map((x) => x * 0.1),
    );
  const layers = new Map(
    loraTargets(base.unet.tensors, ['*'], 3).map(
      ({ path, down, up }) => [`unet.${path}`, { down: small(down), up: small(up), alpha: 3 }] as const,
    ),
  );
  const paths = [...layers.keys()].map((name) => name.slice('unet.'.length));
  expect(paths.some((path) => path.endsWith('conv1'))).toBe(true);
  const pictures = 8;
  const size = [8, 8] as const;
  const shape = { size, guided: false };
  const together = await createDenoiser(base, { ...shape, pictures }, paths, createSession);
  const single = await createDenoiser(base, { ...shape, pictures: 1 }, paths, createSession);
  const { inChannels, crossAttentionDim } = base.unet.config;
  const elements = inChannels * 64;
  const latents = random.normals(pictures * elements);
  const prompts = Array.from({ length: pictures }, () => ({
    textEmbeddings: random.normals(77 * crossAttentionDim),
  }));
  const conditions = (some: PromptCondition[], weight: number) => ({
    prompts: some,
    negativePrompts: [],
    guidanceScale: 1,
    loras: [{ layers, weight }],
  });
  const all = await together.under(conditions(prompts, 1))(latents, 500);
  const without = await together.under(conditions(prompts, 0))(latents, 500);
  const largest = Math.max(...all.map(Math.abs));
  expect(Math.max(...all.map((x, i) => Math.abs(x - without[i]!)))).toBeGreaterThan(0.05 * largest);
  for (const [i, prompt] of prompts.entries()) {
    const own = latents.slice(i * elements, (i + 1) * elements);
    const alone = await single.under(conditions([prompt], 1))(own, 500);
    alone.forEach((x, at) => {
      expect(Math.abs(x - all[i * elements + at]!)).toBeLessThan(1e-4 * largest);
    });
  }
  await together.release();
  await single.release();
});
