/** A report as one HTML file: nothing is fetched, no script, light or dark as the reader's system is. */
import { chartSvg } from './chart';
import { escaped } from './escaped';
import type { Block, Cell, Report, Section, Table } from './report';

const lines = [0, 1, 2, 3, 4];
/** Told apart without colours, too. */
const dashes = ['none', '7 3', '2 3', '9 3 2 3', '12 4'];

const style = `
:root { color-scheme: light dark; --ink: #1f2328; --quiet: #59636e; --faint: #d1d9e0; --page: #ffffff; --band: #f6f8fa;
  --good: #1a7f37; --bad: #cf222e; --open: #8a5300;
  --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --quiet: #9ba4ae; --faint: #3d444d; --page: #0d1117;
  --band: #151b23; --good: #56d364; --bad: #ff7b72; --open: #e3b341;
  --c0: #58a6ff; --c1: #ffa657; --c2: #56d364; --c3: #bc8cff; --c4: #ff7bbf; } }
* { box-sizing: border-box; }
body { color: var(--ink); background: var(--page); font: 15px/1.5 system-ui, sans-serif; max-width: 76rem;
  margin: 0 auto; padding: 2rem 1rem 4rem; overflow-wrap: break-word; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--faint); }
p { max-width: 48rem; margin: .5rem 0; } .note { color: var(--quiet); font-size: .9em; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1rem 0; } a { color: var(--c0); }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; font-size: .93em; }
th, td { padding: .35rem .7rem; text-align: left; vertical-align: top; white-space: pre-line; }
thead th { white-space: nowrap; color: var(--quiet); font-weight: 600; vertical-align: bottom; }
tbody > tr > * { border-top: 1px solid var(--faint); } tbody th { font-weight: 600; } .figure { text-align: right; white-space: nowrap; }
tbody tr:hover > * { background: var(--band); }
.below { display: block; color: var(--quiet); font-size: .78em; line-height: 1.35; white-space: pre; }
code { font: .92em/1.5 ui-monospace, monospace; background: var(--band); padding: .1em .35em; border-radius: 4px; -webkit-box-decoration-break: clone; box-decoration-break: clone; user-select: all; }
.faint { color: var(--quiet); }
.good, .bad, .open { font-weight: 600; white-space: nowrap; } .good { color: var(--good); } .bad { color: var(--bad); } .open { color: var(--open); }
.figures th:first-child { position: sticky; left: 0; background: var(--page); white-space: nowrap; }
.side-by-side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 1.25rem 1.5rem; margin: 1rem 0; align-items: start; }
figure { margin: 0; min-width: 0; } figcaption { font-size: .9em; margin-bottom: .35rem; } .legend { color: var(--quiet); display: block; }
.legend svg { width: 1.9em; height: .7em; margin-right: .35em; } .legend > span { white-space: nowrap; margin-right: 1em; }
img { max-width: 100%; height: auto; border-radius: 4px; }
.chart { width: 100%; max-width: 30rem; height: auto; display: block; } svg text { fill: var(--quiet); font-size: 12px; }
.line { fill: none; stroke-width: 2; } .grid { stroke: var(--faint); } .mark { stroke: var(--ink); stroke-dasharray: 4 3; }
${lines.map((i) => `.line-${i} { stroke: var(--c${i}); stroke-dasharray: ${dashes[i]}; } .dot-${i} { fill: var(--c${i}); }`).join('\n')}
@media (max-width: 44rem) {
  .words, .words tbody, .words tr, .words th, .words td { display: block; }
  .words thead { display: none; } .words tr { border-top: 1px solid var(--faint); padding: .6rem 0; }
  .words tr > * { border: 0; padding: .1rem 0; } .words .figure { text-align: left; } .words td:empty { display: none; }
  .words [data-column]:not([data-column=""])::before { content: attr(data-column) ": "; color: var(--quiet); font-weight: 400; font-size: .85em; }
}
@media print { body { max-width: none; } .wide { overflow: visible; } nav { display: none; } }
`;

