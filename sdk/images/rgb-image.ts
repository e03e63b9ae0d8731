/** A picture in memory: 8-bit sRGB, three bytes a pixel, rows from the top. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** `width · height · 3` bytes. */
  readonly data: Uint8Array;
}

/** Where a crop starts, in pixels from the left and the top. */
export interface CropOffset {
  readonly left: number;
  readonly top: number;
}

/** The rectangle of `width`×`height` at `offset`. Throws RangeError when it does not lie within the picture. */
export function crop(image: RgbImage, width: number, height: number, { left, top }: CropOffset): RgbImage {
  if (left < 0 || top < 0 || left + width > image.width || top + height > image.height) {
    throw new RangeError(
      `A crop of ${width}×${height} at (${left}, ${top}) does not lie within ${image.width}×${image.height}.`,
    );
  }
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(start, start + width * 3), y * width * 3);
  }
  return { width, height, data };
}

/** Where the middle `width`×`height` starts; half pixels go to the even neighbour, as torchvision's CenterCrop. */
export function centerOffset(image: RgbImage, width: number, height: number): CropOffset {
  return {
    left: roundHalfToEven((image.width - width) / 2),
    top: roundHalfToEven((image.height - height) / 2),
  };
}

/** The picture mirrored left to right. */
export function flipHorizontally({ width, height, data }: RgbImage): RgbImage {
  const flipped = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * 3;
      const to = (y * width + width - 1 - x) * 3;
      flipped[to] = data[from]!;
      flipped[to + 1] = data[from + 1]!;
      flipped[to + 2] = data[from + 2]!;
    }
  }
  return { width, height, data: flipped };
}

/** Rounds as IEEE 754 does by default: a half goes to the even neighbour. */
export function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
