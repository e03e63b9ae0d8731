import type { DiffusersFolder } from '../checkpoint/diffusers-folder';
import { asFolder } from '../checkpoint/single-file';
import { UnsupportedConfigError } from '../errors';
import { type BaseModel, readBaseModel } from '../models/base-model';
import type { StoredTensor } from '../tensor';

/** Of the noise schedule; how a sampler walks it is the reader's own choice. */
const schedule = [
  'num_train_timesteps',
  'beta_start',
  'beta_end',
  'beta_schedule',
  'prediction_type',
  'rescale_betas_zero_snr',
];

/**
 * The settings of `checkpoint` that a reader of `file`, its tensors under single files' keys, would take otherwise,
 * going by shapes and what is published of each line of models; as "unet heads".
 */
export function misreadSettings(
  checkpoint: DiffusersFolder,
  file: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>>,
): string[] {
  const told = Object.fromEntries(Object.entries(metadata).filter(([name]) => name.startsWith('modelspec.')));
  let guessed: BaseModel;
  try {
    guessed = readBaseModel(asFolder('', { tensors: file, metadata: told }));
  } catch (error) {
    return [error instanceof UnsupportedConfigError ? `${error.component} ${error.key}` : 'its structure'];
  }
  const own = readBaseModel(checkpoint);
  const differing = (part: string, ours: object, theirs: object) =>
    [...new Set([...Object.keys(ours), ...Object.keys(theirs)])]
      .filter((name) => name !== 'sampleSize' && !same(value(ours, name), value(theirs, name)))
      .map((name) => `${part} ${name}`);
  const kept = (config: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(schedule.map((name) => [name, config[name] ?? scheduleDefaults[name]]));
  return [
    ...differing('unet', own.unet.config, guessed.unet.config),
    ...differing('vae', own.vae.config, guessed.vae.config),
    ...own.textEncoders.flatMap((encoder, i) =>
      differing(encoder.name, encoder.config, guessed.textEncoders[i]?.config ?? {}),
    ),
    ...differing('scheduler', kept(own.schedulerConfig), kept(guessed.schedulerConfig)),
  ];
}

const scheduleDefaults: Readonly<Record<string, unknown>> = {
  prediction_type: 'epsilon',
  rescale_betas_zero_snr: false,
};
const value = (object: object, name: string): unknown => (object as Record<string, unknown>)[name];
const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
