/** A report as one HTML file: nothing is fetched, light or dark as the reader's system is. */
import { chartSvg } from './chart';
import { escaped } from './escaped';
import type { Block, Report, Table } from './report';

const style = `
:root { color-scheme: light dark; --ink: #1f2328; --faint: #d1d9e0; --page: #ffffff;
  --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #3d444d; --page: #0d1117;
  --c0: #58a6ff; --c1: #ffa657; --c2: #56d364; --c3: #bc8cff; --c4: #ff7bbf; } }
body { color: var(--ink); background: var(--page); font: 15px/1.5 system-ui, sans-serif; max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--faint); text-align: right; vertical-align: top; }
th:first-child, td:first-child, .words td { text-align: left; }
thead th { white-space: nowrap; }
figure { margin: 1rem 0; } figcaption, .note { opacity: .8; font-size: .9em; }
img { max-width: 100%; image-rendering: pixelated; }
svg { max-width: 40rem; width: 100%; } svg text { fill: var(--ink); font-size: 11px; }
.line { fill: none; stroke-width: 2; } .grid { stroke: var(--faint); } .mark { stroke: var(--ink); stroke-dasharray: 4 3; }
${[0, 1, 2, 3, 4].map((i) => `.line-${i} { stroke: var(--c${i}); } .key-${i} { background: var(--c${i}); }`).join('\n')}
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .3em; }
`;

export function htmlReport({ title, summary, sections }: Report): string {
  const body = sections.map(
    ({ heading, blocks }) =>
      `<section><h2>${escaped(heading)}</h2>\n${blocks.map(blockHtml).join('\n')}</section>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title><style>${style}</style></head>
<body><h1>${escaped(title)}</h1><p>${escaped(summary)}</p>
${body.join('\n')}
</body></html>
`;
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
      return `<figure><img alt="${escaped(block.caption)}" src="data:image/png;base64,${Buffer.from(block.png).toString('base64')}"><figcaption>${escaped(block.caption)}</figcaption></figure>`;
  }
}

function tableHtml({ columns, rows, note }: Table): string {
  const isFigures = rows.every((row) => row.slice(1).every((cell) => cell.length <= 24));
  const line = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  const table = `<table${isFigures ? '' : ' class="words"'}><thead>${line(columns, 'th')}</thead><tbody>${rows.map((row) => line(row, 'td')).join('\n')}</tbody></table>`;
  const remark = note === undefined ? '' : `<p class="note">${escaped(note)}</p>`;
  return `<div class="wide">${table}</div>${remark}`;
}
