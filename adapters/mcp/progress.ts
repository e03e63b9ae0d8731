import type { Caller, Host, JobView } from 'dreambooth';

/** Clients that hear nothing for longer give a call up. */
const longestSilence = 5_000;

/** Tells how far a job is while a call waits for it: when it moves, at most once a second, and at least every 5 s. */
export async function reportProgress(
  host: Host,
  caller: Caller,
  job: string,
  signal: AbortSignal,
  tell: (message: string, elapsed: number) => Promise<void>,
): Promise<void> {
  const begun = Date.now();
  let said = 0;
  let message = '';
  const send = async () => {
    said = Date.now();
    // Strictly more at each time, as the protocol wants it.
    await tell(message, Math.max(1, said - begun) / 1000).catch(() => {});
  };
  const timer = setInterval(() => Date.now() - said >= longestSilence && void send(), 1_000);
  try {
    for await (const view of host.watch(job, caller, signal)) {
      message = messageOf(view);
      if (Date.now() - said >= 1_000) await send();
    }
  } finally {
    clearInterval(timer);
  }
}

function messageOf({ state, ahead, phase, step, steps, secondsLeft }: JobView): string {
  if (state === 'queued') return ahead === 0 ? 'begins in a moment' : `waits, ${ahead} before it`;
  if (phase === null) return state;
  const left = secondsLeft === null ? '' : `, ${Math.ceil(secondsLeft)} s left`;
  return `${phase} ${step}/${steps}${left}`;
}
