import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { WrongUse } from './failures';

/** Networks that compare, as `--encoder kind=path` names them, one of a kind. */
export function encoderFiles<Kind extends string>(
  pairs: readonly string[],
  kinds: readonly Kind[],
): { readonly kind: Kind; readonly path: string }[] {
  const found = pairs.map((pair) => {
    const [, name, path] = /^([a-z]+)=(.+)$/s.exec(pair) ?? [];
    const kind = kinds.find((one) => one === name);
    if (kind === undefined || path === undefined)
      throw new WrongUse(`--encoder ${pair}: write ${kinds.map((one) => `${one}=PATH`).join(', ')}`);
    return { kind, path: resolve(path) };
  });
  const twice = found.find(({ kind }, i) => found.findIndex((one) => one.kind === kind) !== i);
  if (twice !== undefined)
    throw new WrongUse(`--encoder ${twice.kind} is given twice: one of a kind is taken`);
  // Told at once: an engine at work elsewhere would be waited for first.
  const gone = found.find(({ path }) => !existsSync(path));
  if (gone !== undefined)
    throw new WrongUse(`--encoder ${gone.kind}=${gone.path}: nothing is there; name a folder or a file`);
  return found;
}
