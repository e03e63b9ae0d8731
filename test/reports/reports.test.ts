import { expect, test } from 'vitest';
import { escaped } from '../../sdk/reports/escaped';
import { htmlReport } from '../../sdk/reports/html';
import { markdownReport } from '../../sdk/reports/markdown';
import type { Block, Report } from '../../sdk/reports/report';

const report = (...blocks: Block[]): Report => ({
  title: 'A <title> & more',
  summary: 'It\'s "so"',
  sections: [{ heading: 'First', blocks }],
});
const chart: Block = {
  kind: 'chart',
  title: 'over the steps',
  x: 'steps',
  y: 'CP',
  series: [
    {
      name: 'with',
      points: [
        [100, 0.5],
        [200, Number.NaN],
      ],
    },
    { name: 'without', points: [[200, 0.75]] },
  ],
};
const picture: Block = {
  kind: 'picture',
  png: Uint8Array.of(1, 2, 3),
  file: 'pictures/a b.png',
  caption: 'a [dog]',
};
const hostile = '<script>alert(1)</script><img src=x onerror="y">\'&';
const everything = report(
  { kind: 'text', text: hostile },
  {
    kind: 'table',
    columns: ['', hostile],
    rows: [[hostile, { text: hostile, below: hostile, tone: 'bad' }]],
    note: hostile,
  },
  {
    ...chart,
    title: hostile,
    x: hostile,
    y: hostile,
    series: [{ name: hostile, points: [[1, 1]] }],
    mark: { x: 1, name: hostile },
  },
  { ...picture, caption: hostile },
);

test('what HTML reads as its own is written as signs', () => {
  expect(escaped('<a href="x">\'&</a>')).toBe('&#60;a href=&#34;x&#34;&#62;&#39;&#38;&#60;/a&#62;');
});

test('no text of a report becomes a tag, and nothing is fetched or run', () => {
  const html = htmlReport({ ...everything, title: hostile, summary: hostile });
  expect(html).not.toMatch(/<script|<img src=x|onerror="/i);
  expect(html).not.toMatch(/https?:|@import|url\(/i);
  const sources = [...html.matchAll(/\b(?:src|href)="([^"]*)"/g)].map(([, value]) => value!);
  expect(sources.length).toBeGreaterThan(2);
  for (const source of sources) expect(source).toMatch(/^(data:|#part-\d)/);
  // As often as it was given, twice more as the table's column on narrow screens and the picture's and chart's spoken names.
  expect(html.split('alert(1)').length - 1).toBeGreaterThanOrEqual(12);
});

test('a column of figures stands at the right, words at the left, verdicts in their colour', () => {
  const html = htmlReport(
    report({
      kind: 'table',
      columns: ['arm', 'CP', 'verdict'],
      rows: [
        ['base', { text: '−0.12', below: '[0.1, 0.2]\n↑5 ↓0', tone: 'faint' }, { text: 'fail', tone: 'bad' }],
        ['other', '–', ''],
      ],
    }),
  );
  expect(html).toContain('<table class="words">');
  expect(html).toContain('<th class="figure">CP</th>');
  expect(html).toContain(
    '<td data-column="CP" class="figure faint">−0.12<span class="below">[0.1, 0.2]\n↑5 ↓0</span></td>',
  );
  expect(html).toContain('<td data-column="verdict" class="bad">fail</td>');
  expect(html).toContain('<th scope="row">base</th>');
  const figures = { kind: 'table', columns: ['', 'a', 'b'], rows: [['x', '1', '12 s']] } as const;
  expect(htmlReport(report(figures))).toContain('<table class="figures">');
});

test('a command is one that can be copied as it stands', () => {
  const command = "dreambooth resume 'a|b' --set x=<y>\\";
  const table = report({
    kind: 'table',
    columns: ['', 'next'],
    rows: [['x', { text: command, code: true }]],
  });
  expect(htmlReport(table)).toContain(`<code>${escaped(command)}</code>`);
  expect(markdownReport(table)).toContain("| `dreambooth resume 'a\\|b' --set x=<y>\\` |");
});

test('charts and pictures that follow one another stand side by side', () => {
  const html = htmlReport(report(chart, picture, { kind: 'text', text: 'between' }, picture));
  expect(html.match(/class="side-by-side"/g)).toHaveLength(2);
  expect(html.match(/<figure>/g)).toHaveLength(3);
  expect(html).toContain('src="data:image/png;base64,AQID"');
});

test('Markdown: a cell is one cell, whatever is in it', () => {
  const text = markdownReport(
    report({
      kind: 'table',
      columns: ['a|b', 'c'],
      rows: [
        ['x | y\\', { text: 'first\nsecond', below: '[0, 1]' }],
        ['<b>', ''],
      ],
      note: 'said below',
    }),
  );
  expect(text).toContain(
    '| a\\|b | c |\n| --- | --- |\n| x \\| y\\\\ | first<br>second [0, 1] |\n| &lt;b> |  |\n\nsaid below',
  );
});

test('Markdown: a chart is the table of its points, a picture lies beside', () => {
  const text = markdownReport(report(chart, picture));
  expect(text).toContain(
    '# A <title> & more\n\nIt\'s "so"\n\n## First\n\nover the steps\n\n| steps | with | without |\n| --- | --- | --- |\n| 100 | 0.500 |  |\n| 200 |  | 0.750 |',
  );
  expect(text).toContain('![a \\[dog\\]](<pictures/a b.png>)');
  expect(text).not.toContain('NaN');
});

test('Markdown: a chart of nothing says so, as the page does', () => {
  const chart = { kind: 'chart', title: 'CP', x: 'steps', y: 'share', series: [] } as const;
  const report = { title: 'T', summary: '', sections: [{ heading: 'Over the steps', blocks: [chart] }] };
  expect(markdownReport(report)).toContain('CP: nothing to show.');
  expect(markdownReport(report)).not.toContain('|');
});

test('a list has no names of rows', () => {
  const html = htmlReport(report({ kind: 'table', columns: [''], rows: [['a sentence']] }));
  expect(html).toContain('>a sentence</td>');
  expect(html).not.toContain('<th scope="row"');
});
