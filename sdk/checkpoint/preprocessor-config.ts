import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * The preprocessor_config.json that holds for a network in `path`, a folder or a file in it. ONNX files are often
 * published in a folder `onnx` of the model's own.
 */
export function preprocessorConfigOf(path: string): string | undefined {
  const folder = statSync(path).isDirectory() ? path : dirname(path);
  const folders = basename(folder) === 'onnx' ? [folder, dirname(folder)] : [folder];
  return folders.map((one) => join(one, 'preprocessor_config.json')).find((file) => existsSync(file));
}
