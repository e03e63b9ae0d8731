/** What every command has: the SDK, the output, and one way to run something long that can be interrupted. */
import type { Engine, EngineOptions, ProgressEvent, RunOptions } from 'dreambooth';
import type { Output } from './output';
import type { Sdk, Surroundings } from './surroundings';

export interface Session extends Surroundings {
  readonly output: Output;
  /** The same command takes up what was broken off, and no job within it is to be resumed by itself. */
  readonly goesOn?: boolean;
}

/** Options of every command. */
export interface CommonOptions {
  readonly home?: string;
  readonly json?: boolean;
}

/** Options of the commands that train or draw. */
export interface WorkOptions extends CommonOptions {
  readonly base?: string;
  readonly vae?: string;
  readonly device?: 'cpu' | 'cuda' | 'webgpu';
  readonly threads?: number;
  readonly memoryCheck?: boolean;
}

/**
 * Runs `work` on an engine, showing its progress. The first interrupt stops it at its next step, the second ends the
 * engine's process and the program.
 */
export async function withEngine<Result>(
  session: Session,
  options: WorkOptions,
  work: (engine: Engine, run: RunOptions, sdk: Sdk) => Promise<Result>,
): Promise<Result> {
  const { output } = session;
  const sdk = await session.loadSdk();
  const engine = sdk.createEngine(engineOptions(options));
  const controller = new AbortController();
  let job: string | undefined;
  const stopListening = session.onInterrupt(() => {
    if (controller.signal.aborted) {
      engine.kill();
      if (session.goesOn) output.say('Ended. Go on with the same command.');
      else if (job !== undefined) output.say(`Ended. Go on with: ${resumeCommand(job, options)}`);
      output.end();
      session.exit(130);
      return;
    }
    output.say('Stopping after this step (once more to end at once) …');
    controller.abort();
  });
  const onProgress = (event: ProgressEvent) => {
    if (event.kind === 'job-start') job = event.job;
    output.progress(event);
  };
  try {
    return await work(engine, { onProgress, signal: controller.signal }, sdk);
  } catch (error) {
    const broken = (error as { job?: unknown } | null)?.job;
    if (typeof broken === 'string' && !session.goesOn)
      output.hint({ plain: resumeCommand(broken, {}), full: resumeCommand(broken, options) });
    throw error;
  } finally {
    stopListening();
    output.endProgress();
    await engine.close();
  }
}

export const homeArgument = ({ home }: CommonOptions) =>
  home === undefined ? '' : ` --home ${quoted(home)}`;

/** Runs what needs no engine, showing its progress; the first interrupt stops it, the second ends the program. */
export async function untilInterrupted<Result>(
  { output, onInterrupt, exit }: Session,
  work: (run: RunOptions) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const stopListening = onInterrupt(() => (controller.signal.aborted ? exit(130) : controller.abort()));
  try {
    return await work({ onProgress: output.progress, signal: controller.signal });
  } finally {
    stopListening();
    output.endProgress();
  }
}

/** What to type once there is a subject. */
export const nextPicture = (name: string, options: CommonOptions) =>
  `Next: dreambooth generate "a photo of @${name} in the snow"${homeArgument(options)}`;

const resumeCommand = (job: string, options: CommonOptions) =>
  `dreambooth resume ${job}${homeArgument(options)}`;

export const quoted = (text: string) =>
  /^[\w./:@=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

function engineOptions({ home, base, device, threads, memoryCheck }: WorkOptions): EngineOptions {
  return {
    ...(home === undefined ? {} : { home }),
    ...(base === undefined ? {} : { base }),
    ...(device === undefined ? {} : { device }),
    ...(threads === undefined ? {} : { threads }),
    ...(memoryCheck === undefined ? {} : { memoryCheck }),
  };
}
