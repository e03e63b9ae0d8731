/** What README promises: its programs compile, its commands and options exist, its test command is the one that is run. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { createProgram } from '../adapters/cli/program';
import type { Session } from '../adapters/cli/session';
import * as sdk from '../sdk/index';
import { operations } from '../sdk/operations/index';
import { defaultSchedulerName, schedulerNames } from '../sdk/schedulers/index';
import { presetNames, presets } from '../sdk/training/presets';
import { personalizationSettings } from '../sdk/work/personalization-settings';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const blocks = (language: string) =>
  [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, name, code]) =>
    name === language ? [code!] : [],
  );

test('its programs compile against the public list', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'readme-'));
  try {
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const files = blocks('ts').map((code, i) => {
      const file = join(folder, `block-${i}.ts`);
      writeFileSync(file, code);
      return file;
    });
    expect(files.length).toBeGreaterThan(1);
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (file) => readFileSync(file, 'utf8'));
    const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, root);
    const program = ts.createProgram(files, {
      ...options,
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
    });
    const problems = ts
      .getPreEmitDiagnostics(program)
      .filter(({ file }) => file?.fileName.startsWith(folder));
    expect(problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('its commands and options exist', () => {
  const program = createProgram({ stdout: process.stdout } as unknown as Session, operations, () => {});
  const lines = [...blocks('sh'), ...blocks('console')]
    .flatMap((code) => code.split('\n'))
    .map((line) => line.replace(/^\$ /, ''))
    .filter((line) => line.startsWith('npx dreambooth'));
  expect(lines.length).toBeGreaterThan(3);
  for (const line of lines) {
    const words = line
      .replace(/"[^"]*"/g, 'text')
      .split(/\s+/)
      .slice(2);
    let command: Command = program;
    while (words[0] !== undefined) {
      const next = command.commands.find((one) => one.name() === words[0]);
      if (!next) break;
      command = next;
      words.shift();
    }
    expect(command, line).not.toBe(program);
    command = command.commands.find((one) => one.description().endsWith('(the default)')) ?? command;
    const known = command.options.flatMap(({ short, long }) => [short, long]);
    for (const word of words.filter((one) => one.startsWith('-'))) expect(known, line).toContain(word);
    for (const [, name] of line.matchAll(/--scheduler ([\w-]+)/g)) {
      expect(schedulerNames, line).toContain(name!.replaceAll('-', '_'));
    }
  }
});

test('options that its text names exist', () => {
  const program = createProgram({ stdout: process.stdout } as unknown as Session, operations, () => {});
  const commands = [program, ...program.commands.flatMap((one) => [one, ...one.commands])];
  const known = new Set(commands.flatMap(({ options }) => options.map(({ long }) => long)));
  const text = readme.replace(/^```.*?^```$/gms, '').replace(/`npm run [^`]*`/g, '');
  const named = [...text.matchAll(/`(--[a-z][a-z-]*)/g)].map(([, option]) => option!);
  expect(named.length).toBeGreaterThan(4);
  for (const option of named) expect(known).toContain(option);
});

test('its presets and samplers are all there are', () => {
  const rows = [...readme.matchAll(/^\| `([\w-]+)` \| [^|]+ \|$/gm)].map(([, name]) => name);
  expect(rows.filter((name) => !name!.endsWith('Error'))).toEqual(presetNames);
  for (const name of presetNames) expect(readme).toContain(`| \`${name}\` | ${presets[name].summary}`);
  const line = /\*\*Samplers\*\*: (.*?)\. The default is `([\w-]+)`/s.exec(readme)!;
  const samplers = [...line[1]!.matchAll(/`([\w-]+)`/g)].map(([, name]) => name!.replaceAll('-', '_'));
  expect(samplers).toEqual(schedulerNames);
  expect(line[2]!.replaceAll('-', '_')).toBe(defaultSchedulerName);
});

test('its table of settings has every setting, with its default and what the program says of it', () => {
  const defaults: Readonly<Record<string, unknown>> = { ...presets['sd15-lora'].settings };
  for (const [name, schema] of Object.entries(personalizationSettings.shape)) {
    if (name === 'preset') continue;
    const row = readme.split('\n').find((line) => line.startsWith(`| \`${name}\` |`));
    expect(row, name).toContain(` | ${schema.description} |`);
    const value = defaults[name];
    if (!Array.isArray(value) && value !== '') expect(row).toContain(`| \`${value}\` |`);
  }
});

test('its npm scripts exist, and its test command is the one that CI takes from it', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const [, script] of readme.matchAll(/npm run ([\w:-]+)/g)) expect(scripts).toHaveProperty(script!);
  expect(readme).toMatch(/<!-- test command -->\n```sh\nnpm install && npm test\n```/);
});

test('its table of errors has every error of the public list, with its code', () => {
  const table = readme.slice(readme.indexOf('| class | code |'));
  const errors = Object.entries(sdk).filter(([name]) => name.endsWith('Error') && name !== 'DreamBoothError');
  expect(errors.length).toBeGreaterThan(15);
  for (const [name] of errors) {
    expect(table).toContain(`\`${name}\``);
    const code = name
      .replace(/Error$/, '')
      .replace(/(?!^)[A-Z]/g, '-$&')
      .toLowerCase();
    expect(table).toContain(`\`${code}\``);
  }
});
