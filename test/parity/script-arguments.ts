/** The arguments of diffusers' DreamBooth scripts, as far as they change what a step computes. */
import { UnsupportedConfigError } from '../../sdk/errors';
import type { WeightAverageOptions } from '../../sdk/training/weight-average';

export interface ScriptSettings {
  readonly full: boolean;
  /** How many vectors of an added token are trained, and nothing else; 0: no such training. */
  readonly vectors: number;
  readonly trainTextEncoder: boolean;
  readonly learningRate: number;
  readonly learningRateSchedule: string;
  readonly warmupSteps: number;
  readonly maxTrainSteps?: number;
  readonly cycles: number;
  readonly power: number;
  readonly accumulation: number;
  readonly priorPreservation: boolean;
  readonly priorLossWeight: number;
  /** 0: no such weighting. */
  readonly snrGamma: number;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Of the text encoders. */
  readonly textLearningRate: number;
  readonly textWeightDecay: number;
  /** Absent: gradients are not clipped. */
  readonly maxGradientNorm?: number;
  /** Of the LoRA; absent: equal to the rank. */
  readonly alpha?: number;
  readonly zeroTerminalSnr: boolean;
  /** Where the offset stands apart in the file. */
  readonly noiseOffset: number;
  readonly masks: boolean;
  readonly unmaskedWeight: number;
  /** Absent: none. */
  readonly average?: WeightAverageOptions;
}

/** Each script's own defaults; the text encoders' where it has arguments of their own for them. */
interface ScriptDefaults {
  readonly full: boolean;
  readonly learningRate: number;
  readonly textLearningRate?: number;
  readonly weightDecay?: number;
  readonly textWeightDecay?: number;
  readonly embedding?: true;
}

const scripts: Readonly<Record<string, ScriptDefaults>> = {
  'train_dreambooth.py': { full: true, learningRate: 5e-6 },
  'train_dreambooth_lora.py': { full: false, learningRate: 5e-4 },
  'train_dreambooth_lora_sdxl.py': {
    full: false,
    learningRate: 1e-4,
    textLearningRate: 5e-6,
    weightDecay: 1e-4,
    textWeightDecay: 1e-3,
  },
  'textual_inversion.py': { full: false, learningRate: 1e-4, embedding: true },
  // Ours, in fixtures/golden: on diffusers' parts, what its scripts lack or have wrong.
  'make-training-runs.py': { full: false, learningRate: 1e-3 },
};

/** Read here, or of no effect on the numbers of a step: what a step is made from stands in the file. */
const numbers =
  `learning_rate lr_warmup_steps max_train_steps lr_num_cycles lr_power gradient_accumulation_steps prior_loss_weight
  snr_gamma adam_beta1 adam_beta2 adam_epsilon adam_weight_decay max_grad_norm rank lora_alpha train_batch_size
  lora_dropout text_encoder_lr adam_weight_decay_text_encoder noise_offset unmasked_weight ema_decay
  ema_update_after num_vectors`.split(/\s+/);
const flags =
  `with_prior_preservation train_text_encoder scale_lr offset_noise full masks zero_terminal_snr use_ema
  ema_warmup`.split(/\s+/);
const withoutEffect = new Set(
  `pretrained_model_name_or_path revision variant tokenizer_name tokenizer_max_length instance_prompt class_prompt
  instance_data_dir class_data_dir num_class_images output_dir logging_dir report_to resolution center_crop random_flip
  seed checkpointing_steps checkpoints_total_limit resume_from_checkpoint gradient_checkpointing sample_batch_size
  num_train_epochs dataloader_num_workers validation_prompt validation_images validation_steps validation_epochs
  validation_scheduler num_validation_images push_to_hub hub_token hub_model_id local_rank allow_tf32
  prior_generation_precision enable_xformers_memory_efficient_attention set_grads_to_none pre_compute_text_embeddings
  image_interpolation_mode skip_save_text_encoder repeats optimizer caption_dropout`.split(/\s+/),
);
/** These too when they have the value named. */
const onlyAs: Readonly<Record<string, readonly string[]>> = {
  mixed_precision: ['no'],
  optimizer: ['AdamW', 'adamw'],
  lora_dropout: ['0', '0.0'],
};

