import { expect, test } from 'vitest';
import { binary, lightness, paste } from '../../sdk/images/mask';

const pixels = (...colours: readonly (readonly number[])[]) => ({
  width: colours.length,
  height: 1,
  data: Uint8Array.from(colours.flat()),
});

test("lightness is Pillow's convert('L')", () => {
  const colours = pixels(
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [10, 200, 30],
    [127, 128, 129],
    [255, 255, 255],
  );
  // PIL.Image.fromarray(colours).convert('L')
  expect([...lightness(colours).data]).toEqual([76, 150, 29, 124, 128, 255]);
});

test('half white is white', () => {
  expect([...binary({ width: 4, height: 1, data: Uint8Array.from([0, 127, 128, 255]) })]).toEqual([
    0, 0, 1, 1,
  ]);
});

test('what is pasted shows by as much as the mask is white, in the size of the photo', () => {
  const photo = pixels([10, 20, 30], [10, 20, 30], [10, 20, 30], [10, 20, 30]);
  const drawn = pixels([210, 120, 230], [210, 120, 230]);
  const mask = { width: 4, height: 1, data: Uint8Array.from([0, 51, 204, 255]) };
  expect([...paste(photo, drawn, mask, 'lanczos').data]).toEqual([
    ...[10, 20, 30, 50, 40, 70],
    ...[170, 100, 190, 210, 120, 230],
  ]);
});
