/**
 * Large pictures through a network in tiles that overlap by a quarter and are blended there, so that memory does not
 * grow with the picture: what diffusers does after `AutoencoderKL.enable_tiling()`, to its numbers.
 */

/** [channels, height, width] */
export interface Planes {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly data: Float32Array;
}

/** The first two in places of what goes in, the others in places of what comes out. */
export interface Tiling {
  /** A tile's height and width; less at the right and bottom edge. */
  readonly side: number;
  /** From one tile to the next. */
  readonly stride: number;
  /** Over how many rows and columns a tile fades in over its neighbour. */
  readonly blend: number;
  /** Rows and columns of a tile that are taken, the rest being its neighbour's. */
  readonly kept: number;
}

const overlap = 0.25;

/** For a network that makes `to` of `from` places, on tiles of `from`. */
export const tilingOf = (from: number, to: number): Tiling => ({
  side: from,
  stride: Math.trunc(from * (1 - overlap)),
  blend: Math.trunc(to * overlap),
  kept: to - Math.trunc(to * overlap),
});

/** Where tiles begin along a side of `length`. */
export const tileStarts = ({ stride }: Tiling, length: number): number[] =>
  Array.from({ length: Math.ceil(length / stride) }, (_, i) => i * stride);

/** The part of `planes` that begins at `top`, `left`, as far as it has one. */
export function cutPlanes(planes: Planes, top: number, left: number, side: number): Planes {
  const height = Math.min(side, planes.height - top);
  const width = Math.min(side, planes.width - left);
  const data = new Float32Array(planes.channels * height * width);
  for (let row = 0; row < planes.channels * height; row++) {
    const channel = Math.floor(row / height);
    const start = (channel * planes.height + top + (row % height)) * planes.width + left;
    data.set(planes.data.subarray(start, start + width), row * width);
  }
  return { channels: planes.channels, height, width, data };
}

/**
 * What comes of tiles, rows of them, put together. Each is first blended, in place, with the one above and the one to
 * the left, which have been blended before.
 */
export function joinTiles(tiles: readonly (readonly Planes[])[], { blend, kept }: Tiling): Planes {
  tiles.forEach((row, i) => {
    row.forEach((tile, j) => {
      if (i > 0) blendRows(tiles[i - 1]![j]!, tile, blend);
      if (j > 0) blendColumns(row[j - 1]!, tile, blend);
    });
  });
  const taken = (length: number) => Math.min(kept, length);
  const sum = (lengths: readonly number[]) => lengths.reduce((all, one) => all + taken(one), 0);
  const height = sum(tiles.map(([first]) => first!.height));
  const width = sum(tiles[0]!.map((tile) => tile.width));
  const { channels } = tiles[0]![0]!;
  const data = new Float32Array(channels * height * width);
  let top = 0;
  for (const row of tiles) {
    let left = 0;
    for (const tile of row) {
      const columns = taken(tile.width);
      for (let channel = 0; channel < channels; channel++) {
        for (let y = 0; y < taken(tile.height); y++) {
          const from = (channel * tile.height + y) * tile.width;
          data.set(tile.data.subarray(from, from + columns), (channel * height + top + y) * width + left);
        }
      }
      left += columns;
    }
    top += taken(row[0]!.height);
  }
  return { channels, height, width, data };
}

function blendRows(above: Planes, tile: Planes, blend: number): void {
  const extent = Math.min(above.height, tile.height, blend);
  for (let channel = 0; channel < tile.channels; channel++) {
    for (let y = 0; y < extent; y++) {
      const from = (channel * above.height + above.height - extent + y) * above.width;
      const to = (channel * tile.height + y) * tile.width;
      for (let x = 0; x < tile.width; x++) mix(above.data[from + x]!, tile.data, to + x, y / extent);
    }
  }
}

function blendColumns(left: Planes, tile: Planes, blend: number): void {
  const extent = Math.min(left.width, tile.width, blend);
  for (let row = 0; row < tile.channels * tile.height; row++) {
    const from = (row + 1) * left.width - extent;
    for (let x = 0; x < extent; x++) mix(left.data[from + x]!, tile.data, row * tile.width + x, x / extent);
  }
}

function mix(neighbour: number, own: Float32Array, at: number, share: number): void {
  own[at] = neighbour * (1 - share) + own[at]! * share;
}
