/** Ways to run the command line in tests: in this process, and the built program in one of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { main } from '../../adapters/cli/main';
import type { Surroundings } from '../../adapters/cli/surroundings';

export const program = join(import.meta.dirname, '../../dist/adapters/cli.js');

export type OnLine = (line: string, child: ChildProcess) => void;

function collector(properties: object = {}) {
  let text = '';
  const stream = new Writable({
    write(chunk, _, done) {
      text += chunk;
      done();
    },
  });
  return { stream: Object.assign(stream, properties), text: () => text };
}

export interface Answer {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** In this process; nothing that computes. */
export const call = (...parameters: string[]): Promise<Answer> => callIn({}, ...parameters);

/** Likewise, in other surroundings; with `terminal` the error output is one. */
export async function callIn(
  { terminal = false, ...surroundings }: Partial<Surroundings> & { readonly terminal?: boolean },
  ...parameters: string[]
): Promise<Answer> {
  const [out, err] = [collector(), collector(terminal ? { isTTY: true, columns: 100 } : {})];
  const code = await main(parameters, {
    loadSdk: () => import('../../sdk/index') as never,
    stdout: out.stream,
    stderr: err.stream,
    ...surroundings,
  });
  return { code, out: out.text(), err: err.text() };
}

/** The built program, in a process of its own; `onLine` sees each line of its output with the process. */
export function startIn(folder: string, parameters: readonly string[], onLine?: OnLine): Promise<Answer> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...parameters], { cwd: folder });
    let [out, err, rest] = ['', '', ''];
    child.stdout.on('data', (data) => {
      out += data;
      rest += data;
      const lines = rest.split('\n');
      rest = lines.pop()!;
      for (const line of lines) onLine?.(line, child);
    });
    child.stderr.on('data', (data) => {
      err += data;
    });
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

/** What `--json` wrote. */
export const events = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
