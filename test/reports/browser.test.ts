/** The report as a browser shows it, in both colour schemes, wide and narrow. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writePng } from '../../sdk/images/png';
import { sheetOf } from '../../sdk/protocols/toybox/toybox-evaluation';
import { reportToybox } from '../../sdk/protocols/toybox/toybox-report';
import { PICTURE_SIZE } from '../../sdk/toybox/renderer';
import { toyPhotos } from '../../sdk/toybox/toy-subject';
import { toys, wholeEvaluation } from '../protocols/made-up-rows';
import { hasChromium, type LookedAt, look } from './chromium';

const thereIs = hasChromium();
if (!thereIs) console.warn('reports: chromium is not installed, so that reports are not looked at here.');

/** The least contrast (WCAG 2) of any text that is shown with the page behind it. */
const contrast = `(() => {
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = luminance(getComputedStyle(document.body).backgroundColor);
  const own = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '');
  return Math.min(...[...document.body.querySelectorAll(':not(title)')].filter(own).map((one) => {
    const style = getComputedStyle(one);
    const ink = luminance(one.namespaceURI.endsWith('svg') ? style.fill : style.color);
    return (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05);
  }));
})()`;
const expressions = {
  title: 'document.title',
  heading: 'document.querySelector("h1").textContent',
  sections: 'document.querySelectorAll("section h2").length',
  links:
    '[...document.querySelectorAll("nav a")].every((one) => document.querySelector(one.getAttribute("href")))',
  tables: 'document.querySelectorAll("table").length',
  rowsOfVerdicts: 'document.querySelectorAll("table")[0].tBodies[0].rows.length',
  verdicts:
    '[...new Set([...document.querySelectorAll(".good, .bad")].map((one) => one.className + " " + one.textContent))].sort()',
  charts: 'document.querySelectorAll("svg.chart").length',
  lines: 'document.querySelectorAll("svg.chart .line").length',
  dots: 'document.querySelectorAll("circle").length',
  pictures: '[...document.images].map((one) => one.complete && one.naturalWidth)',
  scripts: 'document.scripts.length',
  background: 'getComputedStyle(document.body).backgroundColor',
  pageWidth: 'document.documentElement.scrollWidth',
  // A text that is wider than where it stands would lie over its neighbour.
  overlaps:
    '[...document.querySelectorAll("td, th, figcaption, p, h1, h2")].filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0).map((one) => one.textContent)',
  contrast,
};

describe.skipIf(!thereIs)('in a browser', () => {
  let folder: string;
  let looked: readonly LookedAt[];
  const viewings = (['light', 'dark'] as const).flatMap((scheme) =>
    [1280, 420].map((width) => ({ scheme, width, expressions })),
  );
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dreambooth-report-'));
    mkdirSync(join(folder, 'pictures'));
    const data = toyPhotos(toys[0]!)[0]!;
    for (const arm of ['base', 'class-images'] as const) {
      const toy = toys[0]!;
      await writePng(join(folder, sheetOf({ arm, toy, settings: 'made-up' })), {
        width: PICTURE_SIZE,
        height: PICTURE_SIZE,
        data,
      });
    }
    const rows = wholeEvaluation().map((row) =>
      row.arm === 'common-word' ? { ...row, report: { ...row.report, CP: 0.95 } } : row,
    );
    looked = await look(reportToybox(rows, folder).files[0]!, viewings);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('all of it is there, and nothing is asked for or complained of', () => {
    for (const { values, complaints, requests, png } of looked) {
      expect(values).toMatchObject({
        title: 'DreamBooth on the embedded world',
        heading: 'DreamBooth on the embedded world',
        sections: 8,
        links: true,
        tables: 8,
        rowsOfVerdicts: 12,
        verdicts: ['bad fail', 'good pass'],
        charts: 7,
        // Two courses in each of five charts and in that of the loss, five measures over the photos.
        lines: 17,
        dots: 2 * 6 * 5 + 2 * 2 + 5 * 5,
        pictures: [PICTURE_SIZE, PICTURE_SIZE],
        scripts: 0,
      });
      expect(complaints).toEqual([]);
      expect(requests).toEqual([]);
      expect(png.length).toBeGreaterThan(50_000);
    }
  });

  test('each colour scheme has its ground, and text that can be read on it', () => {
    expect(looked.map(({ values }) => values['background'])).toEqual([
      'rgb(255, 255, 255)',
      'rgb(255, 255, 255)',
      'rgb(13, 17, 23)',
      'rgb(13, 17, 23)',
    ]);
    // What WCAG 2 asks of text of this size.
    for (const { values } of looked) expect(values['contrast']).toBeGreaterThanOrEqual(4.5);
  });

  test('the page has no more width than the window, and no text more than its place', () => {
    for (const [i, { values }] of looked.entries()) {
      expect(values['pageWidth']).toBeLessThanOrEqual(viewings[i]!.width);
      expect(values['overlaps']).toEqual([]);
    }
  });

  test('what a page asks for and complains of would be seen', async () => {
    const file = join(folder, 'loud.html');
    writeFileSync(
      file,
      '<link rel="icon" href="data:,"><img src="nowhere.png"><script>console.error("loud"); nothing();</script>',
    );
    const [seen] = await look(file, [{ scheme: 'light', width: 400 }]);
    expect(seen!.requests).toEqual([expect.stringMatching(/nowhere\.png$/)]);
    expect(seen!.complaints.join()).toMatch(/loud/);
    expect(seen!.complaints.join()).toMatch(/nothing is not defined/);
  });
});
