/** That the package and this repository install from a registry alone, and that npm has nothing to warn of. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const manifest = JSON.parse(read('package.json'));

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly engines?: { readonly node?: string };
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}
const locked = Object.entries<Locked>(JSON.parse(read('package-lock.json')).packages).filter(
  ([path]) => path !== '',
);
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

test('every install script in the tree is decided about, and no decision is out of date', () => {
  const scripted = new Set(
    locked.flatMap(([path, { hasInstallScript }]) => (hasInstallScript ? nameOf(path) : [])),
  );
  expect(Object.keys(manifest.allowScripts).sort()).toEqual([...scripted].sort());
  expect(Object.values(manifest.allowScripts)).toEqual(Object.values(manifest.allowScripts).map(() => false));
});

test('npm 10 is told to leave the script of onnxruntime-node out', () => {
  expect(read('.npmrc')).toMatch(/^onnxruntime-node-install=skip$/m);
});

test('the lock file names no registry, and holds the files of every platform', () => {
  for (const [path, { resolved, integrity }] of locked) {
    expect(resolved, path).toBeUndefined();
    expect(integrity, path).toMatch(/^sha512-/);
  }
  // npm forgets other platforms' packages when it makes the lock file from a node_modules that is there.
  const names = new Set(locked.map(([path]) => nameOf(path)));
  for (const [path, { optionalDependencies = {} }] of locked) {
    for (const name of Object.keys(optionalDependencies))
      expect(names, `${name}, for ${path}`).toContain(name);
  }
});
