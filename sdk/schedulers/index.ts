/** Every sampler by the name people type and by diffusers' class. To add one: its file, and one line below. */
import { InvalidOptionError, UnsupportedConfigError } from '../errors';
import { ddim } from './ddim';
import { ddpm } from './ddpm';
import { dpmSolverMultistep } from './dpm-solver-multistep';
import { euler } from './euler';
import { eulerAncestral } from './euler-ancestral';
import { heun } from './heun';
import { lcm } from './lcm';
import { pndm } from './pndm';
import type { CreateScheduler, Scheduler } from './scheduler';
import type { SchedulerConfig } from './scheduler-config';
import { unipc } from './unipc';

/** A sampler, and what its name fixes of the checkpoint's scheduler_config.json. */
export interface NamedScheduler {
  readonly className: string;
  readonly create: CreateScheduler;
  readonly overrides: SchedulerConfig;
}

const evenly = { use_karras_sigmas: false, use_exponential_sigmas: false, use_beta_sigmas: false };
const karras = { ...evenly, use_karras_sigmas: true };
const secondOrder = { algorithm_type: 'dpmsolver++', solver_order: 2, solver_type: 'midpoint' };
const multistep = { className: 'DPMSolverMultistepScheduler', create: dpmSolverMultistep };
const eulerDiscrete = { className: 'EulerDiscreteScheduler', create: euler };

export const schedulers = {
  dpmpp_2m_karras: { ...multistep, overrides: { ...secondOrder, ...karras } },
  dpmpp_2m: { ...multistep, overrides: { ...secondOrder, ...evenly } },
  dpmpp_2m_sde_karras: {
    ...multistep,
    overrides: { ...secondOrder, algorithm_type: 'sde-dpmsolver++', ...karras },
  },
  ddim: { className: 'DDIMScheduler', create: ddim, overrides: {} },
  ddpm: { className: 'DDPMScheduler', create: ddpm, overrides: {} },
  euler: { ...eulerDiscrete, overrides: evenly },
  euler_karras: { ...eulerDiscrete, overrides: karras },
  euler_ancestral: { className: 'EulerAncestralDiscreteScheduler', create: eulerAncestral, overrides: {} },
  heun: { className: 'HeunDiscreteScheduler', create: heun, overrides: evenly },
  unipc: { className: 'UniPCMultistepScheduler', create: unipc, overrides: evenly },
  pndm: { className: 'PNDMScheduler', create: pndm, overrides: { skip_prk_steps: true } },
  lcm: { className: 'LCMScheduler', create: lcm, overrides: {} },
} as const satisfies Readonly<Record<string, NamedScheduler>>;

export type SchedulerName = keyof typeof schedulers;

/** What generates when nobody says otherwise, whatever the checkpoint. */
export const defaultSchedulerName: SchedulerName = 'dpmpp_2m_karras';

export const schedulerNames = Object.keys(schedulers) as readonly SchedulerName[];

/** The name in its one spelling: `-` may stand for `_`, and case does not matter. @throws InvalidOptionError listing the names. */
export function schedulerName(typed: string): SchedulerName {
  const wanted = typed.toLowerCase().replaceAll('-', '_');
  const name = schedulerNames.find((one) => one === wanted);
  if (name === undefined)
    throw new InvalidOptionError(
      'scheduler',
      `There is no scheduler "${typed}". There are ${schedulerNames.map((one) => one.replaceAll('_', '-')).join(', ')}.`,
    );
  return name;
}

/**
 * The sampler `name` with `steps` steps for `pictures` at a time, on the noise schedule of a checkpoint's
 * scheduler_config.json.
 * @throws InvalidOptionError for a name or number of steps that does not exist, UnsupportedConfigError for a
 *   config that asks for what is not implemented.
 */
export function createScheduler(
  name: string,
  config: SchedulerConfig,
  steps: number,
  pictures?: number,
): Scheduler {
  const { create, overrides, className } = schedulers[schedulerName(name)];
  return create({ ...config, ...overrides, _class_name: className }, steps, pictures);
}

/**
 * The sampler that a config itself names by diffusers' `_class_name`, exactly as configured.
 * @throws UnsupportedConfigError for a class or value that is not implemented.
 */
export function schedulerFromConfig(config: SchedulerConfig, steps: number, pictures?: number): Scheduler {
  const className = config['_class_name'];
  const found = Object.values(schedulers).find((scheduler) => scheduler.className === className);
  if (!found) {
    const classes = new Set(Object.values(schedulers).map((scheduler) => scheduler.className));
    throw new UnsupportedConfigError('scheduler', '_class_name', className, [...classes]);
  }
  return found.create(config, steps, pictures);
}
