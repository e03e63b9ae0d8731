import { expect, test } from 'vitest';
import { aspectBuckets, coveringSize, nearestBucket } from '../../sdk/training/aspect-buckets';

const list = (resolution: number, step: number) =>
  aspectBuckets(resolution, { step }).map(({ width, height }) => `${width}x${height}`);

test("the buckets of 512 are those that kohya's scripts list", () => {
  expect(list(512, 64)).toEqual([
    ...['256x832', '256x896', '256x960', '256x1024', '320x704', '320x768', '384x640', '448x576', '512x512'],
    ...['576x448', '640x384', '704x320', '768x320', '832x256', '896x256', '960x256', '1024x256'],
  ]);
});

test('the buckets of 1024 are sizes that Stable Diffusion XL was trained on, within its area', () => {
  const sizes = list(1024, 64);
  for (const known of ['512x2048', '640x1536', '768x1344', '832x1216', '896x1152', '1024x1024', '1344x768'])
    expect(sizes).toContain(known);
  for (const { width, height } of aspectBuckets(1024, { step: 64 })) {
    expect(width * height).toBeLessThanOrEqual(1024 ** 2);
    expect([width % 64, height % 64]).toEqual([0, 0]);
  }
});

test('limits of one own, sides that the step does not divide, and the smallest models', () => {
  const own = aspectBuckets(500, { step: 64, shortest: 384, longest: 640 });
  expect(own.map(({ width, height }) => `${width}x${height}`)).toEqual([
    '384x576',
    '384x640',
    '448x448',
    '448x512',
    '512x448',
    '576x384',
    '640x384',
  ]);
  expect(list(64, 8)).toContain('80x48');
  expect(list(8, 8)).toEqual(['8x8']);
});

test('a picture goes to the bucket nearest to its shape, and to its own where it is one', () => {
  const buckets = aspectBuckets(512, { step: 64 });
  expect(nearestBucket(buckets, { width: 4000, height: 3000 })).toEqual({ width: 576, height: 448 });
  expect(nearestBucket(buckets, { width: 3000, height: 4000 })).toEqual({ width: 448, height: 576 });
  expect(nearestBucket(buckets, { width: 300, height: 300 })).toEqual({ width: 512, height: 512 });
  expect(nearestBucket(buckets, { width: 256, height: 1024 })).toEqual({ width: 256, height: 1024 });
  expect(nearestBucket(buckets, { width: 9000, height: 300 })).toEqual({ width: 1024, height: 256 });
});

test('what covers a bucket is cut in one direction only', () => {
  expect(coveringSize({ width: 4000, height: 3000 }, { width: 576, height: 448 })).toEqual({
    width: 597,
    height: 448,
  });
  expect(coveringSize({ width: 300, height: 400 }, { width: 448, height: 576 })).toEqual({
    width: 448,
    height: 597,
  });
  expect(coveringSize({ width: 999, height: 333 }, { width: 512, height: 512 })).toEqual({
    width: 1536,
    height: 512,
  });
});
