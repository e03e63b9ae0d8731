/** How far the embedded world's oracle can be trusted: said beside every figure that it has read. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mean } from '../evaluation/oracle-reading';
import { basePath, embeddedBase } from './base-path';

/** Shares that the oracle reads right, and how far off its regressed identity is (RMSE). */
export type OracleErrors = Readonly<Record<string, number>>;

/** On pictures through the autoencoder that it was not trained on, as the log of its training has them. */
export function oracleErrors(): OracleErrors {
  const log = readFileSync(join(basePath(embeddedBase), 'pretraining.txt'), 'utf8');
  const found = [...log.matchAll(/oracle, held-out decoded: (.*)/g)].at(-1)![1]!;
  const { appearance, ...shares } = JSON.parse(found) as Record<string, number> & { appearance: number[] };
  return { ...shares, 'identity RMSE': Number(mean(appearance.slice(0, 9)).toFixed(3)) };
}

/** The same in a sentence. */
export const oracleNote = (): string =>
  `The oracle on held-out pictures: ${Object.entries(oracleErrors())
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')}.`;
