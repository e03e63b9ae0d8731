/** A line chart as SVG, in the colours of the page around it. */
import { escaped } from './escaped';
import type { LineChart } from './report';

const size = { width: 440, height: 230 };
const frame = { left: 52, right: 14, top: 12, bottom: 40 };

/** Points that are no finite numbers are left out, and the line with them. */
export function chartSvg({ title, x, y, series, mark }: LineChart): string {
  const points = series.flatMap((one) => one.points).filter(isThere);
  if (points.length === 0)
    return `<figure><figcaption>${escaped(title)}: nothing to show.</figcaption></figure>`;
  const marks = mark === undefined ? [] : [mark.x];
  const [left, right, bottom] = [frame.left, size.width - frame.right, size.height - frame.bottom];
  const across = axis([...points.map(([value]) => value), ...marks], left, right);
  const up = axis(
    points.map(([, value]) => value),
    bottom,
    frame.top,
  );
  const shapes = series.map(({ name, points: own }, i) => {
    const path = own
      .map((point, n) => {
        if (!isThere(point)) return '';
        const before = own[n - 1];
        return `${before !== undefined && isThere(before) ? 'L' : 'M'}${across.at(point[0])} ${up.at(point[1])}`;
      })
      .join('');
    const dots = own
      .filter(isThere)
      .map(([a, b]) => `<circle class="dot-${i}" cx="${across.at(a)}" cy="${up.at(b)}" r="3"/>`);
    return `<g><title>${escaped(name)}</title><path class="line line-${i}" d="${path}"/>${dots.join('')}</g>`;
  });
  const ticks = [
    ...across.ticks.map((value) => text(across.at(value), bottom + 16, 'middle', across.figure(value))),
    ...up.ticks.map(
      (value) =>
        `<path class="grid" d="M${left} ${up.at(value)}H${right}"/>${text(left - 6, up.at(value) + 4, 'end', up.figure(value))}`,
    ),
  ];
  const marked = mark ? markSvg(across.at(mark.x), mark.name, bottom) : '';
  const names = [
    text((left + right) / 2, size.height - 6, 'middle', x),
    `<text transform="translate(12 ${(frame.top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(y)}</text>`,
  ];
  const legend = series.map(
    ({ name }, i) =>
      `<span><svg viewBox="0 0 30 10" aria-hidden="true"><path class="line line-${i}" d="M0 5H30"/></svg>${escaped(name)}</span>`,
  );
  return `<figure><figcaption>${escaped(title)}<span class="legend">${legend.join(' ')}</span></figcaption><svg class="chart" viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escaped(title)}">${ticks.join('')}${marked}${shapes.join('')}${names.join('')}</svg></figure>`;
}

const isThere = (point: readonly [number, number]): boolean => point.every(Number.isFinite);

const text = (x: number, y: number, anchor: 'start' | 'middle' | 'end', words: string) =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}">${escaped(words)}</text>`;

/** Its name stands on the side where there is room. */
function markSvg(at: number, name: string, bottom: number): string {
  const isLeft = at > size.width / 2;
  const words = text(isLeft ? at - 5 : at + 5, frame.top + 10, isLeft ? 'end' : 'start', name);
  return `<path class="mark" d="M${at} ${frame.top}V${bottom}"/>${words}`;
}

/** Values on a line of the picture, with round ticks. */
function axis(values: readonly number[], from: number, to: number) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const range = most - least || Math.abs(most) || 1;
  const rough = range / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough)!;
  const low = Math.floor(least / step) * step;
  const high = Math.ceil(most / step) * step;
  const top = high > low ? high : low + step;
  const ticks = Array.from({ length: Math.round((top - low) / step) + 1 }, (_, i) => low + i * step);
  const at = (value: number) => Math.round((from + ((value - low) / (top - low)) * (to - from)) * 10) / 10;
  const places = Math.min(20, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  return { at, ticks, figure: (value: number) => value.toFixed(places).replace(/^-(0\.?0*)$/, '$1') };
}
