/** A line chart as SVG, in the colours of the page around it. */
import { escaped } from './escaped';
import type { LineChart } from './report';

const size = { width: 560, height: 260 };
const frame = { left: 56, right: 12, top: 12, bottom: 40 };

export function chartSvg({ title, x, y, series, mark }: LineChart): string {
  const points = series.flatMap((one) => one.points).filter((point) => point.every(Number.isFinite));
  if (points.length === 0) return `<p>${escaped(title)}: nothing to show.</p>`;
  const across = axis(
    points.map(([value]) => value),
    frame.left,
    size.width - frame.right,
  );
  const up = axis(
    points.map(([, value]) => value),
    size.height - frame.bottom,
    frame.top,
  );
  const bottom = size.height - frame.bottom;
  const lines = series.map(({ name, points: own }, i) => {
    const path = own
      .filter((point) => point.every(Number.isFinite))
      .map(([a, b], n) => `${n === 0 ? 'M' : 'L'}${across.at(a)} ${up.at(b)}`)
      .join('');
    return `<path class="line line-${i}" d="${path}"><title>${escaped(name)}</title></path>`;
  });
  const ticks = [
    ...across.ticks.map(
      (value) =>
        `<text x="${across.at(value)}" y="${bottom + 16}" text-anchor="middle">${figure(value)}</text>`,
    ),
    ...up.ticks.map(
      (value) =>
        `<path class="grid" d="M${frame.left} ${up.at(value)}H${size.width - frame.right}"/><text x="${frame.left - 6}" y="${up.at(value) + 4}" text-anchor="end">${figure(value)}</text>`,
    ),
  ];
  const marked = mark
    ? `<path class="mark" d="M${across.at(mark.x)} ${frame.top}V${bottom}"/><text x="${across.at(mark.x) - 4}" y="${frame.top + 10}" text-anchor="end">${escaped(mark.name)}</text>`
    : '';
  const legend = series
    .map(({ name }, i) => `<span class="key key-${i}"></span>${escaped(name)}`)
    .join(' &nbsp; ');
  return `<figure><svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escaped(title)}">${ticks.join('')}${marked}${lines.join('')}<text x="${(frame.left + size.width) / 2}" y="${size.height - 6}" text-anchor="middle">${escaped(x)}</text><text transform="translate(14 ${(frame.top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(y)}</text></svg><figcaption>${escaped(title)}<br>${legend}</figcaption></figure>`;
}

/** Values on a line of the picture, with round ticks. */
function axis(values: readonly number[], from: number, to: number) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const range = most - least || Math.abs(most) || 1;
  const rough = range / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough)!;
  const [low, high] = [Math.floor(least / step) * step, Math.ceil(most / step) * step || step];
  const top = high === low ? low + step : high;
  const ticks = Array.from({ length: Math.round((top - low) / step) + 1 }, (_, i) => low + i * step);
  const at = (value: number) => Math.round((from + ((value - low) / (top - low)) * (to - from)) * 10) / 10;
  return { at, ticks };
}

const figure = (value: number) => String(Number(value.toPrecision(3)));
