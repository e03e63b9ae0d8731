/** A learned subject without the learning: a LoRA of random values on every layer of a base. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../sdk/checkpoint/checkpoint';
import { checkpointFingerprint } from '../../sdk/checkpoint/fingerprint';
import { writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { loraTargets } from '../../sdk/lora/lora';
import { type LoraLayers, loraComponents } from '../../sdk/lora/lora-layers';
import { toDiffusers } from '../../sdk/lora/write-lora';
import { createRandom } from '../../sdk/random';
import type { Home } from '../../sdk/subjects/home';
import { loraFile } from '../../sdk/subjects/lora-export';
import { createSubject, type Subject } from '../../sdk/subjects/subjects';
import { float32, sizeOf } from '../../sdk/tensor';

/** A LoRA of the layers whose names end in `modules` (`*`: all); of each third layer with another rank. */
export function randomLora(basePath: string, modules: readonly string[] = ['*'], size = 0.05): LoraLayers {
  const random = createRandom(3);
  const { components } = openCheckpoint(basePath);
  const targets = loraComponents.flatMap((component) =>
    loraTargets(components.get(component)?.tensors ?? new Map(), modules, 1).map(
      (target) => [`${component}.${target.path}`, target] as const,
    ),
  );
  return new Map(
    targets.map(([name, { down, up }], i) => {
      const rank = i % 3 === 0 ? 3 : 2;
      const values = (shape: readonly number[]) =>
        float32(
          shape,
          random.normals(sizeOf(shape)).map((x) => x * size),
        );
      return [
        name,
        {
          down: values([rank, ...down.slice(1)]),
          up: values([up[0]!, rank, ...up.slice(2)]),
          alpha: rank,
        },
      ];
    }),
  );
}

/** Settings of which kohya's metadata tells. */
const settings = {
  learningRate: 1e-4,
  textEncoderLearningRate: 5e-5,
  trainTextEncoder: true,
  learningRateSchedule: 'cosine',
  warmupSteps: 0,
  batchSize: 1,
  gradientAccumulationSteps: 1,
  maxGradientNorm: 1,
  weightDecay: 0.01,
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  prior: 'images',
  priorLossWeight: 1,
  classImages: 100,
  snrGamma: 5,
};

export function learned(home: Home, name: string, layers: LoraLayers, basePath: string): Subject {
  const draft = mkdtempSync(join(tmpdir(), 'dreambooth-draft-'));
  writeSafetensors(join(draft, loraFile), toDiffusers(layers, 'float32'));
  const photo = { name: '1.png', sha256: '0'.repeat(64) };
  return createSubject(
    home,
    name,
    {
      id: '0123abcd-0000-4000-8000-000000000000',
      className: 'dog',
      identifier: 'olis',
      instancePrompt: 'a photo of olis dog',
      kind: 'lora',
      base: { path: basePath, fingerprint: checkpointFingerprint(basePath) },
      settings,
      seed: 7,
      steps: 12,
      createdAt: '2026-01-02T03:04:05.678Z',
      photos: [photo, photo, photo, photo],
      versions: {},
    },
    draft,
  );
}
