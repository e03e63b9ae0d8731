/** A model as its hub knows it. */
export interface HubId {
  /** `organisation/name`. */
  readonly repository: string;
  /** A branch, a tag or a commit; `main` where none was named. */
  readonly revision: string;
}

const part = '[A-Za-z0-9](?:[\\w.-]*\\w)?';
const pattern = new RegExp(`^(${part}/${part})(?:@(\\w[\\w./-]*))?$`);
const fileEndings = /\.(safetensors|ckpt|pt|bin|gguf)$/i;

/** Reads `organisation/name` or `organisation/name@revision`; undefined for what cannot be one, as a path with more parts. */
export function parseHubId(text: string): HubId | undefined {
  const [, repository, revision = 'main'] = pattern.exec(text) ?? [];
  if (repository === undefined || /--|\.\./.test(text) || fileEndings.test(text)) return undefined;
  return { repository, revision };
}

export const writeHubId = ({ repository, revision }: HubId): string =>
  revision === 'main' ? repository : `${repository}@${revision}`;
