import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { type BaseReport, reportBase } from '../library/base-report';
import { listModels } from '../library/list-models';
import type { Backend } from '../runtime/backends';
import type { Home } from '../subjects/home';
import { baseName, basePath, embeddedBase } from './base-path';
import { packageVersions, type Versions } from './versions';

export interface Diagnosis {
  /** Whether the embedded base model can be trained and drawn with here. */
  readonly ok: boolean;
  readonly versions: Versions;
  readonly platform: string;
  readonly backends: readonly Backend[];
  readonly cores: number;
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
  readonly home: string;
  readonly homeWritable: boolean;
  readonly freeDiskBytes: number;
  readonly base: string;
  readonly baseFound: boolean;
  /** What the base is and holds; null where it cannot be opened. */
  readonly baseReport: BaseReport | null;
  /** Base models found on this machine that work here. */
  readonly modelsFound: number;
  /** What is wrong, each with its mend. */
  readonly problems: readonly string[];
}

const oldestNode = [20, 19] as const;

/** Looks at this machine: Node, onnxruntime and its execution providers, memory, the home folder, the base model. */
export async function diagnose(home: Home, base: string = embeddedBase): Promise<Diagnosis> {
  const problems: string[] = [];
  const versions = packageVersions();
  const [major = 0, minor = 0] = versions.node.split('.').map(Number);
  if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
    problems.push(`Node ${versions.node} is too old: install Node ${oldestNode.join('.')} or newer.`);
  }
  let backends: readonly Backend[] = [];
  try {
    const { listBackends } = await import('../runtime/backends');
    backends = await listBackends();
  } catch (error) {
    problems.push(
      `onnxruntime cannot be loaded (${(error as Error).message.split('\n')[0]}): run npm rebuild onnxruntime-node; Linux needs glibc 2.28 or newer.`,
    );
  }
  const place = firstExisting(home.folder);
  const homeWritable = isWritable(place);
  if (!homeWritable)
    problems.push(`${place} cannot be written to: give another home with --home or DREAMBOOTH_HOME.`);
  let baseFound = false;
  let baseReport: BaseReport | null = null;
  try {
    const path = basePath(baseName(home, base));
    baseFound = true;
    baseReport = reportBase(path);
    for (const { name, missing, misshapen } of baseReport.components) {
      if (missing.length > 0) problems.push(`The ${name} lacks ${listed(missing)}: fetch the model again.`);
      if (misshapen.length > 0) problems.push(`In the ${name}, of another shape: ${listed(misshapen)}.`);
    }
  } catch (error) {
    problems.push((error as Error).message);
  }
  const disk = statfsSync(place);
  return {
    ok: problems.length === 0,
    versions,
    platform: `${process.platform}/${process.arch}`,
    backends,
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    home: home.folder,
    homeWritable,
    freeDiskBytes: disk.bavail * disk.bsize,
    base,
    baseFound,
    baseReport,
    modelsFound: listModels(home).models.filter(({ state }) => state === 'usable').length,
    problems,
  };
}

/** The first few, and how many more. */
const listed = (keys: readonly string[]): string =>
  keys.slice(0, 5).join(', ') + (keys.length > 5 ? ` and ${keys.length - 5} more` : '');

function firstExisting(folder: string): string {
  let found = folder;
  while (!existsSync(found)) found = dirname(found);
  return found;
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
