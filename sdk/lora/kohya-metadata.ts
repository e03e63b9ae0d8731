/**
 * What kohya's scripts write into a LoRA file beside the weights (`ss_*`), and Stability AI's model specification
 * (`modelspec.*`): web interfaces show it, and model sites tell the base model by it. All values are texts; what is
 * not known is left out.
 */
import { sd1, sd2, xl } from './lora-family';
import type { LoraLayers } from './lora-layers';

/** The base model that the LoRA belongs to. */
export interface MetadataBase {
  /** "Stable Diffusion 1", "Stable Diffusion 2" or "Stable Diffusion XL". */
  readonly family: string;
  /** As the scheduler's config has it; null where the base is not at hand. */
  readonly predictionType: string | null;
  /** Side of its usual pictures in pixels; null where the base is not at hand. */
  readonly resolution: number | null;
  readonly name: string;
}

/** What was learned, and how; `settings` by their names in this package. */
export interface MetadataSubject {
  readonly name: string;
  readonly id: string;
  /** What stands for it in a prompt. */
  readonly words: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly steps: number;
  readonly seed: number;
  /** ISO 8601 */
  readonly createdAt: string;
  readonly photos: number;
}

const lines: Readonly<Record<string, { version: string; architecture: string; resolution: number }>> = {
  [sd1]: { version: 'sd_v1', architecture: 'stable-diffusion-v1', resolution: 512 },
  [sd2]: { version: 'sd_v2', architecture: 'stable-diffusion-v2-512', resolution: 512 },
  [xl]: { version: 'sdxl_base_v1-0', architecture: 'stable-diffusion-xl-v1-base', resolution: 1024 },
};
const sd2Velocity = { version: 'sd_v2_v', architecture: 'stable-diffusion-v2-768-v', resolution: 768 };

export function kohyaMetadata(
  subject: MetadataSubject,
  base: MetadataBase,
  layers: LoraLayers,
): Record<string, string> {
  const { settings, steps } = subject;
  const velocity = base.predictionType === 'v_prediction';
  const line = base.family === sd2 && velocity ? sd2Velocity : lines[base.family]!;
  const side = settings['resolution'] ?? base.resolution ?? line.resolution;
  const learned = steps > 0;
  const folder = `1_${subject.words}`;
  const batch = Number(settings['batchSize'] ?? 1) * Number(settings['gradientAccumulationSteps'] ?? 1);
  const epochs = learned && subject.photos > 0 ? Math.ceil((steps * batch) / subject.photos) : undefined;
  const finished = Math.floor(Date.parse(subject.createdAt) / 1000);
  const said: Record<string, unknown> = {
    ss_session_id: Number.parseInt(subject.id.replace(/[^0-9a-f]/gi, '').slice(0, 8), 16),
    ss_training_finished_at: finished,
    ss_output_name: subject.name,
    ss_base_model_version: line.version,
    ss_v2: base.family === sd2 ? 'True' : 'False',
    ss_sd_model_name: base.name,
    ss_resolution: `(${side}, ${side})`,
    ss_network_module: 'networks.lora',
    ...ranksOf(layers),
    ...(learned
      ? {
          ss_steps: steps,
          ss_max_train_steps: steps,
          ss_epoch: epochs,
          ss_num_epochs: epochs,
          ss_seed: subject.seed,
          ss_learning_rate: settings['learningRate'],
          ss_unet_lr: settings['learningRate'],
          ss_text_encoder_lr:
            settings['trainTextEncoder'] === true ? settings['textEncoderLearningRate'] : undefined,
          ss_optimizer: optimizer(settings),
          ss_lr_scheduler: settings['learningRateSchedule'],
          ss_lr_warmup_steps: settings['warmupSteps'],
          ss_batch_size_per_device: settings['batchSize'],
          ss_gradient_accumulation_steps: settings['gradientAccumulationSteps'],
          ss_max_grad_norm: settings['maxGradientNorm'],
          ss_mixed_precision: 'no',
          ss_prior_loss_weight: settings['prior'] === 'none' ? undefined : settings['priorLossWeight'],
          ss_min_snr_gamma: settings['snrGamma'] || undefined,
          ss_noise_offset: settings['noiseOffset'] || undefined,
          ss_num_train_images: subject.photos,
          ss_num_reg_images: settings['prior'] === 'images' ? settings['classImages'] : 0,
          ss_dataset_dirs: JSON.stringify({ [folder]: { n_repeats: 1, img_count: subject.photos } }),
          ss_tag_frequency: JSON.stringify({ [folder]: { [subject.words]: subject.photos } }),
        }
      : {}),
    'modelspec.sai_model_spec': '1.0.0',
    'modelspec.architecture': `${line.architecture}/lora`,
    // Whose names the UNet's layers have.
    'modelspec.implementation':
      base.family === xl ? 'https://github.com/Stability-AI/generative-models' : 'diffusers',
    'modelspec.title': subject.name,
    'modelspec.resolution': `${side}x${side}`,
    'modelspec.prediction_type':
      base.predictionType === null ? undefined : velocity ? 'v' : base.predictionType,
    'modelspec.date': subject.createdAt.replace(/\.\d+/, ''),
    'modelspec.trigger_phrase': subject.words,
  };
  return Object.fromEntries(
    Object.entries(said).flatMap(([name, value]) => (value == null ? [] : [[name, String(value)]])),
  );
}

/** Rank and alpha of most linear layers, and of most kernels of several pixels, which kohya's scripts count apart. */
function ranksOf(layers: LoraLayers): Record<string, unknown> {
  const isKernel = (shape: readonly number[]) => shape.slice(2).some((size) => size > 1);
  const all = [...layers.values()].map(({ down, alpha }) => ({
    kernel: isKernel(down.shape),
    text: `${down.shape[0]} ${alpha}`,
  }));
  const usual = (some: readonly { readonly text: string }[]) => {
    const counts = new Map<string, number>();
    for (const { text } of some) counts.set(text, (counts.get(text) ?? 0) + 1);
    return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0].split(' ') ?? [];
  };
  const [dim, alpha] = usual(all.filter(({ kernel }) => !kernel));
  const [convDim, convAlpha] = usual(all.filter(({ kernel }) => kernel));
  return {
    ss_network_dim: dim ?? convDim,
    ss_network_alpha: alpha ?? convAlpha,
    ss_network_args: JSON.stringify(
      convDim === undefined ? {} : { conv_dim: convDim, conv_alpha: convAlpha },
    ),
  };
}

const optimizer = (settings: Readonly<Record<string, unknown>>) =>
  settings['weightDecay'] === undefined
    ? undefined
    : `torch.optim.adamw.AdamW(weight_decay=${settings['weightDecay']},betas=(${settings['adamBeta1']}, ${settings['adamBeta2']}),eps=${settings['adamEpsilon']})`;
