/**
 * npm run parity -- [--json] [DIR…]: holds the models, samplers, LoRA files and training against reference values.
 * Exit status: 0 when no check failed, 1 when one did, 2 for wrong use.
 */

import { describeRow, heading, type Row, summary } from './report';
import { checkFolders, defaultFolders } from './run';

const usage =
  'npm run parity -- [--json] [DIR…]   DIR: a folder of checkpoints with reference values, or one of them';

export async function main(args: readonly string[], print: (line: string) => void): Promise<number> {
  const options = args.filter((arg) => arg.startsWith('-'));
  const wrong = options.filter((option) => option !== '--json');
  if (wrong.length > 0) {
    print(wrong.includes('--help') ? usage : `unknown option ${wrong.join(', ')}\n${usage}`);
    return wrong.includes('--help') ? 0 : 2;
  }
  const json = options.includes('--json');
  const given = args.filter((arg) => !arg.startsWith('-'));
  const rows: Row[] = [];
  if (!json) print(heading());
  try {
    for await (const row of checkFolders(given.length > 0 ? given : defaultFolders)) {
      rows.push(row);
      print(json ? JSON.stringify(row) : describeRow(row));
    }
  } catch (error) {
    print(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return 2;
  }
  if (!json) print(summary(rows));
  return rows.some((row) => row.status === 'FAIL') ? 1 : 0;
}
