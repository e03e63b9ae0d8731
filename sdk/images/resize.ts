import type { RgbImage } from './rgb-image';

/*
 * Antialiased resampling, bit for bit as Pillow does it on 8-bit pictures (and so torchvision's Resize on a
 * Pillow image): rows and columns one after the other, each an 8-bit picture again; a filter that widens with
 * the reduction, its weights in 22-bit fixed point.
 */

export type ResizeFilter = 'bilinear' | 'bicubic' | 'lanczos';

interface Kernel {
  /** Half the width over which the function is not 0. */
  readonly support: number;
  readonly weight: (distance: number) => number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

const kernels: Readonly<Record<ResizeFilter, Kernel>> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  // Keys (1981) with a = -1/2.
  bicubic: {
    support: 2,
    weight(x) {
      const d = Math.abs(x);
      if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
      return d < 2 ? (((d - 5) * d + 8) * d - 4) * -0.5 : 0;
    },
  },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

const precisionBits = 22;

/** The picture resampled to `width`×`height`. */
export function resize(
  image: RgbImage,
  width: number,
  height: number,
  filter: ResizeFilter = 'bilinear',
): RgbImage {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new RangeError(`A picture of ${width}×${height} cannot be: both must be whole numbers from 1 on.`);
  }
  const rows = (of: RgbImage) => (width === of.width ? of : resampleRows(of, width, kernels[filter]));
  const columns = (of: RgbImage) =>
    height === of.height ? of : resampleColumns(of, height, kernels[filter]);
  return columnsFirst(image, width, height) ? rows(columns(image)) : columns(rows(image));
}

/** Since version 13 Pillow begins with the columns where they lose the more; a value is off by one in the other order. */
const columnsFirst = (image: RgbImage, width: number, height: number): boolean =>
  height < image.height && image.height - height > 2 * (image.width - width);

/** The picture scaled so that its shorter side is `size` pixels, the longer cut down to a whole number of them. */
export function resizeShorterSide(
  image: RgbImage,
  size: number,
  filter: ResizeFilter = 'bilinear',
): RgbImage {
  const { width, height } = image;
  const shorter = Math.min(width, height);
  const scaled = (side: number) => (side === shorter ? size : Math.floor((size * side) / shorter));
  return resize(image, scaled(width), scaled(height), filter);
}

interface Taps {
  /** For each output position: the first input position, and how many. */
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** `stride` weights for each output position. */
  readonly weights: Int32Array;
  readonly stride: number;
}

function tapsOf(from: number, to: number, { support, weight }: Kernel): Taps {
  const scale = from / to;
  const widening = Math.max(1, scale);
  const reach = support * widening;
  const stride = Math.ceil(reach) * 2 + 1;
  const taps = {
    first: new Int32Array(to),
    count: new Int32Array(to),
    weights: new Int32Array(to * stride),
    stride,
  };
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const count = Math.min(from, Math.trunc(center + reach + 0.5)) - first;
    const exact = Array.from({ length: count }, (_, k) =>
      weight((k + first - center + 0.5) * (1 / widening)),
    );
    const total = exact.reduce((sum, w) => sum + w, 0);
    for (const [k, w] of exact.entries()) {
      const fixed = (total === 0 ? w : w / total) * 2 ** precisionBits;
      taps.weights[i * stride + k] = Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5));
    }
    taps.first[i] = first;
    taps.count[i] = count;
  }
  return taps;
}

function resampleRows({ width, height, data }: RgbImage, to: number, kernel: Kernel): RgbImage {
  const taps = tapsOf(width, to, kernel);
  const result = new Uint8Array(to * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < to; x++) {
      weighPixels(taps, x, data, y * width * 3, 3, result, (y * to + x) * 3);
    }
  }
  return { width: to, height, data: result };
}

function resampleColumns({ width, height, data }: RgbImage, to: number, kernel: Kernel): RgbImage {
  const taps = tapsOf(height, to, kernel);
  const result = new Uint8Array(width * to * 3);
  for (let y = 0; y < to; y++) {
    for (let x = 0; x < width; x++) {
      weighPixels(taps, y, data, x * 3, width * 3, result, (y * width + x) * 3);
    }
  }
  return { width, height: to, data: result };
}

/** One output pixel: the weighed sum of input pixels `step` bytes apart, from `start` on. */
function weighPixels(
  { first, count, weights, stride }: Taps,
  position: number,
  data: Uint8Array,
  start: number,
  step: number,
  result: Uint8Array,
  at: number,
): void {
  const half = 1 << (precisionBits - 1);
  let [red, green, blue] = [half, half, half];
  let from = start + first[position]! * step;
  const end = position * stride + count[position]!;
  for (let tap = position * stride; tap < end; tap++) {
    const weight = weights[tap]!;
    red += data[from]! * weight;
    green += data[from + 1]! * weight;
    blue += data[from + 2]! * weight;
    from += step;
  }
  result[at] = clampByte(red >> precisionBits);
  result[at + 1] = clampByte(green >> precisionBits);
  result[at + 2] = clampByte(blue >> precisionBits);
}

const clampByte = (value: number) => Math.max(0, Math.min(255, value));
