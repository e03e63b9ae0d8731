import type { Fill } from './canvas';
import type { Appearance, Colour } from './scene';

/** Inside a unit subject the light comes from above: this much brighter at the top than at the bottom. */
const LIGHT = 0.09;

/** A plain surface of one colour under the world's light. */
export function surface(colour: Colour): Fill {
  return (_x, y, out) => lit(out, colour[0], colour[1], colour[2], y);
}

/**
 * The body: its colour c1 with markings in c2, few and large enough to survive 64 pixels.
 * shape[2] sets their size.
 */
export function coat({ pattern, c1, c2, shape }: Appearance): Fill {
  const size = 0.85 + 0.4 * shape[2];
  return (x, y, out) => {
    const marked = marking(pattern, x / size, y / size);
    lit(
      out,
      c1[0] + (c2[0] - c1[0]) * marked,
      c1[1] + (c2[1] - c1[1]) * marked,
      c1[2] + (c2[2] - c1[2]) * marked,
      y,
    );
  };
}

/** How much of the marking colour lies at a point, 0 … 1. */
function marking(pattern: Appearance['pattern'], x: number, y: number): number {
  switch (pattern) {
    case 'plain':
      return 0;
    case 'striped':
      return edge(Math.cos(x * 15 + 2.4 * y * y) - 0.1);
    case 'spotted': {
      // Every other row of spots is moved by half a step.
      const row = Math.floor(y / 0.29);
      const u = (x + (row & 1 ? 0.17 : 0)) / 0.34;
      const dx = (u - Math.floor(u) - 0.5) * 0.34;
      const dy = (y / 0.29 - row - 0.5) * 0.29;
      return edge((0.092 - Math.sqrt(dx * dx + dy * dy)) * 12);
    }
    case 'patched':
      return edge((Math.sin(x * 3.1 + 0.6) + Math.sin(y * 3.7 + x * 1.3 - 0.3) - 0.35) * 1.6);
  }
}

/** A border about a tenth of a unit wide. */
function edge(value: number): number {
  const t = Math.max(0, Math.min(1, 0.5 + value * 1.6));
  return t * t * (3 - 2 * t);
}

function lit(out: Float32Array, red: number, green: number, blue: number, y: number) {
  const light = 1 - LIGHT * y;
  out[0] = red * light;
  out[1] = green * light;
  out[2] = blue * light;
}
