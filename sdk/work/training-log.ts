/** What a run did, one JSON object a line, in the job's folder: it is appended to, so a kill loses a line at most. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { writeFailure } from '../checkpoint/write-failure';
import type { SettingValue } from '../subjects/subjects';
import type { SampleScores } from './sample-scores';

export const logFile = 'log.jsonl';

export type LogLine =
  | {
      readonly event: 'started';
      /** As ISO 8601. */
      readonly time: string;
      readonly subject: string;
      readonly className: string;
      readonly identifier: string;
      readonly seed: number;
      readonly base: string;
      readonly photos: readonly string[];
      readonly settings: Readonly<Record<string, SettingValue>>;
    }
  | { readonly event: 'resumed'; readonly time: string; readonly step: number }
  | {
      readonly event: 'step';
      readonly step: number;
      readonly loss: number;
      /** By component. */
      readonly learningRates: Readonly<Record<string, number>>;
      /** Before clipping. */
      readonly gradientNorm: number;
      readonly seconds: number;
    }
  | { readonly event: 'checkpoint'; readonly step: number }
  | {
      readonly event: 'sample';
      readonly step: number;
      /** Within the folder of the log. */
      readonly files: readonly string[];
      /** Where something is decided by them. */
      readonly scores?: SampleScores;
    }
  | { readonly event: 'warning'; readonly message: string }
  /** `kept`: the step whose weights the subject has, where that is not the last. */
  | { readonly event: 'done'; readonly time: string; readonly step: number; readonly kept?: number };

export interface TrainingLog {
  /** What was kept of an earlier run. */
  readonly before: readonly LogLine[];
  /** Throws DiskFullError, UnwritablePathError. */
  write(line: LogLine): void;
}

/**
 * The log in `file`, begun anew, or gone on with after `step`: what was written of later steps, which are made again,
 * is taken out, and so is a line that was cut off.
 */
export function openTrainingLog(file: string, step?: number): TrainingLog {
  const before = step === undefined ? [] : readTrainingLog(file).filter(isKept(step));
  writeFileAtomically(
    file,
    before.map((line) => encode(line)),
  );
  return {
    before,
    write(line) {
      try {
        appendFileSync(file, encode(line));
      } catch (cause) {
        throw writeFailure(file, cause);
      }
    },
  };
}

const encode = (line: LogLine) => Buffer.from(`${JSON.stringify(line)}\n`);

const isKept = (step: number) => (line: LogLine) =>
  line.event !== 'done' && (!('step' in line) || line.step <= step);

/** A log's lines, without those that are none; empty where there is no log. */
export function readTrainingLog(file: string): LogLine[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as LogLine];
      } catch {
        return [];
      }
    });
}
