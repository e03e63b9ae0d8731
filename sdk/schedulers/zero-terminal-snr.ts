/**
 * Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed": a noise schedule whose last timestep
 * is noise alone (§3.1, needs a model that predicts velocity, §3.2), sampled from that very timestep on (§3.3).
 */
import type { SchedulerName } from './index';
import type { SchedulerConfig } from './scheduler-config';

export const withZeroTerminalSnr = (config: SchedulerConfig): SchedulerConfig => ({
  ...config,
  rescale_betas_zero_snr: true,
  timestep_spacing: 'trailing',
});

/** Samplers whose diffusers class knows no such schedule; they draw by the checkpoint's own. */
export const withoutZeroTerminalSnr: readonly SchedulerName[] = ['heun', 'pndm'];
