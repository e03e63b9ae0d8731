/**
 * What a run will take, told before anything of the base is loaded: its graphs are built from configs and headers, and
 * memory and work are counted on them. Only of bases whose weights are large: others fit everywhere, and counting would
 * take longer than they do.
 */
import { InsufficientMemoryError } from '../errors';
import { type BaseModel, tensorsOf, trainableComponents } from '../models/base-model';
import { availableMemory } from '../runtime/memory';
import { usualWeights } from '../runtime/session';
import { measureSpeed, secondsOf } from '../runtime/speed';
import { createEncoder } from '../sampling/autoencoder';
import { createPipeline, type PipelineShape } from '../sampling/pipeline';
import { sessionsOf } from './loaded-base';
import type { Phase } from './progress';
import { type Survey, surveying } from './survey';
import type { WorkContext } from './work-context';

export interface StageGraph {
  readonly survey: Survey;
  readonly runs: number;
  /** How many graphs like it are loaded; default 1. */
  readonly loaded?: number;
}

/** Graphs that are loaded at one time, and how often each is run. */
export interface Stage {
  readonly phase: Phase;
  readonly graphs: readonly StageGraph[];
  /** Bytes beside the graphs. */
  readonly state?: number;
}

/** Node, this package and onnxruntime in two processes. */
const programs = 320 * 2 ** 20;

/** Bytes of weights: read once to look for NaN, then mapped, and their graphs loaded. Measured, see test/bench/README.md. */
const startedPerSecond = 0.3e9;

/** Bytes of memory that a graph's first run touches for the first time: its pages come one by one, cleared. */
const touchedPerSecond = 1.2e9;

/** Bases of this size are worth an estimate. */
export const isLarge = (base: BaseModel): boolean =>
  trainableComponents(base).some(
    (component) => usualWeights([...tensorsOf(base, component).values()]) === 'mapped',
  );

/** A run as it was asked for, and changed so that it takes less, each change as people would type it. */
export interface ForetoldRun<Options> {
  /** As the beginning of a sentence. */
  readonly what: string;
  readonly options: Options;
  readonly changes: readonly { readonly change: string; readonly options: Options }[];
  stages(options: Options): Promise<readonly Stage[]>;
}

/**
 * Tells what the run will take; seconds are by a measurement of this machine, which takes one. Throws
 * InsufficientMemoryError when it needs more memory than there is, naming the changes with which it fits.
 */
export async function foretell<Options>(
  { what, options, changes, stages }: ForetoldRun<Options>,
  context: WorkContext,
): Promise<void> {
  const wanted = await stages(options);
  const available = availableMemory();
  const needed = Math.max(...wanted.map(memoryOf));
  const speed = await measureSpeed(sessionsOf(context));
  const parts = wanted.map((stage) => ({
    phase: stage.phase,
    memoryBytes: memoryOf(stage),
    seconds: stage.graphs.reduce(
      (sum, { survey, runs, loaded = 1 }) =>
        sum + runs * secondsOf(survey, speed) + (runs > 0 ? (loaded * survey.memory) / touchedPerSecond : 0),
      0,
    ),
  }));
  const mappedBytes = Math.max(
    ...wanted.map(({ graphs }) => graphs.reduce((sum, { survey }) => sum + survey.stored, 0)),
  );
  context.onEstimate({
    memoryBytes: needed,
    mappedBytes,
    availableBytes: available,
    seconds: parts.reduce((sum, { seconds }) => sum + seconds, mappedBytes / startedPerSecond),
    parts,
  });
  if (needed <= available || !context.memoryCheck) return;
  const fits: { change: string; bytes: number }[] = [];
  for (const { change, options: changed } of changes) {
    const bytes = Math.max(...(await stages(changed)).map(memoryOf));
    if (bytes <= available) fits.push({ change, bytes });
  }
  throw new InsufficientMemoryError(what, { needed, available, fits });
}

const memoryOf = (stage: Stage): number => programs + heldBy(stage);

/** Bytes of its graphs and beside them. */
export const heldBy = ({ graphs, state = 0 }: Stage): number =>
  state + graphs.reduce((sum, { survey, loaded = 1 }) => sum + loaded * survey.memory, 0);

/** Of a pipeline that draws `pictures` pictures with `steps` evaluations of the UNet each. */
export async function drawingStage(
  phase: Phase,
  base: BaseModel,
  shape: PipelineShape,
  { pictures, steps, photo = false }: Drawn,
): Promise<Stage> {
  const { createSession, surveys } = surveying();
  await createPipeline(base, shape, createSession);
  const encoding = surveying();
  const [height, width] = shape.size.map((side) => side * base.vae.config.factor) as [number, number];
  if (photo) await createEncoder(base, height, width, encoding.createSession, shape.tiled);
  const runs = (outputs: readonly string[]) => {
    if (outputs.includes('output')) return Math.ceil(pictures / shape.pictures) * steps;
    return outputs.includes('textEmbeddings') ? 2 : pictures;
  };
  return {
    phase,
    graphs: [
      ...surveys.map((survey) => ({ survey, runs: runs(survey.outputs) })),
      ...encoding.surveys.map((survey) => ({ survey, runs: 1 })),
    ],
  };
}

/** How much is drawn. */
export interface Drawn {
  readonly pictures: number;
  readonly steps: number;
  /** Whether a photo is encoded to begin from. */
  readonly photo?: boolean;
}

/** Tells what drawing on a large base takes, and refuses what does not fit; see `foretell`. */
export async function foretellDrawing(
  base: BaseModel,
  shape: PipelineShape,
  drawn: Drawn,
  context: WorkContext,
): Promise<void> {
  if (!isLarge(base)) return;
  const sized = (share: number) => {
    const size = shape.size.map((side) => Math.max(8, Math.round((side * share) / 8) * 8)) as [
      number,
      number,
    ];
    const [height, width] = size.map((side) => side * base.vae.config.factor);
    return { change: `width ${width} and height ${height}`, options: { ...shape, size } };
  };
  const [height, width] = shape.size.map((side) => side * base.vae.config.factor);
  const run: ForetoldRun<PipelineShape> = {
    what: `Drawing ${width} × ${height} pixels${shape.pictures > 1 ? `, ${shape.pictures} pictures at a time,` : ''}`,
    options: shape,
    changes: [
      ...(shape.pictures > 1 ? [{ change: 'batch 1', options: { ...shape, pictures: 1 } }] : []),
      ...(shape.tiled ? [] : [{ change: 'the autoencoder in tiles', options: { ...shape, tiled: true } }]),
      sized(0.75),
      sized(0.5),
    ],
    stages: async (options) => [await drawingStage('sample', base, options, drawn)],
  };
  await foretell(run, context);
}
