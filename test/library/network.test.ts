/** One command fetches. What the import rules cannot show: globals that reach other machines, and what is loaded when. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const sources = ['sdk', 'adapters'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `${folder}/${file}`),
);
const parsed = (file: string) =>
  ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest);

function namesIn(node: ts.Node, found = new Set<string>()): Set<string> {
  if (ts.isIdentifier(node)) found.add(node.text);
  ts.forEachChild(node, (child) => {
    namesIn(child, found);
  });
  return found;
}

test('nothing fetches but the hub, from Discord the bot, and a judge where one is named', () => {
  expect(sources.length).toBeGreaterThan(100);
  const reachOut = ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest'];
  const found = sources.filter((file) => {
    const names = namesIn(parsed(file));
    return reachOut.some((name) => names.has(name));
  });
  expect(found.sort()).toEqual([
    'adapters/discord/attachments.ts',
    'sdk/library/hub.ts',
    'sdk/protocols/dreambench/openai-judge.ts',
  ]);
});

test('the libraries that fetch are loaded when something is fetched, not before', () => {
  const early = sources.filter((file) =>
    parsed(file).statements.some(
      (statement) =>
        ts.isImportDeclaration(statement) &&
        !statement.importClause?.isTypeOnly &&
        /^(@huggingface\/hub|undici)$/.test((statement.moduleSpecifier as ts.StringLiteral).text),
    ),
  );
  expect(early).toEqual([]);
});
