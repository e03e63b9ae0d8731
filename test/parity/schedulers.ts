/** Samplers' trajectories over a formula in place of the network, and the noise of training. */
import { schedulerFromConfig } from '../../sdk/schedulers/index';
import { createNoiseSchedule } from '../../sdk/schedulers/noise-schedule';
import type { SchedulerConfig } from '../../sdk/schedulers/scheduler-config';
import { replay, trajectory } from '../schedulers/reference-run';
import type { Reference } from './reference';
import {
  absent,
  compare,
  type Finding,
  type Findings,
  guarded,
  judge,
  tolerances,
  unsupported,
} from './report';

type Configs = Readonly<Record<string, SchedulerConfig>>;

/** What the reference used as the network; a file with another formula cannot be compared. */
const formula = 'tanh(x)*0.7 + 0.1*sin(timestep/100)*x, x being the scaled model input';

export async function* checkSchedulers(reference: Reference): AsyncGenerator<Finding> {
  const configs = (reference.metadata('configs') ?? {}) as Configs;
  const sensitivity = (reference.metadata('sensitivity') ?? {}) as Readonly<Record<string, number>>;
  const model = reference.metadata('model');
  for (const [key, config] of Object.entries(configs)) {
    if (model !== formula) yield unsupported(key, `the model is ${JSON.stringify(model)}, not ${formula}`);
    else yield* guarded(key, () => checkTrajectory(reference, key, config, sensitivity[key] ?? 0));
  }
  const schedules = (reference.metadata('schedules') ?? {}) as Configs;
  const first = reference.metadata('config') as SchedulerConfig | undefined;
  if (Object.keys(configs).length === 0) yield absent('trajectories');
  if (first) yield* guarded('noise schedule', () => checkSchedule(reference, '', first));
  else yield absent('noise schedule');
  for (const [name, config] of Object.entries(schedules)) {
    yield* guarded(`noise schedule ${name}`, () => checkSchedule(reference, `schedule.${name}/`, config));
  }
}

/** Timesteps, sigmas and every sample on the way, as one row: the largest difference of them all. */
function* checkTrajectory(
  reference: Reference,
  key: string,
  config: SchedulerConfig,
  sensitivity: number,
): Findings {
  const at = (name: string) => `${key}/${name}`;
  const steps = Number(key.split('/').at(-1));
  const wanted = ['timesteps', 'initial', 'trajectory'].filter((name) => !reference.has(at(name)));
  if (wanted.length > 0) {
    yield absent(key, `no ${wanted.join(', ')}`);
    return;
  }
  const scheduler = schedulerFromConfig(config, steps, reference.shape(at('initial'))[0]);
  const noise = replay(reference.has(at('noise')) ? reference.numbers(at('noise')) : undefined);
  const tables: readonly (readonly [string, ArrayLike<number>])[] = [
    ['timesteps', scheduler.timesteps],
    ...(reference.has(at('sigmas')) ? [['sigmas', scheduler.sigmas ?? []] as const] : []),
  ];
  // A sampler that divides by nearly nothing grows rounding itself; the reference measured by how much.
  const tolerance = Math.max(tolerances.schedulers, 30 * sensitivity);
  const samples = compare(
    key,
    trajectory(scheduler, reference.numbers(at('initial')), noise),
    reference.numbers(at('trajectory')),
    tolerance,
  );
  const others = tables.map(([name, ours]) =>
    compare(`${key} ${name}`, ours, reference.numbers(at(name)), tolerances.schedulers),
  );
  yield others.find((row) => row.status === 'FAIL') ?? samples;
  if (noise.left() !== 0) yield judge(`${key} noise`, Infinity, 0, `${noise.left()} drawn numbers left over`);
}

function* checkSchedule(reference: Reference, prefix: string, config: SchedulerConfig): Findings {
  const schedule = createNoiseSchedule(config);
  const snr = () => Array.from({ length: schedule.numTrainTimesteps }, (_, t) => schedule.snr(t));
  const tables = { alphas_cumprod: () => schedule.alphasCumprod, snr };
  for (const [name, ours] of Object.entries(tables)) {
    const key = prefix + name;
    if (reference.has(key)) yield compare(key, ours(), reference.numbers(key), tolerances.schedulers);
    else yield absent(key);
  }
  const at = (name: string) => `${prefix}add_noise/${name}`;
  if (!reference.has(at('timesteps'))) {
    yield absent(at('noisy'));
    return;
  }
  const timesteps = reference.numbers(at('timesteps'));
  const row = (name: string, i: number) => {
    const values = reference.numbers(at(name));
    const size = values.length / timesteps.length;
    return values.subarray(i * size, (i + 1) * size);
  };
  const made = { noisy: schedule.addNoise, velocity: schedule.velocity };
  for (const [name, make] of Object.entries(made)) {
    if (!reference.has(at(name))) {
      yield absent(at(name));
      continue;
    }
    const ours = [...timesteps].flatMap((timestep, i) => [
      ...make(row('sample', i), row('noise', i), timestep),
    ]);
    yield compare(at(name), ours, reference.numbers(at(name)), tolerances.schedulers);
  }
}
