/**
 * Signed distance functions in a subject's own coordinates (x right, y down): negative inside, zero on
 * the edge, and about the distance outside, so that an outline has the same width everywhere.
 */
export interface Shape {
  distance(x: number, y: number): number;
  /** Left, top, right, bottom: nothing of the shape lies outside. */
  readonly bounds: readonly [number, number, number, number];
}

type Point = readonly [number, number];

/** An ellipse, by the first-order distance (Quilez), exact on the edge. `angle` turns it, radians. */
export function ellipse(cx: number, cy: number, rx: number, ry: number, angle = 0): Shape {
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const reach = angle === 0 ? undefined : Math.max(rx, ry);
  return {
    bounds: [cx - (reach ?? rx), cy - (reach ?? ry), cx + (reach ?? rx), cy + (reach ?? ry)],
    distance(x, y) {
      const dx = x - cx;
      const dy = y - cy;
      const u = (dx * cos + dy * sin) / rx;
      const v = (dy * cos - dx * sin) / ry;
      const k0 = Math.sqrt(u * u + v * v);
      const k1 = Math.sqrt((u * u) / (rx * rx) + (v * v) / (ry * ry));
      return k1 < 1e-9 ? -Math.min(rx, ry) : (k0 * (k0 - 1)) / k1;
    },
  };
}

/** A box of half sizes `hx`, `hy` with corners of the given radius. */
export function box(cx: number, cy: number, hx: number, hy: number, radius = 0): Shape {
  return {
    bounds: [cx - hx, cy - hy, cx + hx, cy + hy],
    distance(x, y) {
      const dx = Math.abs(x - cx) - hx + radius;
      const dy = Math.abs(y - cy) - hy + radius;
      const ox = Math.max(dx, 0);
      const oy = Math.max(dy, 0);
      return Math.sqrt(ox * ox + oy * oy) + Math.min(Math.max(dx, dy), 0) - radius;
    },
  };
}

/** A polygon with its corners rounded outwards by `radius`. */
export function polygon(points: readonly Point[], radius = 0): Shape {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  return {
    bounds: [
      Math.min(...xs) - radius,
      Math.min(...ys) - radius,
      Math.max(...xs) + radius,
      Math.max(...ys) + radius,
    ],
    distance(x, y) {
      let nearest = Number.POSITIVE_INFINITY;
      let inside = false;
      for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
        const [ax, ay] = points[i]!;
        const [bx, by] = points[j]!;
        nearest = Math.min(nearest, squaredToSegment(x, y, ax, ay, bx, by));
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
      }
      return (inside ? -1 : 1) * Math.sqrt(nearest) - radius;
    },
  };
}

/** A line of the given half width along a quadratic curve from `start` to `end`, bent to `control`. */
export function stroke(start: Point, control: Point, end: Point, halfWidth: number, segments = 5): Shape {
  const at = (i: number): Point => {
    const t = i / segments;
    const [a, b, c] = [(1 - t) * (1 - t), 2 * t * (1 - t), t * t];
    return [a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1]];
  };
  const points = Array.from({ length: segments + 1 }, (_, i) => at(i));
  const { bounds } = polygon(points, halfWidth);
  return {
    bounds,
    distance(x, y) {
      let nearest = Number.POSITIVE_INFINITY;
      for (let i = 0; i < segments; i++) {
        const [ax, ay] = points[i]!;
        const [bx, by] = points[i + 1]!;
        nearest = Math.min(nearest, squaredToSegment(x, y, ax, ay, bx, by));
      }
      return Math.sqrt(nearest) - halfWidth;
    },
  };
}

/** What lies in any of the shapes. */
export function union(...shapes: readonly Shape[]): Shape {
  return {
    bounds: around(shapes),
    distance(x, y) {
      let least = Number.POSITIVE_INFINITY;
      for (const shape of shapes) least = Math.min(least, shape.distance(x, y));
      return least;
    },
  };
}

/** Two shapes grown together, the seam rounded over a width of about `blend`. */
export function blended(a: Shape, b: Shape, blend: number): Shape {
  return {
    bounds: around([a, b]),
    distance(x, y) {
      const da = a.distance(x, y);
      const db = b.distance(x, y);
      const overlap = Math.max(blend - Math.abs(da - db), 0) / blend;
      return Math.min(da, db) - overlap * overlap * blend * 0.25;
    },
  };
}

/** What lies in both shapes. */
export function intersection(a: Shape, b: Shape): Shape {
  return { bounds: a.bounds, distance: (x, y) => Math.max(a.distance(x, y), b.distance(x, y)) };
}

/** What lies in `a` and not in `b`. */
export function difference(a: Shape, b: Shape): Shape {
  return { bounds: a.bounds, distance: (x, y) => Math.max(a.distance(x, y), -b.distance(x, y)) };
}

/** The shape with its edge moved inwards by `by`. */
export function inset(shape: Shape, by: number): Shape {
  return { bounds: shape.bounds, distance: (x, y) => shape.distance(x, y) + by };
}

function around(shapes: readonly Shape[]): [number, number, number, number] {
  return [
    Math.min(...shapes.map(({ bounds }) => bounds[0])),
    Math.min(...shapes.map(({ bounds }) => bounds[1])),
    Math.max(...shapes.map(({ bounds }) => bounds[2])),
    Math.max(...shapes.map(({ bounds }) => bounds[3])),
  ];
}

function squaredToSegment(x: number, y: number, ax: number, ay: number, bx: number, by: number): number {
  const ex = bx - ax;
  const ey = by - ay;
  const t = Math.max(0, Math.min(1, ((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)));
  const dx = x - ax - t * ex;
  const dy = y - ay - t * ey;
  return dx * dx + dy * dy;
}