export function htmlReport({ title, summary, sections }: Report): string {
  const links = sections.map(({ heading }, i) => `<a href="#part-${i + 1}">${escaped(heading)}</a>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>${escaped(title)}</title><style>${style}</style></head>
<body><h1>${escaped(title)}</h1><p>${escaped(summary)}</p>
<nav>${links.join('\n')}</nav>
${sections.map(sectionHtml).join('\n')}
</body></html>
`;
}

const sectionHtml = ({ heading, blocks }: Section, i: number): string =>
  `<section id="part-${i + 1}"><h2>${escaped(heading)}</h2>\n${rowsOf(blocks)
    .map((row) =>
      isFigure(row[0]!)
        ? `<div class="side-by-side">${row.map(blockHtml).join('\n')}</div>`
        : row.map(blockHtml).join('\n'),
    )
    .join('\n')}</section>`;

const isFigure = ({ kind }: Block): boolean => kind === 'chart' || kind === 'picture';

/** Charts and pictures that follow one another stand side by side. */
function rowsOf(blocks: readonly Block[]): Block[][] {
  const rows: Block[][] = [];
  for (const block of blocks) {
    const last = rows.at(-1);
    if (last !== undefined && isFigure(block) && isFigure(last[0]!)) last.push(block);
    else rows.push([block]);
  }
  return rows;
}

function blockHtml(block: Block): string {
  switch (block.kind) {
    case 'text':
      return `<p>${escaped(block.text)}</p>`;
    case 'table':
      return tableHtml(block);
    case 'chart':
      return chartSvg(block);
    case 'picture':
      return `<figure><figcaption>${escaped(block.caption)}</figcaption><img alt="${escaped(block.caption)}" src="data:image/png;base64,${Buffer.from(block.png).toString('base64')}"></figure>`;
  }
}

const textOf = (cell: Cell): string => (typeof cell === 'string' ? cell : cell.text);
/** "0.71", "+3", "–", "12 s" and nothing at all. */
const figure = /^([+\-−]?[\d.,]+( ?[a-z%]{1,3})?|[–-]?|NaN)$/;

function tableHtml({ columns, rows, note }: Table): string {
  const figures = columns.map((_, i) => i > 0 && rows.every((row) => figure.test(textOf(row[i] ?? ''))));
  // Of words in several columns a narrow screen shows one cell below the other; columns of figures are scrolled.
  const kind = figures.slice(1).every(Boolean) ? 'figures' : columns.length > 2 ? 'words' : 'pairs';
  const head = columns.map((name, i) => `<th${classes(figures[i])}>${escaped(name)}</th>`);
  const body = rows.map(
    (row) => `<tr>${row.map((cell, i) => cellHtml(cell, i, columns, figures)).join('')}</tr>`,
  );
  const remark = note === undefined ? '' : `<p class="note">${escaped(note)}</p>`;
  return `<div class="wide" tabindex="0"><table class="${kind}"><thead><tr>${head.join('')}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>${remark}`;
}

function cellHtml(cell: Cell, i: number, columns: readonly string[], figures: readonly boolean[]): string {
  const { below, tone, code } = typeof cell === 'string' ? {} : cell;
  const small = below === undefined ? '' : `<span class="below">${escaped(below)}</span>`;
  const text = escaped(textOf(cell));
  const content = (code ? `<code>${text}</code>` : text) + small;
  // A list has no names of rows.
  if (i === 0 && columns.length > 1) return `<th scope="row"${classes(tone)}>${content}</th>`;
  const column = content === '' ? '' : ` data-column="${escaped(columns[i] ?? '')}"`;
  return `<td${column}${classes(figures[i], tone)}>${content}</td>`;
}

function classes(isOfFigures: boolean | string | undefined, tone?: string): string {
  const names = [isOfFigures === true ? 'figure' : isOfFigures, tone].filter(Boolean);
  return names.length === 0 ? '' : ` class="${names.join(' ')}"`;
}