/** Throws UnsupportedConfigError naming a script, an argument or a value that is not implemented. */
export function readScriptArguments(script: string, args: readonly string[]): ScriptSettings {
  const defaults = scripts[script];
  if (!defaults) throw new UnsupportedConfigError('training', 'script', script, Object.keys(scripts));
  const given = parse(args);
  for (const [name, value] of given) {
    const allowed = onlyAs[name];
    if (allowed && !allowed.includes(value))
      throw new UnsupportedConfigError(script, `--${name}`, value, allowed);
    const known =
      allowed ||
      numbers.includes(name) ||
      flags.includes(name) ||
      withoutEffect.has(name) ||
      name === 'lr_scheduler';
    if (!known) throw new UnsupportedConfigError(script, `--${name}`, value, ['leaving it out']);
  }
  const number = (name: string, fallback: number) => Number(given.get(name) ?? fallback);
  const optional = (key: string, name: string) => (given.has(name) ? { [key]: Number(given.get(name)) } : {});
  const accumulation = number('gradient_accumulation_steps', 1);
  const scaled = given.has('scale_lr') ? accumulation * number('train_batch_size', 4) : 1;
  const learningRate = number('learning_rate', defaults.learningRate) * scaled;
  const weightDecay = number('adam_weight_decay', defaults.weightDecay ?? 1e-2);
  return {
    full: defaults.full || given.has('full'),
    vectors: defaults.embedding ? number('num_vectors', 1) : 0,
    trainTextEncoder: given.has('train_text_encoder') || defaults.embedding === true,
    learningRate,
    learningRateSchedule: given.get('lr_scheduler') ?? 'constant',
    warmupSteps: number('lr_warmup_steps', 500),
    ...optional('maxTrainSteps', 'max_train_steps'),
    cycles: number('lr_num_cycles', 1),
    power: number('lr_power', 1),
    accumulation,
    priorPreservation: given.has('with_prior_preservation'),
    priorLossWeight: number('prior_loss_weight', 1),
    snrGamma: number('snr_gamma', 0),
    betas: [number('adam_beta1', 0.9), number('adam_beta2', 0.999)],
    epsilon: number('adam_epsilon', 1e-8),
    weightDecay,
    textLearningRate:
      defaults.textLearningRate === undefined
        ? learningRate
        : number('text_encoder_lr', defaults.textLearningRate) * scaled,
    textWeightDecay:
      defaults.textWeightDecay === undefined
        ? weightDecay
        : number('adam_weight_decay_text_encoder', defaults.textWeightDecay),
    ...(defaults.embedding ? {} : { maxGradientNorm: number('max_grad_norm', 1) }),
    ...optional('alpha', 'lora_alpha'),
    zeroTerminalSnr: given.has('zero_terminal_snr'),
    // The scripts have a flag for 0.1.
    noiseOffset: number('noise_offset', given.has('offset_noise') ? 0.1 : 0),
    masks: given.has('masks'),
    unmaskedWeight: number('unmasked_weight', 0),
    ...(given.has('use_ema') || given.has('ema_decay')
      ? {
          average: {
            decay: number('ema_decay', 0.9999),
            warmup: given.has('ema_warmup'),
            updateAfter: number('ema_update_after', 0),
          },
        }
      : {}),
  };
}

/** `--name value`, `--name=value` and `--flag`; a name without `--` belongs to the argument before it. */
function parse(args: readonly string[]): Map<string, string> {
  const given = new Map<string, string>();
  let last: string | undefined;
  for (const arg of args) {
    const [, name, value] = /^--([\w-]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (name !== undefined) {
      last = name.replaceAll('-', '_');
      given.set(last, value ?? '');
    } else if (last !== undefined) {
      given.set(last, given.get(last) ? `${given.get(last)} ${arg}` : arg);
    }
  }
  return given;
}
