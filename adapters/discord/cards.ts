/** What a job looks like in a channel: a line or two, pictures, and buttons that say which job they are for. */
import { fitPicture, type JobView, sayJob } from 'dreambooth';

export interface Card {
  readonly content: string;
  readonly components: readonly object[];
  readonly files: readonly { readonly name: string; readonly data: Buffer }[];
}

const longestText = 2000;
/** Of a whole message, whatever one file may have. */
const largestMessage = 24e6;

/** A button's action and the job it is for: all that there is to know after a restart. */
export const buttonId = (action: ButtonAction, job: string): string => `dreambooth:${action}:${job}`;
export type ButtonAction = 'again' | 'variations' | 'delete' | 'cancel' | 'resume';
export function readButtonId(id: string): { readonly action: ButtonAction; readonly job: string } | null {
  const [, action, job] = /^dreambooth:(again|variations|delete|cancel|resume):([a-z0-9_-]+)$/.exec(id) ?? [];
  return action === undefined || job === undefined ? null : { action: action as ButtonAction, job };
}

const styles = { plain: 2, danger: 4 } as const;
const button = (label: string, action: ButtonAction, job: string, style: keyof typeof styles = 'plain') => ({
  type: 2,
  style: styles[style],
  label,
  custom_id: buttonId(action, job),
});
const row = (...buttons: object[]) => [{ type: 1, components: buttons }];

/** `limit`: bytes that one file may have here; pictures that have more are sent smaller. */
export async function cardOf(view: JobView, limit: number): Promise<Card> {
  const { job, state, kind, pictures } = view;
  if (state === 'queued' || state === 'running')
    return {
      content: progressText(view),
      components: row(button('Cancel', 'cancel', job, 'danger')),
      files: [],
    };
  if (state !== 'done') {
    const again = kind === 'personalize' && (state === 'failed' || state === 'stopped');
    return {
      content: shortened(sayJob(view)),
      components: again ? row(button('Go on', 'resume', job)) : [],
      files: [],
    };
  }
  if (kind === 'personalize') return { content: learnedText(view), components: [], files: [] };
  const most = Math.min(limit, Math.floor(largestMessage / pictures.length));
  const files = await Promise.all(
    pictures.map(async ({ picture, path }) => {
      const { bytes, mimeType } = await fitPicture(path, { bytes: most });
      return { name: `${picture}.${mimeType === 'image/png' ? 'png' : 'jpg'}`, data: Buffer.from(bytes) };
    }),
  );
  const smaller = files.some(({ name }) => name.endsWith('.jpg')) ? ' · made smaller for this server' : '';
  const seeds = pictures.map(({ seed }) => seed).join(', ');
  return {
    content: shortened(`**${plain(view.prompt ?? '')}**\n-# drawn by a computer · seed ${seeds}${smaller}`),
    components: row(
      button('Again', 'again', job),
      button('Variations', 'variations', job),
      button('Delete', 'delete', job, 'danger'),
    ),
    files,
  };
}

function progressText({
  subject,
  kind,
  prompt,
  state,
  ahead,
  phase,
  step,
  steps,
  secondsLeft,
}: JobView): string {
  const what =
    kind === 'personalize' ? `Learning **@${subject}**` : `Drawing **${plain(prompt ?? '').slice(0, 200)}**`;
  if (state === 'queued') return `${what}: ${ahead === 0 ? 'begins in a moment' : `${ahead} before it`}`;
  if (phase === null || steps === null || step === null) return `${what}: begins`;
  const done = steps === 0 ? 0 : Math.round((12 * step) / steps);
  const left = secondsLeft === null ? '' : ` · ${inWords(secondsLeft)} left`;
  return `${what}: ${phase} ${step}/${steps}${left}\n\`${'█'.repeat(done)}${'░'.repeat(12 - done)}\``;
}

const learnedText = ({ subject, warnings }: JobView) =>
  shortened(
    [
      `**@${subject}** is learned. Draw it: \`/dreambooth imagine prompt:a photo of @${subject} in the snow\``,
      ...warnings.map((warning) => `-# ${plain(warning)}`),
    ].join('\n'),
  );

const inWords = (seconds: number) =>
  seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;

/** What people wrote, without what Discord would make of it. */
export const plain = (text: string): string => text.replace(/[*_~`|>\\#]/g, '\\$&').replace(/\s+/g, ' ');

export const shortened = (text: string): string =>
  text.length <= longestText ? text : `${text.slice(0, longestText - 1)}…`;
