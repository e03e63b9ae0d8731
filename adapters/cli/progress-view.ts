/** Steps on a terminal as a live bar, elsewhere as a line now and then. */

import type { SingleBar } from 'cli-progress';
import type { Phase, StepEnd } from 'dreambooth';

export interface ProgressView {
  show(step: StepEnd): void;
  /** Makes room for another line; the next step draws the bar anew. */
  interrupt(): void;
  end(): void;
}

export const phaseNames: { readonly [Name in Phase]: string } = {
  download: 'Fetching',
  load: 'Loading the model',
  photos: 'Reading photos',
  'class-images': 'Drawing class images',
  encode: 'Encoding',
  train: 'Training',
  sample: 'Drawing',
  measure: 'Measuring',
  save: 'Saving',
};

/** Between two plain lines within a phase, in ms; its beginning and its end have theirs. */
const pause = 3_000;

export function createProgressView(stream: NodeJS.WritableStream, isTerminal: boolean): ProgressView {
  return isTerminal ? createBar(stream) : createLines(stream);
}

function createLines(stream: NodeJS.WritableStream): ProgressView {
  let last = 0;
  let phase: Phase | undefined;
  return {
    show(step) {
      const now = Date.now();
      const ends = step.step === step.steps && step.steps > 1;
      if (step.phase === phase && !ends && now - last < pause) return;
      last = now;
      phase = step.phase;
      const figures = describe(step);
      stream.write(`${phaseNames[step.phase]} ${amount(step)}${figures === '' ? '' : `  ${figures}`}\n`);
    },
    interrupt() {},
    end() {},
  };
}

function createBar(stream: NodeJS.WritableStream): ProgressView {
  let bar: SingleBar | undefined;
  let shown: StepEnd['phase'] | undefined;
  // Loaded while the model is: a help page does not wait for it.
  const library = import('cli-progress');
  let latest: StepEnd | undefined;
  let ended = false;
  const draw = async () => {
    const { default: progress } = await library;
    if (ended || latest === undefined) return;
    const { phase, step, steps } = latest;
    if (bar === undefined || shown !== phase) {
      bar?.stop();
      bar = new progress.SingleBar(
        {
          stream: stream as NodeJS.WriteStream,
          format: '{name} {bar} {amount}  {figures}',
          barCompleteChar: '█',
          barIncompleteChar: '░',
          barsize: 24,
          fps: 8,
          hideCursor: true,
          clearOnComplete: false,
          gracefulExit: false,
          // Its own handling of the cursor and line wrap needs a terminal, which is known to be there.
          noTTYOutput: false,
        },
        progress.Presets.shades_classic,
      );
      bar.start(steps, step, { name: phaseNames[phase], amount: amount(latest), figures: describe(latest) });
      shown = phase;
    }
    bar.setTotal(steps);
    bar.update(step, { name: phaseNames[phase], amount: amount(latest), figures: describe(latest) });
  };
  const remove = () => {
    bar?.stop();
    bar = undefined;
    shown = undefined;
  };
  return {
    show(step) {
      latest = step;
      ended = false;
      void draw();
    },
    interrupt: remove,
    end() {
      ended = true;
      remove();
    },
  };
}

/** `12/400`, of what is fetched `1.2 GB of 4.3 GB`. */
function amount({ phase, step, steps }: StepEnd): string {
  return phase === 'download' ? `${bytesText(step)} of ${bytesText(steps)}` : `${step}/${steps}`;
}

/** `830 kB`, `2.1 GB`; decimal, as hubs and most systems count. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** unit;
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toPrecision(2)} ${units[unit]}`;
}

/** `loss 0.0812  6.1 images/s  1:32 left`, as far as known. */
function describe({ loss, imagesPerSecond, bytesPerSecond, secondsLeft }: StepEnd): string {
  return [
    loss === undefined ? '' : `loss ${loss.toFixed(4)}`,
    imagesPerSecond === undefined
      ? ''
      : `${imagesPerSecond < 100 ? imagesPerSecond.toPrecision(2) : imagesPerSecond.toFixed(0)} images/s`,
    bytesPerSecond === undefined ? '' : `${bytesText(bytesPerSecond)}/s`,
    secondsLeft === null || secondsLeft === 0 ? '' : `${duration(secondsLeft)} left`,
  ]
    .filter((part) => part !== '')
    .join('  ');
}

/** `0:07`, `1:32`, `2:03:00`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
