/** What a command and its child processes hold in memory, watched while it runs (Linux). */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

export interface WatchedRun {
  readonly exitCode: number | null;
  readonly seconds: number;
  /** Largest sums over the process tree: memory of its own, and pages of mapped files, in bytes. */
  readonly peakAnonymous: number;
  readonly peakMapped: number;
  /** Both streams together. */
  readonly output: string;
}

/** Looks at the process tree every 50 ms. `onOutput` gets what the command prints, as it prints it. */
export function watch(
  command: string,
  parameters: readonly string[],
  onOutput: (text: string, seconds: number) => void = () => {},
): Promise<WatchedRun> {
  const begun = performance.now();
  const child = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [peakAnonymous, peakMapped, output] = [0, 0, ''];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      onOutput(text, (performance.now() - begun) / 1000);
    });
  }
  const timer = setInterval(() => {
    const now = memoryOf(child.pid!);
    peakAnonymous = Math.max(peakAnonymous, now.anonymous);
    peakMapped = Math.max(peakMapped, now.mapped);
  }, 50);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode) => {
      clearInterval(timer);
      const seconds = (performance.now() - begun) / 1000;
      resolve({ exitCode, seconds, peakAnonymous, peakMapped, output });
    });
  });
}

/** Of `root` and all that descend from it, in bytes. */
function memoryOf(root: number): { anonymous: number; mapped: number } {
  const tree = new Set([root]);
  const parents = new Map<number, number>();
  const statuses = new Map<number, string>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = readFileSync(`/proc/${name}/status`, 'utf8');
      statuses.set(Number(name), status);
      parents.set(Number(name), Number(/^PPid:\s+(\d+)/m.exec(status)![1]));
    } catch {
      // Ended between listing and reading.
    }
  }
  for (let grown = true; grown; ) {
    const size = tree.size;
    for (const [process, parent] of parents) if (tree.has(parent)) tree.add(process);
    grown = tree.size > size;
  }
  const bytes = (name: string) =>
    [...tree].reduce(
      (sum, process) =>
        sum +
        1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(statuses.get(process) ?? '')?.[1] ?? 0),
      0,
    );
  return { anonymous: bytes('RssAnon'), mapped: bytes('RssFile') };
}
