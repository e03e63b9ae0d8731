/** Reading a scheduler_config.json: values with each class's own defaults, and what we cannot do refused by name. */
import { UnsupportedConfigError } from '../errors';

/** A parsed scheduler_config.json. Keys and values are diffusers'; `_class_name` says whose. */
export type SchedulerConfig = Readonly<Record<string, unknown>>;

export interface ConfigReader {
  number(key: string, fallback: number): number;
  /** A number, or undefined where the config has none. */
  optionalNumber(key: string): number | undefined;
  flag(key: string, fallback: boolean): boolean;
  /** One of `supported`, or UnsupportedConfigError. */
  choice<const T extends string | number>(key: string, supported: readonly T[], fallback: T): T;
  /** Refuses any value but `supported` of keys that change the result and are not implemented. */
  only(supported: boolean | string, ...keys: readonly string[]): void;
}

// What diffusers' schedulers for discrete noise levels read. One class's keys lie about in another's config
// (a pipeline's scheduler is made from its predecessor's config), and the class that does not know a key
// ignores it. A key that no such class has may mean anything, so it is refused.
const knownKeys = new Set(
  `num_train_timesteps beta_start beta_end beta_schedule trained_betas prediction_type timestep_spacing steps_offset
  rescale_betas_zero_snr clip_sample clip_sample_range set_alpha_to_one thresholding dynamic_thresholding_ratio
  sample_max_value variance_type skip_prk_steps interpolation_type use_karras_sigmas use_exponential_sigmas
  use_beta_sigmas use_lu_lambdas use_flow_sigmas flow_shift sigma_min sigma_max timestep_type final_sigmas_type
  solver_order algorithm_type solver_type lower_order_final euler_at_final lambda_min_clipped use_dynamic_shifting
  time_shift_type predict_x0 disable_corrector solver_p shift_terminal original_inference_steps timestep_scaling
  predict_epsilon tensor_format noise_sampler_seed eta rho`.split(/\s+/),
);

/**
 * Reads `config` for `component` (the diffusers class named in errors). A missing key or null is the fallback.
 * @throws UnsupportedConfigError for a key that no scheduler of this kind knows, set to anything but null or false.
 */
export function readSchedulerConfig(component: string, config: SchedulerConfig): ConfigReader {
  for (const [key, value] of Object.entries(config)) {
    const unset = value === null || value === undefined || value === false;
    if (!key.startsWith('_') && !knownKeys.has(key) && !unset)
      throw new UnsupportedConfigError(component, key, value, [null]);
  }
  // Written by early versions in place of prediction_type.
  if (config['predict_epsilon'] === false && config['prediction_type'] == null)
    throw new UnsupportedConfigError(component, 'predict_epsilon', false, [true]);

  const optionalNumber = (key: string) => {
    const value = config[key] ?? undefined;
    const number = typeof value === 'string' && value in infinities ? infinities[value] : value;
    if (number !== undefined && (typeof number !== 'number' || Number.isNaN(number)))
      throw new UnsupportedConfigError(component, key, value, ['a number']);
    return number as number | undefined;
  };
  return {
    optionalNumber,
    number: (key, fallback) => optionalNumber(key) ?? fallback,
    flag(key, fallback) {
      const value = config[key] ?? fallback;
      if (typeof value !== 'boolean') throw new UnsupportedConfigError(component, key, value, [true, false]);
      return value;
    },
    choice(key, supported, fallback) {
      const value = config[key] ?? fallback;
      const found = supported.find((one) => one === value);
      if (found === undefined) throw new UnsupportedConfigError(component, key, value, supported);
      return found;
    },
    only(supported, ...keys) {
      for (const key of keys) {
        const value = config[key] ?? supported;
        if (value !== supported) throw new UnsupportedConfigError(component, key, value, [supported]);
      }
    },
  };
}

const infinities: Readonly<Record<string, number>> = {
  inf: Infinity,
  '-inf': -Infinity,
  Infinity: Infinity,
  '-Infinity': -Infinity,
};

/**
 * Parses scheduler_config.json, which Python may have written with a bare `-Infinity` (`lambda_min_clipped`),
 * no JSON value; it becomes the text "-Infinity", which the readers here take for the number.
 */
export const parseSchedulerConfig = (text: string): SchedulerConfig =>
  JSON.parse(text.replace(/(:\s*)(-?Infinity)(?=\s*[,}])/g, '$1"$2"')) as SchedulerConfig;

/** `config` without keys that a class does not know and therefore ignores. */
export const ignoring = (config: SchedulerConfig, ...keys: readonly string[]): SchedulerConfig =>
  Object.fromEntries(Object.entries(config).filter(([key]) => !keys.includes(key)));
