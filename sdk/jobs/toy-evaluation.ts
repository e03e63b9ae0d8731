/** The embedded world's evaluation: several subjects, several training seeds, one row each, and the mean of all. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidOptionError } from '../errors';
import type { SubjectReport } from '../evaluation/subject-report';
import { deleteSubject, listSubjects } from '../subjects/subjects';
import type { ToySubject } from '../toybox/toy-subject';
import type { PersonalizationSettings } from '../work/personalization-settings';
import type { Engine } from './engine';
import type { RunOptions } from './run-options';
import { runToyTrial } from './toy-trial';

/** On these two settings may be chosen. */
export const toyDevelopmentSubjects: readonly ToySubject[] = [
  { class: 'cat', seed: 1 },
  { class: 'cup', seed: 2 },
];

/** By these settings are judged: every class, none of them seen before settings were frozen. */
export const toyTestSubjects: readonly ToySubject[] = [
  { class: 'dog', seed: 11 },
  { class: 'fish', seed: 12 },
  { class: 'mushroom', seed: 13 },
  { class: 'bird', seed: 14 },
  { class: 'car', seed: 15 },
  { class: 'house', seed: 16 },
  { class: 'cat', seed: 17 },
  { class: 'cup', seed: 18 },
];

export interface ToyEvaluationRequest {
  /** Default: the first five of `toyTestSubjects`. */
  readonly subjects?: readonly ToySubject[];
  /** Trainings of each subject, seeded 0, 1, …; default 2. */
  readonly seeds?: number;
  /** Over those of the base's preset. */
  readonly settings?: PersonalizationSettings;
}

export interface ToyRow {
  readonly toy: ToySubject;
  readonly seed: number;
  readonly subject: SubjectReport;
  readonly base: SubjectReport;
  readonly seconds: { readonly learning: number; readonly measuring: number };
}

/** `onRow` is told each row as it is done. Rejects with what the engine's calls do; rows that were told stay told. */
export async function evaluateToybox(
  engine: Engine,
  { subjects = toyTestSubjects.slice(0, 5), seeds = 2, settings = {} }: ToyEvaluationRequest,
  onRow: (row: ToyRow) => void,
  run: RunOptions = {},
): Promise<readonly ToyRow[]> {
  if (subjects.length === 0 || !Number.isSafeInteger(seeds) || seeds < 1) {
    throw new InvalidOptionError(
      'seeds',
      `${subjects.length} subjects and ${seeds} seeds make no evaluation: give at least one of each.`,
    );
  }
  const rows: ToyRow[] = [];
  for (const toy of subjects) {
    for (let seed = 0; seed < seeds; seed++) {
      const name = `toy-${toy.class}-${toy.seed}-${seed}`;
      if (listSubjects(engine.home).some((one) => one.name === name)) deleteSubject(engine.home, name);
      const photosFolder = join(engine.home.cache, name);
      const trial = await runToyTrial(engine, { toy, name, photosFolder, seed, settings }, run);
      deleteSubject(engine.home, name);
      rmSync(photosFolder, { recursive: true, force: true });
      const { measurement, seconds } = trial;
      const row = { toy, seed, subject: measurement.subject, base: measurement.base, seconds };
      rows.push(row);
      onRow(row);
    }
  }
  return rows;
}

/** The mean of each column over rows; a number that no row has is NaN. */
export function meanReport(reports: readonly SubjectReport[]): SubjectReport {
  const names = Object.keys(reports[0]!) as (keyof SubjectReport)[];
  const entries = names.map((name) => [
    name,
    reports.reduce((sum, report) => sum + report[name], 0) / reports.length,
  ]);
  return Object.fromEntries(entries) as SubjectReport;
}
