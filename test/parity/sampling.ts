/** Whole sampling runs, from the reference's own noise. */
import { schedulerFromConfig } from '../../sdk/schedulers/index';
import type { SchedulerConfig } from '../../sdk/schedulers/scheduler-config';
import { float32 } from '../../sdk/tensor';
import { replay } from '../schedulers/reference-run';
import type { Checkpoint } from './checkpoint';
import { createSampler, decodePictures } from './denoise';
import type { Reference } from './reference';
import { absent, compare, type Finding, type Findings, guarded, judge, tolerances } from './report';

const file = 'sampling.safetensors';

/** What a file of sampling runs says of all of them. */
export function readSamplingSettings(reference: Reference) {
  const rows = reference.shape('latents')[0]!;
  const texts = <None>(value: unknown, none: None): (string | None)[] => {
    const given = Array.isArray(value) ? (value as string[]) : [typeof value === 'string' ? value : none];
    return Array.from({ length: rows }, (_, row) => given[row % given.length]!);
  };
  return {
    latents: reference.tensor('latents'),
    prompts: texts(reference.metadata('prompt'), ''),
    negativePrompts: texts(reference.metadata('negative_prompt'), null),
    steps: reference.metadata('steps') as number,
    schedulers: reference.metadata('schedulers') as Readonly<Record<string, SchedulerConfig>>,
  };
}

export async function* checkSampling(checkpoint: Checkpoint): AsyncGenerator<Finding> {
  if (!checkpoint.files.includes(file)) {
    yield absent('sampling');
    return;
  }
  yield* guarded('sampling', async function* () {
    const reference = checkpoint.open(file);
    const base = checkpoint.base();
    const settings = readSamplingSettings(reference);
    const sampler = await createSampler(base);
    for (const [name, config] of Object.entries(settings.schedulers)) {
      yield* guarded(`sampling ${name}`, () => checkSampler(name, config));
    }
    await sampler.release();

    async function* checkSampler(name: string, config: SchedulerConfig): Findings {
      const guidances = reference.keys.flatMap((key) => {
        const [sampler, guidance, what] = key.split('/');
        return sampler === name && what === 'latents' ? [guidance!] : [];
      });
      if (guidances.length === 0) yield absent(`sampling ${name}`);
      const timesteps = `${name}/timesteps`;
      if (reference.has(timesteps)) {
        const ours = schedulerFromConfig(config, settings.steps).timesteps;
        yield compare(`sampling ${timesteps}`, ours, reference.numbers(timesteps), tolerances.schedulers);
      }
      for (const guidance of guidances) {
        const at = (what: string) => `${name}/${guidance}/${what}`;
        const noise = replay(reference.has(at('noise')) ? reference.numbers(at('noise')) : undefined);
        const latents = await sampler.sample({
          ...settings,
          guidanceScale: Number(guidance),
          scheduler: schedulerFromConfig(config, settings.steps, settings.prompts.length),
          drawNoise: noise,
        });
        yield compare(
          `sampling ${at('latents')}`,
          latents,
          reference.numbers(at('latents')),
          tolerances.latents,
        );
        if (noise.left() !== 0)
          yield judge(`sampling ${at('noise')}`, Infinity, 0, `${noise.left()} drawn numbers left over`);
        if (!reference.has(at('image'))) {
          yield absent(`sampling ${at('image')}`);
          continue;
        }
        const pictures = await decodePictures(base, float32(settings.latents.shape, latents));
        yield judge(
          `sampling ${at('image')}`,
          largestDifference(pictures, reference.numbers(at('image'))),
          tolerances.images,
        );
      }
    }
  });
}

function largestDifference(ours: Float32Array, reference: Float32Array): number {
  if (ours.length !== reference.length) return Infinity;
  return ours.reduce((largest, value, i) => {
    const apart = Math.abs(value - reference[i]!);
    return Number.isNaN(apart) ? Infinity : Math.max(largest, apart);
  }, 0);
}
