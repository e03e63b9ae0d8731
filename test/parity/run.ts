/** Finds what reference values a folder has, and holds the code against them. */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clipVocabulary } from '../../sdk/checkpoint/clip-vocabulary';
import { openTokenizerFiles } from '../../sdk/checkpoint/tokenizer-files';
import { type Checkpoint, openCheckpoint } from './checkpoint';
import { checkLoraFiles } from './lora-files';
import { checkModules } from './modules';
import { checkPrompts } from './prompts';
import { openReference } from './reference';
import { absent, type Finding, guarded, type Row, unsupported } from './report';
import { checkSampling } from './sampling';
import { checkSchedulers } from './schedulers';
import { checkTokenizer, type TokenizedText } from './tokenizer';
import { checkTraining } from './training';

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));

/** The reference values in the repository. */
export const defaultFolders = [fixture('golden'), fixture('clip-tokenizer')];

/** Rows of all checks of folders: a checkpoint with `golden/` in it, a folder of such, schedulers, a tokenizer. */
export async function* checkFolders(paths: readonly string[]): AsyncGenerator<Row> {
  const places = paths.map(placesIn);
  for (const { folder, kind } of places.flatMap(({ parts }) => parts)) {
    const where = kind === 'schedulers' ? kind : basename(folder);
    for await (const finding of checks[kind](folder)) yield { where, ...finding };
  }
  // Who names one checkpoint asks for that alone.
  if (!places.some(({ container }) => container)) return;
  const seen = new Set(places.flatMap(({ parts }) => parts.map(({ kind }) => kind)));
  for (const kind of Object.keys(checks) as Kind[])
    if (!seen.has(kind)) yield { where: kind, ...absent(kind) };
}

/** What a folder, or the folders in it, hold. Throws when that is nothing. */
function placesIn(path: string) {
  const folder = resolve(path);
  if (!existsSync(folder) || !statSync(folder).isDirectory()) throw new Error(`there is no folder ${path}`);
  const parts = kindsOf(folder).map((kind) => ({ folder, kind }));
  const container = parts.every(({ kind }) => kind === 'schedulers');
  if (container) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const inner = join(folder, entry.name);
      if (entry.isDirectory() || entry.isSymbolicLink())
        parts.push(...kindsOf(inner).map((kind) => ({ folder: inner, kind })));
    }
  }
  if (parts.length === 0) {
    throw new Error(
      `${path} holds no reference values: no golden/ of a checkpoint, no schedulers.safetensors, no golden.json`,
    );
  }
  return { parts, container };
}

type Kind = 'schedulers' | 'tokenizer' | 'checkpoint';

const signs: Readonly<Record<Kind, string>> = {
  schedulers: 'schedulers.safetensors',
  tokenizer: 'golden.json',
  checkpoint: 'golden',
};

const kindsOf = (folder: string): Kind[] =>
  (Object.keys(signs) as Kind[]).filter((kind) => existsSync(join(folder, signs[kind])));

const checks: Readonly<Record<Kind, (folder: string) => AsyncGenerator<Finding>>> = {
  schedulers: (folder) => checkSchedulers(openReference(folder, signs.schedulers)),
  tokenizer: (folder) =>
    guarded('tokenizer', function* () {
      const texts = JSON.parse(
        readFileSync(join(folder, signs.tokenizer), 'utf8'),
      ) as readonly TokenizedText[];
      // The repository keeps its vocabulary as the merges that it follows from.
      const own = realpathSync(folder) === realpathSync(fixture('clip-tokenizer'));
      yield* checkTokenizer('golden.json', own ? clipVocabulary() : openTokenizerFiles(folder), texts);
    }),
  checkpoint: (folder) => checkCheckpoint(openCheckpoint(folder)),
};

async function* checkCheckpoint(checkpoint: Checkpoint): AsyncGenerator<Finding> {
  for (const check of [checkModules, checkPrompts, checkSampling, checkLoraFiles, checkTraining])
    yield* check(checkpoint);
  const known = /^(modules|prompts|sampling|lora.*\.\w+|train-.*)\.safetensors$/;
  for (const file of checkpoint.files)
    if (!known.test(file)) yield unsupported(file, 'not a file that these checks know');
}
