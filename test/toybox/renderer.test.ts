import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../sdk/random';
import { reRender } from '../../sdk/toybox/re-render';
import { PICTURE_SIZE, renderMask, renderScene } from '../../sdk/toybox/renderer';
import { ACCESSORIES, CLASSES, CONTEXTS, PATTERNS, type Scene, sampleScene } from '../../sdk/toybox/scene';

const difference = (a: Uint8Array, b: Uint8Array) => a.reduce((sum, v, i) => sum + Math.abs(v - b[i]!), 0);
const scene = (part: Partial<Scene>) => sampleScene(createRandom(11), part);

describe('the renderer', () => {
  test('draws a seed to the same bytes for ever: a base model is trained on them', () => {
    const hash = createHash('sha256');
    const random = createRandom(2026);
    for (const context of CONTEXTS) {
      for (const noun of CLASSES) hash.update(renderScene(sampleScene(random, { class: noun, context })));
    }
    expect(hash.digest('hex')).toBe('3df8b8258686bfe454bc8bba2e1faeb1f9f67802e6c312de6ef31a4fd496a097');
  });

  test('gives 64 × 64 × 3 bytes', () => {
    expect(renderScene(scene({}))).toHaveLength(PICTURE_SIZE * PICTURE_SIZE * 3);
  });

  test.each(CLASSES)('a %s fills a good part of the picture and is not cut off', (noun) => {
    const random = createRandom(12);
    for (let i = 0; i < 20; i++) {
      const mask = renderMask(sampleScene(random, { class: noun, accessory: 'none' }));
      const share = mask.reduce((sum, v) => sum + v, 0) / mask.length;
      expect(share).toBeGreaterThan(0.2);
      expect(share).toBeLessThan(0.62);
      const border = Array.from({ length: 64 }, (_, k) => mask[k]! + mask[63 * 64 + k]!);
      expect(Math.max(...border)).toBe(0);
    }
  });

  test.each(CLASSES)('every number of the identity of a %s can be seen', (noun) => {
    const plain = scene({ class: noun, context: 'fabric', accessory: 'none' });
    const appearance = { ...plain.appearance, pattern: 'plain', shape: [0.5, 0.5, 0.5] } as const;
    const before = renderScene({ ...plain, appearance });
    for (const key of ['c1', 'c2', 'c3', 'shape'] as const) {
      for (let i = 0; i < 3; i++) {
        const moved = appearance[key].map((v, k) => (k === i ? (v > 0.5 ? v - 0.35 : v + 0.35) : v));
        const after = renderScene({ ...plain, appearance: { ...appearance, [key]: moved } });
        expect(difference(before, after), `${key}[${i}]`).toBeGreaterThan(1000);
      }
    }
  });

  test('markings, clothes and contexts all show', () => {
    const base = scene({ class: 'cat' });
    const pictures = [
      ...PATTERNS.map((pattern) => ({ ...base, appearance: { ...base.appearance, pattern } })),
      ...ACCESSORIES.slice(1).map((accessory): Scene => ({ ...base, accessory })),
      ...CONTEXTS.map((context) => ({ ...base, context })),
    ].map(renderScene);
    const distinct = new Set(pictures.map((bytes) => createHash('sha256').update(bytes).digest('hex')));
    // The base scene itself is among the patterns, the contexts and maybe the accessories.
    expect(distinct.size).toBeGreaterThanOrEqual(pictures.length - 2);
  });

  test('a flipped cup has its handle on the other side', () => {
    const pose = { x: 0, y: 0, scale: 0.9, flipped: false, rotation: 0 };
    const right = renderMask(scene({ class: 'cup', accessory: 'none', pose }));
    const left = renderMask(scene({ class: 'cup', accessory: 'none', pose: { ...pose, flipped: true } }));
    for (let row = 0; row < 64; row++) {
      for (let column = 0; column < 64; column++) {
        expect(left[row * 64 + column]).toBeCloseTo(right[row * 64 + 63 - column]!, 5);
      }
    }
  });
});

describe('re-rendering', () => {
  test.each(CLASSES)('finds a %s again where it stands, and does not find somebody else', (noun) => {
    const random = createRandom(13);
    const shown = sampleScene(random, { class: noun });
    const another = sampleScene(random, { class: noun });
    const pixels = renderScene(shown);
    expect(reRender(pixels, shown).psnr).toBeGreaterThan(17);
    expect(reRender(pixels, another).psnr).toBeLessThan(15);
  });
});
