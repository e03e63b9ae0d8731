/** Image to image, inpainting and guidance rescale as diffusers' pipelines did them, from the numbers that they drew. */
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { openSafetensors } from '../../sdk/checkpoint/safetensors';
import type { CreateSession } from '../../sdk/graph/session';
import { encodePng } from '../../sdk/images/png';
import { type BaseModel, readBaseModel } from '../../sdk/models/base-model';
import { tokenizePrompt } from '../../sdk/models/text-condition';
import { createSession } from '../../sdk/runtime/session';
import { createPipeline, type Pipeline } from '../../sdk/sampling/pipeline';
import { type SchedulerName, schedulerNames } from '../../sdk/schedulers/index';
import { preparePhoto } from '../../sdk/work/photo-request';
import type { WorkContext } from '../../sdk/work/work-context';
import { openReference } from '../parity/reference';
import { tolerances } from '../parity/report';
import { relativeError, replay } from '../schedulers/reference-run';

interface Run {
  readonly checkpoint: string;
  readonly kind: string;
  readonly sampler: SchedulerName;
  readonly strength: number | null;
  readonly guidance_rescale?: number;
}

const fixtures = join(import.meta.dirname, '../../fixtures');
const reference = openReference(join(fixtures, 'pictures'), 'pictures.safetensors');
const runs = Object.entries(reference.metadata('runs') as Readonly<Record<string, Run>>);
const [width, height] = [64, 48];

const bytes = (key: string) => Uint8Array.from(reference.numbers(key));
const rgb = { width: 70, height: 50, data: bytes('photo') };
const bytesOfMask = bytes('mask');
const grey = {
  ...rgb,
  data: Uint8Array.from({ length: 70 * 50 * 3 }, (_, i) => bytesOfMask[Math.floor(i / 3)]!),
};

const bases = new Map<string, BaseModel>();
function baseOf({ checkpoint, kind }: Run): BaseModel {
  const key = `${checkpoint} ${kind === 'inpaint-9'}`;
  const known = bases.get(key);
  if (known) return known;
  const plain = readBaseModel(openDiffusersFolder(join(fixtures, 'golden', checkpoint)));
  const first = openSafetensors(join(fixtures, 'pictures/inpainting.safetensors')).tensors.get(
    `${checkpoint}/conv_in.weight`,
  )!;
  const base =
    kind === 'inpaint-9'
      ? {
          ...plain,
          unet: {
            config: { ...plain.unet.config, inChannels: 9 },
            tensors: new Map([...plain.unet.tensors, ['conv_in.weight', first] as const]),
          },
        }
      : plain;
  bases.set(key, base);
  return base;
}

/** What the pipeline is to draw, and what it gave its decoder. */
let numbers: ReturnType<typeof replay>;
let decoded: Float32Array;
const watched: CreateSession = async (outputs) => {
  const session = await createSession(outputs);
  return {
    ...session,
    run(feeds) {
      const latents = feeds['planes'];
      if (latents?.shape[1] === 4) decoded = latents.data as Float32Array;
      return session.run(feeds);
    },
  };
};

const pipelines = new Map<string, Promise<Pipeline>>();
function pipelineOf(run: Run): Promise<Pipeline> {
  const rescaled = run.guidance_rescale !== undefined;
  const key = `${run.checkpoint} ${run.kind === 'inpaint-9'} ${rescaled}`;
  const shape = { pictures: 1, size: [6, 8] as const, guided: true, rescaled, loraPaths: [] };
  const pipeline =
    pipelines.get(key) ??
    createPipeline(baseOf(run), shape, watched, () => ({ normals: (length) => numbers(length) }));
  pipelines.set(key, pipeline);
  return pipeline;
}
afterAll(async () => {
  for (const pipeline of pipelines.values()) await (await pipeline).release();
});

/** In the order in which we draw: noise, the photo's latents where they are used, the masked photo's, the sampler's. */
function drawnBy(key: string, { kind }: Run): Float32Array {
  const part = (what: string) => (reference.has(`${key}/${what}`) ? reference.numbers(`${key}/${what}`) : []);
  const noise = part('noise');
  const vae = part('vae_noise');
  // With four channels diffusers also encodes the masked photo, and does not look at it.
  const used = kind === 'inpaint' ? vae.slice(0, noise.length) : vae;
  return Float32Array.from([...noise, ...used, ...part('step_noise')]);
}

test('the reference has every sampler, image to image and inpainting', () => {
  for (const kind of ['image', 'inpaint']) {
    const found = runs.flatMap(([, run]) =>
      run.checkpoint === 'sd15-tiny' && run.kind === kind ? [run.sampler] : [],
    );
    expect([...new Set(found)].sort()).toEqual([...schedulerNames].sort());
  }
});

describe.each(runs)('%s', (key, run) => {
  test('has diffusers’ latents and picture', async () => {
    const base = baseOf(run);
    const pipeline = await pipelineOf(run);
    numbers = replay(drawnBy(key, run));
    const context = { onWarning() {} } as unknown as WorkContext;
    const text = (name: string) => [tokenizePrompt(base, reference.metadata(name) as string).tokens];
    const photo =
      run.strength === null
        ? undefined
        : await preparePhoto(
            {
              image: { bytes: await encodePng(rgb), name: 'photo' },
              mask: run.kind === 'image' ? null : { bytes: await encodePng(grey), name: 'mask' },
              strength: run.strength,
            },
            { width, height },
            base,
            context,
          );
    const [picture] = await pipeline.draw({
      prompts: [text('prompt')],
      negativePrompt: text('negative_prompt'),
      seeds: [0],
      scheduler: run.sampler,
      steps: reference.metadata('steps') as number,
      guidanceScale: reference.metadata('guidance_scale') as number,
      ...(run.guidance_rescale === undefined ? {} : { guidanceRescale: run.guidance_rescale }),
      ...(photo ? { photo: { photo: await pipeline.encode(photo.photo), strength: run.strength! } } : {}),
      loras: [],
    });
    expect(numbers.left()).toBe(0);
    const latents = decoded.map((value) => value * base.vae.config.scalingFactor);
    expect(relativeError(latents, reference.numbers(`${key}/latents`))).toBeLessThan(tolerances.latents);
    if (!reference.has(`${key}/image`)) return;
    const unit = picture!.map((value) => Math.min(1, Math.max(0, value / 2 + 0.5)));
    const wanted = reference.numbers(`${key}/image`);
    const apart = unit.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0);
    expect(apart).toBeLessThan(tolerances.images);
  });
});
