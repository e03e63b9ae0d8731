/** Published architectures at their true size: as many weights as their files have. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ComponentName } from '../../sdk/models/base-model';
import { weightsDeclaredBy } from '../../sdk/models/declared-weights';
import { sizeOf } from '../../sdk/tensor';

const published = join(import.meta.dirname, '../../fixtures/published');

/** Parameters and tensors, as diffusers and transformers count them. */
const sizes: Readonly<Record<string, Readonly<Partial<Record<ComponentName, readonly [number, number]>>>>> = {
  sd15: { unet: [859_520_964, 686], vae: [83_653_863, 248], text_encoder: [123_060_480, 196] },
  sd21: { unet: [865_910_724, 686], vae: [83_653_863, 248], text_encoder: [340_387_840, 372] },
  sdxl: {
    unet: [2_567_463_684, 1680],
    vae: [83_653_863, 248],
    text_encoder: [123_060_480, 196],
    text_encoder_2: [694_659_840, 517],
  },
};

describe.each(Object.entries(sizes))('%s', (architecture, components) => {
  test.each(Object.entries(components))('%s', (component, [parameters, tensors]) => {
    const file = join(published, architecture, component, 'config.json');
    const declared = weightsDeclaredBy(component as ComponentName, JSON.parse(readFileSync(file, 'utf8')));
    expect(declared.length).toBe(tensors);
    expect(declared.reduce((sum, { shape }) => sum + sizeOf(shape), 0)).toBe(parameters);
    expect(new Set(declared.map(({ key }) => key)).size).toBe(tensors);
  });
});
