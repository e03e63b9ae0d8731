import sharp from 'sharp';
import { resize } from './resize';
import type { RgbImage } from './rgb-image';

/** The picture in `side` × `side` pixels whatever its shape was, resized as Pillow does, as a JPEG file's bytes. */
export async function squashedJpeg(image: RgbImage, side: number): Promise<Uint8Array> {
  const { width, height, data } = resize(image, side, side, 'bicubic');
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 75 })
    .toBuffer();
}
