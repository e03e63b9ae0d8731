/** The package as it is published: what is in it, that it installs into an empty folder, and that it works there. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publint } from 'publint';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writePng } from '../../sdk/images/png';
import { toyPhotos } from '../../sdk/toybox/toy-subject';

const root = join(import.meta.dirname, '../..');
let folder: string;
let project: string;
let packed: { filename: string; size: number; files: { path: string }[] };

const run = (command: string, parameters: readonly string[], cwd: string) =>
  execFileSync(command, parameters, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-package-'));
  project = join(folder, 'project');
  mkdirSync(join(project, 'rex'), { recursive: true });
  const printed = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root),
  );
  // npm 12 prints an object by package name, earlier ones a list.
  packed = Array.isArray(printed) ? printed[0] : Object.values(printed)[0];
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({ name: 'empty', type: 'module', private: true }),
  );
  run('npm', ['install', '--no-audit', '--no-fund', join(folder, packed.filename)], project);
  for (const [i, data] of toyPhotos({ class: 'dog', seed: 3 }).entries()) {
    await writePng(join(project, 'rex', `${i + 1}.png`), { width: 64, height: 64, data });
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the package', () => {
  test('holds the built program, the embedded model and the documents, and nothing else', () => {
    const paths = packed.files.map(({ path }) => path);
    for (const path of [
      'dist/index.js',
      'dist/index.d.ts',
      'dist/engine.js',
      'dist/adapters/cli.js',
      'README.md',
      'LICENSE',
    ]) {
      expect(paths).toContain(path);
    }
    expect(paths).toContain('fixtures/toybox/unet/diffusion_pytorch_model.safetensors');
    expect(paths.filter((path) => !/^(dist|fixtures\/toybox)\/|^[^/]+$/.test(path))).toEqual([]);
    expect(paths.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))).toEqual([]);
    expect(packed.size).toBeLessThan(40e6);
  });

  test('is described as bundlers and type checkers expect', async () => {
    const { messages } = await publint({ pkgDir: root, strict: true });
    expect(messages).toEqual([]);
  });

  test("README's first program works where nothing but the package is installed", () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const program = /```ts\n(.*?)```/s.exec(readme)![1]!;
    // The photos of this test are PNG files; 'in-process' would not prove that the engine's program is found.
    const adapted = program.replaceAll('.jpg', '.png').replace('await image!.save', 'await image.save');
    writeFileSync(join(project, 'first.js'), adapted);
    process.env['DREAMBOOTH_HOME'] = join(project, 'home');
    run(process.execPath, ['first.js'], project);
    expect(existsSync(join(project, 'rex-in-the-snow.png'))).toBe(true);
    const listed = run('npx', ['dreambooth', 'subjects', '--json'], project);
    expect(JSON.parse(listed)).toMatchObject({ name: 'rex', className: 'dog' });
    expect(run('npx', ['dreambooth', '--help'], project)).toContain('Example:');
  });
});
