import { expect, test } from 'vitest';
import { averageDecay, moveAverage } from '../../sdk/training/weight-average';

// EMAModel.get_decay of diffusers 0.42.1.
test.each([
  [{ decay: 0.9999, warmup: false, updateAfter: 0 }, [0, 2 / 11, 3 / 12, 4 / 13]],
  [{ decay: 0.22, warmup: false, updateAfter: 0 }, [0, 2 / 11, 0.22, 0.22]],
  [{ decay: 0.9999, warmup: false, updateAfter: 2 }, [0, 0, 0, 2 / 11]],
  [
    { decay: 0.9999, warmup: true, updateAfter: 0 },
    [0, 1 - 2 ** (-2 / 3), 1 - 3 ** (-2 / 3), 1 - 4 ** (-2 / 3)],
  ],
])('decay of %o', (options, decays) => {
  expect(decays.map((_, i) => averageDecay(i + 1, options))).toEqual(decays);
});

test('the average is the weights where d is 0, and moves towards them in single precision', () => {
  const average = Float32Array.of(1, -2, 0.1);
  moveAverage(average, Float32Array.of(3, 4, 0.3), 0.75);
  expect([...average]).toEqual([1.5, -0.5, Math.fround(0.15)]);
  moveAverage(average, Float32Array.of(3, 4, 0.3), 0);
  expect([...average]).toEqual([3, 4, Math.fround(0.3)]);
});
