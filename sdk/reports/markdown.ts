/** A report as Markdown; pictures lie beside it, charts are tables of their points. */
import type { Block, Cell, LineChart, Report } from './report';

export function markdownReport({ title, summary, sections }: Report): string {
  const parts = sections.flatMap(({ heading, blocks }) => [`## ${heading}`, ...blocks.map(blockText)]);
  return `${[`# ${title}`, summary, ...parts].join('\n\n')}\n`;
}

function blockText(block: Block): string {
  switch (block.kind) {
    case 'text':
      return block.text;
    case 'table':
      return [tableText(block.columns, block.rows), ...(block.note ? [block.note] : [])].join('\n\n');
    case 'chart':
      return chartText(block);
    case 'picture':
      return `![${block.caption.replace(/[[\]\\]/g, '\\$&')}](<${block.file}>)`;
  }
}

function chartText(chart: LineChart): string {
  const [columns, rows] = pointsOf(chart);
  return rows.length === 0
    ? `${chart.title}: nothing to show.`
    : `${chart.title}\n\n${tableText(columns, rows)}`;
}

function tableText(columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]) => `| ${cells.map(cellText).join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}

/** In one line, in which neither a bar ends the cell nor a sign begins a tag. */
function cellText(cell: Cell): string {
  const { text, below, code } = typeof cell === 'string' ? { text: cell } : cell;
  // Within it no sign but a bar is anything else than itself.
  if (code && !/[`\n]/.test(text)) return `\`${text.replaceAll('|', '\\|')}\``;
  return [text, ...(below === undefined ? [] : [below])]
    .join(' ')
    .replaceAll('\\', '\\\\')
    .replaceAll('|', '\\|')
    .replaceAll('<', '&lt;')
    .replaceAll('\n', '<br>');
}

function pointsOf({ x, series }: LineChart): [string[], string[][]] {
  const places = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const rows = places.map((at) => [
    String(at),
    ...series.map(({ points }) => {
      const value = points.find(([own]) => own === at)?.[1];
      return value === undefined || !Number.isFinite(value) ? '' : value.toPrecision(3);
    }),
  ]);
  return [[x, ...series.map(({ name }) => name)], rows];
}
