/** An engine that learns and measures nothing, and remembers what it was asked. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { TrainingDivergedError } from '../../sdk/errors';
import type { ToyMeasurement } from '../../sdk/evaluation/toybox-protocol';
import type { Engine } from '../../sdk/jobs/engine';
import type { ToySource } from '../../sdk/jobs/measured-model';
import type { PersonalizationRequest } from '../../sdk/jobs/personalization';
import { openHome } from '../../sdk/subjects/home';
import { createSubject } from '../../sdk/subjects/subjects';
import { PICTURE_SIZE } from '../../sdk/toybox/renderer';
import type { ToySubject } from '../../sdk/toybox/toy-subject';
import { presets } from '../../sdk/training/presets';
import { goodReport } from './made-up-rows';

export interface StandIn {
  readonly engine: Engine;
  readonly learned: PersonalizationRequest[];
  /** The sentences that lay beside the photos, by what was learned of them. */
  readonly captions: Map<string, readonly string[]>;
  readonly measured: { readonly toy: ToySubject; readonly sources: readonly ToySource[] }[];
  /** The n-th call from here on, of either kind, throws; it is not remembered. */
  breakAt(call: number): void;
  /** Subjects whose names begin so diverge when they are learned. */
  diverging: string;
}

const pixels = new Uint8Array(PICTURE_SIZE * PICTURE_SIZE * 3).fill(90);
const picture = { text: 'a dog in the snow', clauses: { class: 'dog', context: 'snow' }, pixels } as const;

/** Every report says in CP which measurement it is of, from 1 on; accessories were not asked for. */
export function standInEngine(folder: string): StandIn {
  const home = openHome(folder);
  const learned: StandIn['learned'] = [];
  const captions: StandIn['captions'] = new Map();
  const measured: StandIn['measured'] = [];
  let left = Number.POSITIVE_INFINITY;
  let reports = 0;
  /** Classes whose pictures are there. */
  const drawn = new Set<string>();
  const count = () => {
    left -= 1;
    if (left === 0) throw new Error('the power went');
  };
  const engine: Pick<Engine, 'home' | 'personalize' | 'measure'> = {
    home,
    async personalize(request, run) {
      count();
      if (standIn.diverging !== '' && request.name!.startsWith(standIn.diverging))
        throw new TrainingDivergedError(7, Number.NaN);
      learned.push(request);
      const { prior = 'images' } = { ...request.settings };
      if (prior === 'images' && !drawn.has(request.className!)) {
        drawn.add(request.className!);
        run?.onProgress?.({ kind: 'step-end', phase: 'class-images', step: 0, steps: 1 } as never);
      }
      const sentences = (request.images as readonly string[]).map((photo) =>
        readFileSync(photo.replace('.png', '.txt'), 'utf8'),
      );
      captions.set(request.name!, sentences);
      mkdirSync(folder, { recursive: true });
      const draft = mkdtempSync(join(folder, 'draft-'));
      const steps = [0.5, 0.25].map((loss, i) => ({ event: 'step', step: i + 1, loss }));
      writeFileSync(join(draft, 'log.jsonl'), steps.map((line) => `${JSON.stringify(line)}\n`).join(''));
      return createSubject(
        home,
        request.name!,
        {
          id: `${request.name}`,
          className: request.className!,
          identifier: request.identifier ?? 'olis',
          instancePrompt: 'a photo of {subject}',
          kind: 'lora',
          base: { path: 'toybox', fingerprint: 'none' },
          settings: {},
          seed: request.seed ?? 0,
          steps: request.settings?.steps ?? presets.toybox.settings.steps,
          createdAt: new Date().toISOString(),
          photos: (request.images as readonly string[]).map((file) => ({
            name: basename(file),
            sha256: createHash('sha256').update(readFileSync(file)).digest('hex'),
          })),
          versions: {},
        },
        draft,
      );
    },
    async measure(toy, sources) {
      count();
      measured.push({ toy, sources });
      return sources.map((): ToyMeasurement => {
        reports += 1;
        const report = { ...goodReport, CP: reports, accessoryAccuracy: Number.NaN };
        return {
          report,
          pictures: Array.from({ length: 15 }, () => [picture, picture]),
          prior: Array(5).fill(pixels),
        };
      });
    },
  };
  const standIn: StandIn = {
    engine: engine as Engine,
    learned,
    captions,
    measured,
    breakAt(call) {
      left = call;
    },
    diverging: '',
  };
  return standIn;
}
