/** The package as it is published: what is in it, that it installs into an empty folder, and that it works there. */
import { execFileSync, spawnSync } from 'node:child_process';
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

const firstProgram = () => /```ts\n(.*?)```/s.exec(readFileSync(join(root, 'README.md'), 'utf8'))![1]!;

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

/** Beside what is built: documents, and the embedded model in the diffusers layout with the record of how it was made. */
const unbuilt = [
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'LICENSE',
  'README.md',
  'fixtures/clip-tokenizer/README.md',
  'fixtures/clip-tokenizer/merges.txt.gz',
  'fixtures/clip-tokenizer/special_tokens_map.json',
  'fixtures/clip-tokenizer/tokenizer_config.json',
  'fixtures/toybox/model_index.json',
  'fixtures/toybox/oracle/config.json',
  'fixtures/toybox/oracle/model.safetensors',
  'fixtures/toybox/pretraining.json',
  'fixtures/toybox/pretraining.txt',
  'fixtures/toybox/scheduler/scheduler_config.json',
  'fixtures/toybox/text_encoder/config.json',
  'fixtures/toybox/text_encoder/model.safetensors',
  'fixtures/toybox/tokenizer/merges.txt',
  'fixtures/toybox/tokenizer/special_tokens_map.json',
  'fixtures/toybox/tokenizer/tokenizer_config.json',
  'fixtures/toybox/tokenizer/vocab.json',
  'fixtures/toybox/unet/config.json',
  'fixtures/toybox/unet/diffusion_pytorch_model.safetensors',
  'fixtures/toybox/vae/config.json',
  'fixtures/toybox/vae/diffusion_pytorch_model.safetensors',
  'package.json',
];

describe('the package', () => {
  test('holds the built program, the embedded model and the documents, and nothing else', () => {
    const paths = packed.files.map(({ path }) => path);
    expect(paths.filter((path) => !path.startsWith('dist/')).sort()).toEqual(unbuilt);
    const built = paths.filter((path) => path.startsWith('dist/'));
    for (const file of ['index.js', 'index.d.ts', 'engine.js', 'adapters/cli.js']) {
      expect(built).toContain(`dist/${file}`);
    }
    expect(built.filter((path) => !/\.(js|d\.ts)$/.test(path))).toEqual([]);
    expect(packed.size).toBeLessThan(40e6);
  });

  test('is described as bundlers expect', async () => {
    const { messages } = await publint({ pkgDir: root, strict: true });
    expect(messages).toEqual([]);
  });

  test('is described as type checkers expect, and its types stand by themselves', () => {
    const program = (name: string, file: string) => join(root, 'node_modules', name, file);
    const attw = program('@arethetypeswrong/cli', 'dist/index.js');
    const tarball = join(folder, packed.filename);
    // It ends with an error when it finds a problem; node10 and require() are not meant to find an ESM package.
    expect(run(process.execPath, [attw, tarball, '--profile', 'esm-only'], root)).toContain('🟢 (ESM)');
    writeFileSync(join(project, 'first.ts'), firstProgram());
    const strict = ['--noEmit', '--strict', '--skipLibCheck', 'false'];
    const target = ['--target', 'es2022', '--lib', 'es2023,dom', '--module', 'nodenext'];
    run(process.execPath, [program('typescript', 'bin/tsc'), ...strict, ...target, 'first.ts'], project);
  });

  test('what an adapter needs beyond it is named, with the command that adds it', () => {
    const env = { ...process.env, DISCORD_TOKEN: 'token', DREAMBOOTH_HOME: join(project, 'home') };
    const told = (parameters: readonly string[]) =>
      spawnSync('npx', ['dreambooth', ...parameters], { cwd: project, env, encoding: 'utf8' });
    const bot = told(['discord']);
    expect(bot.stderr).toContain(
      'The Discord bot needs the package discord.js, which is not installed: npm install discord.js',
    );
    expect(bot.status).toBe(1);
    const worker = told(['worker', '--queue', 'redis://127.0.0.1:1']);
    expect(worker.stderr).toContain('npm install bullmq ioredis');
    expect(worker.status).toBe(1);
    const judge = ['--judge', 'http://127.0.0.1:1/v1', '--data', '.', '--base', 'toybox'];
    const evaluation = told(['evaluate', 'dreambench-plus', ...judge]);
    expect(evaluation.stderr).toContain('npm install openai');
    expect(evaluation.status).toBe(1);
  });

  test('nothing is loaded before it is needed', () => {
    const loads = `import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(
        'export async function load(url, context, next) { console.error(url); return next(url, context); }'));
      await import('dreambooth');`;
    const { stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', loads], {
      cwd: project,
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    expect(stderr).toContain('node_modules/dreambooth/dist/index.js');
    for (const heavy of [
      'onnxruntime',
      '@modelcontextprotocol',
      'discord.js',
      'bullmq',
      'openai',
      'commander',
    ])
      expect(stderr).not.toContain(`node_modules/${heavy}/`);
  });

  test("README's first program works where nothing but the package is installed", () => {
    // As JavaScript, on PNG files, in few steps; 'in-process' would not prove that the engine's program is found.
    const adapted = firstProgram()
      .replaceAll('.jpg', '.png')
      .replace('await image!.save', 'await image.save')
      .replace("{ name: 'rex' }", "{ name: 'rex', steps: 40, classImages: 8 }");
    expect(adapted).toContain('steps: 40');
    writeFileSync(join(project, 'first.js'), adapted);
    process.env['DREAMBOOTH_HOME'] = join(project, 'home');
    run(process.execPath, ['first.js'], project);
    expect(existsSync(join(project, 'rex-in-the-snow.png'))).toBe(true);
    const listed = run('npx', ['dreambooth', 'subjects', '--json'], project);
    expect(JSON.parse(listed)).toMatchObject({ name: 'rex', className: 'dog' });
    expect(run('npx', ['dreambooth', '--help'], project)).toContain('Example:');
  });
});
