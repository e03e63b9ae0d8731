/** A report on disk, for people and programs: HTML, Markdown and JSON of the same. */
import { join, relative, resolve } from 'node:path';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { htmlReport } from '../reports/html';
import { markdownReport } from '../reports/markdown';
import type { Report } from '../reports/report';

/** `report.html`, `report.md` and `result.json`, which is `result`. Returns the paths. Throws DiskFullError. */
export function writeReport(folder: string, report: Report, result: object): string[] {
  const texts = {
    'report.html': htmlReport(report),
    'report.md': markdownReport(report),
    'result.json': `${JSON.stringify(result, null, 1)}\n`,
  };
  return Object.entries(texts).map(([name, text]) => {
    const path = join(folder, name);
    writeFileAtomically(path, [Buffer.from(text)]);
    return path;
  });
}

/** A picture's place within the report's folder, as Markdown and JSON say it, so that the whole may be moved. */
export const placeIn = (folder: string, file: string): string =>
  relative(resolve(folder), file).replaceAll('\\', '/');
