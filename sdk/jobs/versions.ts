import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { packageFolder } from '../checkpoint/package-folder';

export interface Versions extends Readonly<Record<string, string>> {
  readonly dreambooth: string;
  readonly node: string;
  /** `missing` where it is not installed. */
  readonly onnxruntime: string;
}

/** Of what makes a subject; onnxruntime is not loaded for it. */
export function packageVersions(): Versions {
  const version = (file: string) => JSON.parse(readFileSync(file, 'utf8')).version as string;
  const ours = join(packageFolder(), 'package.json');
  let onnxruntime = 'missing';
  try {
    onnxruntime = version(createRequire(ours).resolve('onnxruntime-node/package.json'));
  } catch {
    // Said by the name `missing`; doctor tells the mend.
  }
  return { dreambooth: version(ours), node: process.versions.node, onnxruntime };
}
