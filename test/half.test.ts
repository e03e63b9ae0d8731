import { describe, expect, test } from 'vitest';
import {
  bfloat16ToFloat32,
  float32ToBfloat16,
  float32ToHalf,
  halfToFloat32,
  halfToNumber,
  numberToHalf,
} from '../sdk/half';

const everyPattern = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);

describe('binary16', () => {
  test('known patterns', () => {
    const known: [number, number][] = [
      [0x0000, 0],
      [0x8000, -0],
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x0001, 2 ** -24],
      [0x03ff, 1023 * 2 ** -24],
      [0x0400, 2 ** -14],
      [0x7c00, Number.POSITIVE_INFINITY],
      [0xfc00, Number.NEGATIVE_INFINITY],
      [0x3555, 0.333251953125],
    ];
    for (const [bits, value] of known) {
      expect(halfToNumber(bits)).toBe(value);
      expect(numberToHalf(value)).toBe(bits);
    }
    expect(halfToNumber(0x7e01)).toBeNaN();
  });

  test('every pattern but NaN survives a round trip', () => {
    const back = float32ToHalf(halfToFloat32(everyPattern));
    for (const bits of everyPattern) {
      if ((bits & 0x7fff) > 0x7c00) expect(halfToNumber(back[bits]!)).toBeNaN();
      else if (back[bits] !== bits) expect.fail(`${bits} came back as ${back[bits]}`);
    }
  });

  test('halfway between two neighbours goes to the even one, everywhere from 0 to infinity', () => {
    for (let bits = 0; bits < 0x7bff; bits++) {
      const middle = (halfToNumber(bits) + halfToNumber(bits + 1)) / 2;
      const even = bits + (bits & 1);
      const [found] = float32ToHalf(Float32Array.of(middle));
      if (found !== even) expect.fail(`${middle} went to ${found}, not ${even}`);
      const above = Math.fround(middle * (1 + 2 ** -20));
      if (numberToHalf(above) !== bits + 1)
        expect.fail(`${above} went to ${numberToHalf(above)}, not ${bits + 1}`);
    }
    expect(numberToHalf(65519.99609375)).toBe(0x7bff);
    expect(numberToHalf(65520)).toBe(0x7c00);
    expect(numberToHalf(-1e30)).toBe(0xfc00);
    expect(numberToHalf(2 ** -25)).toBe(0);
    expect(numberToHalf(-1.01 * 2 ** -25)).toBe(0x8001);
  });
});

describe('bfloat16', () => {
  test('every pattern but NaN survives a round trip', () => {
    const back = float32ToBfloat16(bfloat16ToFloat32(everyPattern));
    for (const bits of everyPattern) {
      if ((bits & 0x7fff) > 0x7f80) expect((back[bits]! & 0x7fff) > 0x7f80).toBe(true);
      else if (back[bits] !== bits) expect.fail(`${bits} came back as ${back[bits]}`);
    }
  });

  test('rounds to nearest, ties to even', () => {
    const found = float32ToBfloat16(
      Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, -3.4e38, Number.NaN),
    );
    expect([...found.subarray(0, 4)]).toEqual([0x3f80, 0x3f82, 0x3f81, 0xff80]);
    expect(bfloat16ToFloat32(found)[4]).toBeNaN();
  });
});
