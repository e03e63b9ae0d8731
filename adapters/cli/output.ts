/** What a command says: to people, or one JSON object a line to programs. Progress and warnings go to stderr. */
import type { EstimateMade, ProgressEvent, RecipeChosen, SampleMade, StepEnd, Timed } from 'dreambooth';
import { createProgressView, duration, type ProgressView, phaseNames } from './progress-view';
import { recipeLines } from './recipe-lines';

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly job?: string;
}

export interface Output {
  readonly json: boolean;
  /** A run begins; `job` is null for what is no job. */
  started(job: string | null): void;
  progress(event: ProgressEvent): void;
  /** The bar is gone after this; the next step brings it back. */
  endProgress(): void;
  /** Success: `lines` for people, `fields` for programs. */
  done(
    fields: { readonly files: readonly string[] } & Readonly<Record<string, unknown>>,
    lines: readonly string[],
  ): void;
  /** A picture that is written while others are still drawn. */
  picture(file: string, seed: number): void;
  /** One entry of a listing. */
  row(row: object, line: string): void;
  warning(message: string): void;
  /** A remark to people. */
  say(line: string): void;
  /** What to type for an error's own `dreambooth resume JOB`: the error does not know the home that was given. */
  hint(resume: { readonly plain: string; readonly full: string }): void;
  failure(failure: Failure): void;
  end(): void;
}

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

type Stream = NodeJS.WritableStream & { readonly isTTY?: boolean };

export function createOutput(stdout: Stream, stderr: Stream, json: boolean): Output {
  const view: ProgressView = createProgressView(stderr, stderr.isTTY === true && !json);
  // Programs are promised `started` first, and photos are looked at before there is a job.
  let begun = false;
  let early: object[] = [];
  let resume = { plain: '', full: '' };
  const emit = (event: object) => stdout.write(`${JSON.stringify(event)}\n`);
  const say = (line: string) => {
    if (json) return;
    view.interrupt();
    stderr.write(`${line}\n`);
  };
  const warning = (message: string) => {
    const event = { event: 'warning', message };
    if (!json) say(`Warning: ${message}`);
    else if (begun) emit(event);
    else early.push(event);
  };
  const recipe = ({ kind: _, ...told }: RecipeChosen) => {
    if (json) emit({ event: 'settings', ...told });
    else for (const line of recipeLines(told)) say(line);
  };
  const sample = ({ step, files, scores }: SampleMade) => {
    const judged = scores
      ? `identity ${scores.identity.toFixed(2)}, prompt following ${scores.promptFollowing.toFixed(2)}, score ${scores.score.toFixed(2)}; `
      : '';
    if (json) emit({ event: 'sample', step, files, ...(scores ? { scores } : {}) });
    else say(`After ${step} steps: ${judged}${files.join(', ')}`);
  };
  const estimate = ({ kind: _, ...told }: EstimateMade) => {
    if (json) return void emit({ event: 'estimate', ...told });
    const { memoryBytes, availableBytes, mappedBytes, seconds, parts } = told;
    say(
      `Needs about ${gibibytes(memoryBytes)} of memory (${gibibytes(availableBytes)} available; ${gibibytes(mappedBytes)} of weights stay in their files) and ${duration(seconds)}.`,
    );
    if (parts.length > 1)
      for (const part of parts)
        say(`  ${phaseNames[part.phase]}: ${gibibytes(part.memoryBytes)}, ${duration(part.seconds)}`);
  };
  const awaited = (pid: number) => {
    if (json) emit({ event: 'waiting', pid });
    else say(`Another dreambooth is at work here (process ${pid}): this begins when it has finished.`);
  };
  const timed = ({ what, seconds }: Timed) => {
    if (json) emit({ event: 'timed', what, seconds });
    else say(`${what[0]!.toUpperCase()}${what.slice(1)}: ${seconds.toFixed(1)} s`);
  };
  const flush = () => {
    early.forEach(emit);
    early = [];
  };
  const started = (job: string | null) => {
    if (!json) return;
    emit({ event: 'started', job });
    begun = true;
    flush();
  };
  const step = (end: StepEnd) => {
    if (!json) return view.show(end);
    const { kind: _, ...fields } = end;
    emit({ event: 'progress', ...fields });
  };
  return {
    json,
    started,
    warning,
    say,
    progress(event) {
      if (event.kind === 'job-start') {
        started(event.job);
        say(`Learning @${event.name} (job ${event.job})`);
      } else if (event.kind === 'warning-found') warning(event.message);
      else if (event.kind === 'engine-awaited') awaited(event.pid);
      else if (event.kind === 'sample-made') sample(event);
      else if (event.kind === 'estimate-made') estimate(event);
      else if (event.kind === 'timed') timed(event);
      else if (event.kind === 'recipe-chosen') recipe(event);
      else step(event);
    },
    endProgress: view.end,
    done(fields, lines) {
      view.end();
      if (json) emit({ event: 'done', ...fields });
      else for (const line of lines) stdout.write(`${line}\n`);
    },
    picture(file, seed) {
      view.interrupt();
      if (json) emit({ event: 'picture', file, seed });
      else stdout.write(`${file}\n`);
    },
    row(row, line) {
      if (json) emit(row);
      else stdout.write(`${line}\n`);
    },
    hint(given) {
      resume = given;
    },
    failure({ code, message: said, job }) {
      view.end();
      flush();
      const message = said.replace(resume.plain, resume.full);
      if (json) emit({ event: 'error', code, message, ...(job === undefined ? {} : { job }) });
      else stderr.write(code === 'stopped' ? `${message}\n` : `Error (${code}): ${message}\n`);
    },
    end: view.end,
  };
}
