/**
 * Picture sizes of many shapes and about one area, so that photos need not be cut square: kohya's sd-scripts'
 * formula (`make_bucket_resolutions`), which NovelAI's aspect-ratio bucketing goes back to.
 */
export interface PictureSize {
  /** In pixels. */
  readonly width: number;
  readonly height: number;
}

export interface BucketLimits {
  /** Sides are multiples of it, in pixels: a multiple of what the base makes. */
  readonly step: number;
  /** Shortest and longest side; default half and twice the resolution, as 256 and 1024 are for 512. */
  readonly shortest?: number;
  readonly longest?: number;
}

/**
 * Every width with the greatest height that keeps the area within `resolution`², each also on its side; by width,
 * then height.
 */
export function aspectBuckets(resolution: number, limits: BucketLimits): PictureSize[] {
  const { step, shortest = Math.floor(resolution / 2), longest = resolution * 2 } = limits;
  const whole = (side: number) => Math.floor(side / step) * step;
  const sizes = new Map<string, PictureSize>();
  const add = (width: number, height: number) => sizes.set(`${width}×${height}`, { width, height });
  add(whole(resolution), whole(resolution));
  for (let width = Math.ceil(shortest / step) * step; width <= longest; width += step) {
    const height = Math.min(whole(longest), whole(resolution ** 2 / width));
    if (height < shortest || height === 0) continue;
    add(width, height);
    add(height, width);
  }
  return [...sizes.values()].sort((a, b) => a.width - b.width || a.height - b.height);
}

/** The bucket whose width : height is nearest to the picture's; the picture's own size where it is one. */
export function nearestBucket(buckets: readonly PictureSize[], picture: PictureSize): PictureSize {
  const same = buckets.find(({ width, height }) => width === picture.width && height === picture.height);
  const ratio = picture.width / picture.height;
  const apart = ({ width, height }: PictureSize) => Math.abs(width / height - ratio);
  return same ?? buckets.reduce((best, one) => (apart(one) < apart(best) ? one : best));
}

/** The size of the picture scaled so that it just covers `bucket`: what is to be cut from it. */
export function coveringSize(picture: PictureSize, bucket: PictureSize): PictureSize {
  const scale = Math.max(bucket.width / picture.width, bucket.height / picture.height);
  return {
    width: Math.max(bucket.width, Math.round(picture.width * scale)),
    height: Math.max(bucket.height, Math.round(picture.height * scale)),
  };
}
