/** What a run tells while it goes on, from the numerics up to whoever waits for it. */

import type { SettingValue } from '../subjects/subjects';
import type { PresetName } from '../training/presets';
import type { SampleScores } from './sample-scores';

export const phases = [
  'download',
  'load',
  'photos',
  'class-images',
  'encode',
  'train',
  'sample',
  'measure',
  'save',
] as const;
export type Phase = (typeof phases)[number];

/** Reported by the work itself, after each step of a phase. */
export interface PhaseStep {
  readonly phase: Phase;
  /** Steps done, from 0 (the phase begins) to `steps`. */
  readonly step: number;
  readonly steps: number;
  readonly loss?: number;
  /** Images that one step works on, for the speed. */
  readonly imagesPerStep?: number;
  /** Likewise bytes. */
  readonly bytesPerStep?: number;
}

/** Events of a run, one union. */
export type ProgressEvent =
  | { readonly kind: 'job-start'; readonly job: string; readonly name: string }
  | RecipeChosen
  | StepEnd
  | SampleMade
  | EstimateMade
  | Timed
  /** Another process, of that number, works with the engine of this home; this run begins when it is done. */
  | { readonly kind: 'engine-awaited'; readonly pid: number }
  | { readonly kind: 'warning-found'; readonly message: string };

/** What a run on a large base will take, before anything of it is loaded. */
export interface EstimateMade extends Estimate {
  readonly kind: 'estimate-made';
}

/** How long a part of starting took, on a large base: graphs built and loaded, the first step. */
export interface Timed {
  readonly kind: 'timed';
  readonly what: string;
  readonly seconds: number;
}

export interface Estimate {
  /** The most memory that the run has of its own at a time, in bytes. */
  readonly memoryBytes: number;
  /** Weights that are read where they lie, in their files: the system keeps of them what it has room for. */
  readonly mappedBytes: number;
  readonly availableBytes: number;
  readonly seconds: number;
  readonly parts: readonly {
    readonly phase: Phase;
    readonly memoryBytes: number;
    readonly seconds: number;
  }[];
}

/** By what a subject is learned, told before the work begins. */
export interface RecipeChosen {
  readonly kind: 'recipe-chosen';
  readonly preset: PresetName;
  /** All in effect. */
  readonly settings: Readonly<Record<string, SettingValue>>;
  /** Settings that are not the preset's. */
  readonly changed: readonly string[];
  /** That the subject's weights will take. */
  readonly bytes: number;
}

/** Pictures drawn with what was learned so far (`sampleEvery`). */
export interface SampleMade {
  readonly kind: 'sample-made';
  /** Training steps made. */
  readonly step: number;
  /** PNG files in the job's folder, which the subject's folder `samples` gets in the end. */
  readonly files: readonly string[];
  /** Where something is decided by them. */
  readonly scores?: SampleScores;
}

export interface StepEnd {
  readonly kind: 'step-end';
  readonly phase: Phase;
  readonly step: number;
  readonly steps: number;
  readonly loss?: number;
  readonly imagesPerSecond?: number;
  readonly bytesPerSecond?: number;
  /** To the end of this phase; null until it can be told. */
  readonly secondsLeft: number | null;
}

/** How far back the speed is measured: long enough to be steady, short enough to follow a change. */
const window = 30_000;

/**
 * Adds speed and time left to the steps of one run. The first step of a phase is not counted where there are more,
 * since it pays for loading and warming up. `now` gives milliseconds.
 */
export function createProgressMeter(now: () => number): (step: PhaseStep) => StepEnd {
  let phase: Phase | undefined;
  let seen: { readonly step: number; readonly at: number }[] = [];
  return ({ imagesPerStep, bytesPerStep, ...current }) => {
    if (current.phase !== phase || current.step <= (seen.at(-1)?.step ?? -1)) seen = [];
    phase = current.phase;
    const at = now();
    seen.push({ step: current.step, at });
    // Of a long window the older marks are thinned out, so that a phase of thousands of steps stays cheap.
    while (seen.length > 2 && (at - seen[0]!.at > window || seen.length > 400)) seen.shift();
    const from = seen.length > 2 && seen[0]!.step === 0 ? seen[1]! : seen[0]!;
    const stepsPerSecond = (1000 * (current.step - from.step)) / (at - from.at);
    const known = current.step > from.step && at > from.at;
    const left = current.steps - current.step;
    return {
      kind: 'step-end',
      ...current,
      ...(known && imagesPerStep !== undefined ? { imagesPerSecond: imagesPerStep * stepsPerSecond } : {}),
      ...(known && bytesPerStep !== undefined ? { bytesPerSecond: bytesPerStep * stepsPerSecond } : {}),
      secondsLeft: left === 0 ? 0 : known ? left / stepsPerSecond : null,
    };
  };
}
