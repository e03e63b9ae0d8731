/** LoRA files: every naming read, written back, and what pictures come of them at several strengths. */
import { kohyaNaming } from '../../sdk/lora/kohya-names';
import type { LoraLayers } from '../../sdk/lora/lora-layers';
import { type LoraModel, loraModel } from '../../sdk/lora/lora-model';
import { fromFile } from '../../sdk/lora/read-lora';
import { toDiffusers, toKohya } from '../../sdk/lora/write-lora';
import { tensorsOf } from '../../sdk/models/base-model';
import { schedulerFromConfig } from '../../sdk/schedulers/index';
import type { Tensor } from '../../sdk/tensor';
import { replay } from '../schedulers/reference-run';
import type { Checkpoint } from './checkpoint';
import { createSampler, type Sampler } from './denoise';
import type { Reference } from './reference';
import { absent, compare, type Finding, type Findings, guarded, judge, same, tolerances } from './report';
import { readSamplingSettings } from './sampling';

const asItIs = (tensor: Tensor) => tensor;
const pattern = /^(lora.*)\.(\w+)\.safetensors$/;

export async function* checkLoraFiles(checkpoint: Checkpoint): AsyncGenerator<Finding> {
  const found = checkpoint.files.flatMap((file) => {
    const [, stem, naming] = pattern.exec(file) ?? [];
    return stem && naming ? [{ file, stem, naming }] : [];
  });
  const stems = new Set(found.map(({ stem }) => stem));
  for (const stem of ['lora', 'lora-text-encoder']) if (!stems.has(stem)) yield absent(stem);
  for (const stem of stems) {
    const files = found.filter((one) => one.stem === stem);
    yield* guarded(stem, () => checkLora(checkpoint, stem, files));
  }
}

async function* checkLora(
  checkpoint: Checkpoint,
  stem: string,
  found: readonly { readonly file: string; readonly naming: string }[],
): Findings {
  const base = checkpoint.base();
  const model = loraModel((component) => tensorsOf(base, component));
  const read: { name: string; layers: LoraLayers }[] = [];
  for (const { file, naming } of found.filter(({ naming }) => naming !== 'sampling')) {
    const name = `${stem} ${naming}`;
    yield* guarded(`${name} read`, function* () {
      const reference = checkpoint.open(file);
      const layers = fromFile(reference.tensors(), asItIs, model, reference.texts);
      read.push({ name, layers });
      yield* checkWriting(name, model, reference, layers);
    });
  }
  const [first, ...others] = read;
  if (!first) {
    yield absent(`${stem} read`);
    return;
  }
  for (const other of others) {
    yield compareLayers(`${first.name} = ${other.name}`, other.layers, first.layers);
  }
  const sampling = found.find(({ naming }) => naming === 'sampling');
  if (!sampling) {
    yield absent(`${stem} sampling`);
    return;
  }
  const reference = checkpoint.open(sampling.file);
  const sampler = await createSampler(base, new Set(read.flatMap(({ layers }) => [...layers.keys()])));
  for (const { name, layers } of read) yield* checkStrengths(name, sampler, reference, layers);
  await sampler.release();
}

/** Written as it was, key by key, where we write that naming; else written in ours and read again. */
function* checkWriting(
  name: string,
  model: LoraModel,
  reference: Reference,
  layers: LoraLayers,
): Generator<Finding> {
  // Of Stable Diffusion XL both are about; we write the original code's, as kohya's scripts do.
  const isInDiffusersBlocks = reference.keys.some((key) => /^lora_unet_(down|mid|up)_block/.test(key));
  const naming = kohyaNaming(isInDiffusersBlocks ? { ...model, unetModules: [] } : model);
  for (const [style, tensors] of Object.entries({
    kohya: toKohya(layers, naming, 'float32'),
    diffusers: toDiffusers(layers, 'float32'),
  })) {
    const again = fromFile(tensors, asItIs, model);
    yield compareLayers(`${name} written as ${style}, read again`, again, layers);
    const [ours, theirs] = [[...tensors.keys()].sort(), [...reference.keys].sort()];
    // A file of an older or another writer's spelling has no counterpart among what we write.
    const endings = (keys: readonly string[]) =>
      [...new Set(keys.map((key) => key.replace(/.*?(_lora|\.lora|\.alpha)/, '$1')))].sort().join();
    if (endings(ours) !== endings(theirs)) continue;
    const shapes = ours.filter(
      (key) => reference.has(key) && tensors.get(key)!.shape.join() !== reference.shape(key).join(),
    );
    yield same(`${name} keys`, ours.join() === theirs.join() && shapes.length === 0, `${theirs.length} keys`);
  }
}

function compareLayers(check: string, ours: LoraLayers, theirs: LoraLayers): Finding {
  const names = (layers: LoraLayers) => [...layers.keys()].sort().join();
  if (names(ours) !== names(theirs))
    return judge(check, Infinity, tolerances.loraFiles, 'the layers are not the same');
  return compare(check, differences(ours), differences(theirs), tolerances.loraFiles, `${ours.size} layers`);
}

/** What the LoRA adds to each weight, (alpha / rank)·up·down, one layer after the other in order of name. */
function differences(layers: LoraLayers): Float32Array {
  const all = [...layers]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { down, up, alpha }]) => {
      const rank = down.shape[0]!;
      const [rows, columns] = [up.shape[0]!, down.data.length / rank];
      return Float32Array.from({ length: rows * columns }, (_, i) => {
        let sum = 0;
        for (let r = 0; r < rank; r++)
          sum += up.data[Math.floor(i / columns) * rank + r]! * down.data[r * columns + (i % columns)]!;
        return (sum * alpha) / rank;
      });
    });
  const joined = new Float32Array(all.reduce((total, one) => total + one.length, 0));
  let at = 0;
  for (const one of all) {
    joined.set(one, at);
    at += one.length;
  }
  return joined;
}

async function* checkStrengths(
  name: string,
  sampler: Sampler,
  reference: Reference,
  layers: LoraLayers,
): Findings {
  const settings = readSamplingSettings(reference);
  const schedulerName = reference.metadata('scheduler') as string;
  const guidanceScale = reference.metadata('guidance_scale') as number;
  for (const key of reference.keys.filter((one) => one.endsWith('/latents')).sort()) {
    const scale = Number(key.split('/')[0]);
    const noiseKey = key.replace(/latents$/, 'noise');
    const noise = replay(reference.has(noiseKey) ? reference.numbers(noiseKey) : undefined);
    const latents = await sampler.sample({
      ...settings,
      guidanceScale,
      scheduler: schedulerFromConfig(
        settings.schedulers[schedulerName]!,
        settings.steps,
        settings.prompts.length,
      ),
      drawNoise: noise,
      lora: { layers, scale },
    });
    yield compare(`${name} scale ${key}`, latents, reference.numbers(key), tolerances.latents);
    if (noise.left() !== 0)
      yield judge(`${name} scale ${noiseKey}`, Infinity, 0, `${noise.left()} drawn numbers left over`);
  }
}
