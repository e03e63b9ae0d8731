import sharp from 'sharp';

export interface PictureFit {
  /** The longer side, in pixels; larger pictures are scaled down. */
  readonly side?: number;
  /** Bytes that the file may have; quality, then size, give way. */
  readonly bytes?: number;
}

export interface FittedPicture {
  readonly bytes: Uint8Array;
  readonly mimeType: 'image/png' | 'image/jpeg';
  readonly width: number;
  readonly height: number;
}

/**
 * A picture small enough to be shown or sent: the PNG as it is where it fits, else a JPEG. `png`: the bytes or the path
 * of a picture.
 */
export async function fitPicture(png: Uint8Array | string, fit: PictureFit): Promise<FittedPicture> {
  const { side = Number.POSITIVE_INFINITY, bytes: most = Number.POSITIVE_INFINITY } = fit;
  const original = await sharp(png).toBuffer({ resolveWithObject: true });
  const { width, height } = original.info;
  const file = typeof png === 'string' ? await sharp(png).png().toBuffer() : png;
  if (Math.max(width, height) <= side && file.length <= most)
    return { bytes: file, mimeType: 'image/png', width, height };
  let longer = Math.min(side, Math.max(width, height));
  for (const quality of [92, 85, 75, 60, 45]) {
    const { data, info } = await sharp(png)
      .resize({ width: longer, height: longer, fit: 'inside', withoutEnlargement: true })
      .flatten({ background: '#ffffff' })
      .jpeg({ quality })
      .toBuffer({ resolveWithObject: true });
    if (data.length <= most || (quality === 45 && longer <= 64))
      return { bytes: data, mimeType: 'image/jpeg', width: info.width, height: info.height };
    if (quality <= 75) longer = Math.round(longer * 0.7);
  }
  return fitPicture(png, { side: Math.max(64, Math.round(longer / 2)), bytes: most });
}
