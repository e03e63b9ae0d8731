import { describe, expect, test } from 'vitest';
import { chartSvg } from '../../sdk/reports/chart';
import type { LineChart } from '../../sdk/reports/report';

type Points = LineChart['series'][number]['points'];
const chart = (...series: Points[]): LineChart => ({
  kind: 'chart',
  title: 'CP',
  x: 'steps',
  y: 'share',
  series: series.map((points, i) => ({ name: `series ${i}`, points })),
});
const ticks = (svg: string) => [...svg.matchAll(/<text x[^>]*>([^<]*)</g)].map(([, text]) => text);
const dots = (svg: string) =>
  [...svg.matchAll(/<circle[^>]* cx="([^"]*)" cy="([^"]*)"/g)].map(([, x, y]) => [Number(x), Number(y)]);

test('no points, and none that are numbers, say so and draw nothing', () => {
  for (const none of [chart(), chart([]), chart([[1, Number.NaN]], [[Number.POSITIVE_INFINITY, 1]])]) {
    expect(chartSvg(none)).toContain('CP: nothing to show.');
    expect(chartSvg(none)).not.toContain('<svg');
  }
});

describe('places', () => {
  test('a single point is seen, in the middle of the world or at 0', () => {
    for (const value of [0, 0.73, -4, 1e6]) {
      const svg = chartSvg(chart([[value, value]]));
      expect(svg).not.toMatch(/NaN|Infinity/);
      expect(dots(svg)).toHaveLength(1);
    }
  });

  test('more is further right and further up, within the picture', () => {
    const [first, second, third] = dots(
      chartSvg(
        chart([
          [0, 0.1],
          [100, 0.5],
          [700, 0.93],
        ]),
      ),
    ) as [number, number][];
    expect(first![0]).toBeLessThan(second![0]!);
    expect(second![0]).toBeLessThan(third![0]!);
    expect(first![1]).toBeGreaterThan(second![1]!);
    expect(second![1]).toBeGreaterThan(third![1]!);
    for (const [x, y] of [first!, second!, third!]) {
      expect(x).toBeGreaterThan(40);
      expect(x).toBeLessThan(440);
      expect(y).toBeGreaterThan(0);
      expect(y).toBeLessThan(200);
    }
  });

  test('a value that is none breaks the line', () => {
    const svg = chartSvg(
      chart([
        [1, 1],
        [2, 2],
        [3, Number.NaN],
        [4, 1],
        [5, 2],
      ]),
    );
    const [, path] = /class="line line-0" d="(M[^"]+)"\/><circle/.exec(svg)!;
    expect(path!.replace(/[\d. ]+/g, '')).toBe('MLML');
    expect(dots(svg)).toHaveLength(4);
  });
});

test.each<[Points, readonly string[]]>([
  [
    [
      [1, 0.62],
      [5, 0.91],
    ],
    ['0.6', '0.7', '0.8', '0.9', '1.0'],
  ],
  [
    [
      [1, 10_000],
      [5, 10_004],
    ],
    ['10000', '10001', '10002', '10003', '10004'],
  ],
  [
    [
      [1, -1],
      [5, 0],
    ],
    ['-1.0', '-0.5', '0.0'],
  ],
])('ticks are round, and as exact as their step: %j', (points, up) => {
  expect(ticks(chartSvg(chart(points)))).toEqual(['1', '2', '3', '4', '5', ...up, 'steps']);
});

test('each series has a line, points and a key of its own, and its name is text', () => {
  const svg = chartSvg({
    ...chart(
      [
        [0, 0],
        [1, 1],
      ],
      [
        [0, 1],
        [1, 0],
      ],
    ),
    title: '<i>"a" & b</i>',
  });
  for (const i of [0, 1]) {
    expect(svg.match(new RegExp(`class="line line-${i}"`, 'g'))).toHaveLength(2);
    expect(svg).toContain(`series ${i}</span>`);
  }
  expect(svg).not.toContain('<i>');
  expect(svg).toContain('&#60;i&#62;&#34;a&#34; &#38; b');
});

test('a mark beyond the points widens the picture, and its name stays inside', () => {
  const svg = (x: number) =>
    chartSvg({
      ...chart([
        [0, 0],
        [100, 1],
      ]),
      mark: { x, name: 'kept' },
    });
  expect(svg(200)).toMatch(/text-anchor="end">kept</);
  expect(svg(10)).toMatch(/text-anchor="start">kept</);
  const [, at] = /class="mark" d="M([\d.]+) /.exec(svg(200))!;
  expect(Number(at)).toBeLessThanOrEqual(440);
});
