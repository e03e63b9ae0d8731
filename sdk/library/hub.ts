/** The one place that goes to the network: what a hub says of a model, and its files from any byte on. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  DreamBoothError,
  HubAccessError,
  HubUnreachableError,
  StoppedError,
  UnknownModelError,
} from '../errors';
import { type Environment, huggingFaceFolder } from './hub-cache';
import { type HubId, writeHubId } from './hub-id';

export interface HubModel {
  /** What the revision stands for: 40 hexadecimal digits. */
  readonly commit: string;
  /** As its page names it, with where it is written down if the page says so; null when it names none. */
  readonly licence: string | null;
  /** Its page. */
  readonly page: string;
}

export interface HubFile {
  readonly path: string;
  readonly bytes: number;
  /** sha256 of the bytes; of small files git's sha1, which counts a header in. Names the bytes in the cache, too. */
  readonly hash: { readonly kind: 'sha256' | 'git-sha1'; readonly digits: string };
}

export interface Hub {
  model(id: HubId): Promise<HubModel>;
  /** All files of a commit. */
  files(id: HubId, commit: string): Promise<HubFile[]>;
  /** A file's bytes from `start` on; `from` is 0 where the hub sends it whole all the same. */
  read(
    id: HubId,
    commit: string,
    path: string,
    start: number,
  ): Promise<{ readonly from: number; readonly body: AsyncIterable<Uint8Array> }>;
  close(): Promise<void>;
}

/** How often something is tried in all, when the hub is busy or a connection breaks. */
export const attempts = 5;
/** A connection that is silent for so long is taken for broken, ms. */
const silence = 30_000;
const busy = [408, 429, 500, 502, 503, 504];
const longestWait = 60_000;

/** Waits before the try after the `failures`th that failed: half a second, doubled each time; ends with the signal. */
export async function pause(failures: number, signal: AbortSignal | undefined, told?: number): Promise<void> {
  const length = Math.min(told ?? 250 * 2 ** failures, longestWait);
  try {
    await setTimeout(length, undefined, signal ? { signal } : {});
  } catch (cause) {
    throw new StoppedError(null, { cause });
  }
}

/**
 * Opens the hub at `HF_ENDPOINT`, else the library's own, with the user's token if there is one, through the proxy that
 * `HTTPS_PROXY` and the like name. The library is loaded here, since nothing else needs it.
 */
export async function openHub(
  signal: AbortSignal | undefined,
  environment: Environment = process.env,
): Promise<Hub> {
  if (/^(1|on|true|yes)$/i.test(environment['HF_HUB_OFFLINE'] ?? ''))
    throw new HubUnreachableError('HF_HUB_OFFLINE is set: unset it to fetch a model.');
  const [library, { EnvHttpProxyAgent, fetch }] = await Promise.all([
    import('@huggingface/hub'),
    import('undici'),
  ]);
  const hubUrl = (environment['HF_ENDPOINT'] || library.HUB_URL).replace(/\/+$/, '');
  const token = hubToken(environment);
  const dispatcher = new EnvHttpProxyAgent({ bodyTimeout: silence, headersTimeout: silence });

  /** One request, again while the hub is busy or out of reach. Throws HubUnreachableError, or what `refusal` makes. */
  const ask = async (id: HubId, url: string, headers: Readonly<Record<string, string>> = {}) => {
    for (let failures = 1; ; failures++) {
      try {
        const response = await fetch(url, {
          dispatcher,
          ...(signal ? { signal } : {}),
          // The token goes to the hub; a redirect to where the bytes lie loses it.
          headers: { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
        });
        if (response.ok) return response;
        if (!busy.includes(response.status) || failures === attempts)
          throw refusal(id, response, { hubUrl, hasToken: token !== undefined });
        await response.body?.cancel();
        await pause(failures, signal, retryAfter(response.headers.get('retry-after')));
      } catch (cause) {
        if (cause instanceof DreamBoothError) throw cause;
        if (signal?.aborted) throw new StoppedError(null, { cause });
        if (failures === attempts || nobodyThere(cause)) throw unreachable(hubUrl, cause);
        await pause(failures, signal);
      }
    }
  };
  /** What the library asks, asked in this way. */
  const asking = (id: HubId) => ({
    hubUrl,
    fetch: ((url: string, init?: { headers?: Record<string, string> }) =>
      ask(id, url, init?.headers)) as unknown as typeof globalThis.fetch,
  });

  return {
    model: (id) =>
      understood(hubUrl, async () => {
        const { sha, cardData, tags } = await library.modelInfo({
          ...asking(id),
          name: id.repository,
          revision: id.revision,
          additionalFields: ['sha', 'cardData', 'tags'],
        });
        if (!/^[0-9a-f]{40}$/.test(sha)) throw new Error(`"${sha}" is no commit`);
        return { commit: sha, licence: licence(cardData, tags), page: `${hubUrl}/${id.repository}` };
      }),
    files: (id, commit) =>
      understood(hubUrl, async () => {
        const files: HubFile[] = [];
        const repo = { type: 'model', name: id.repository } as const;
        for await (const entry of library.listFiles({
          ...asking(id),
          repo,
          recursive: true,
          revision: commit,
        })) {
          if (entry.type !== 'file') continue;
          const { path, size: bytes, lfs, oid } = entry;
          const hash = lfs
            ? { kind: 'sha256' as const, digits: lfs.oid }
            : { kind: 'git-sha1' as const, digits: oid! };
          const sound = /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash.digits) && Number.isSafeInteger(bytes);
          if (!sound || !isPlainPath(path))
            throw new Error(`its file ${path} has no size, hash or name to use`);
          files.push({ path, bytes, hash });
        }
        return files;
      }),
    async read(id, commit, path, start) {
      const url = `${hubUrl}/${id.repository}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
      // Bytes as they are: a compressed answer has no place to go on from.
      const plain = { 'accept-encoding': 'identity' };
      const response = await ask(id, url, start === 0 ? plain : { ...plain, range: `bytes=${start}-` });
      return { from: response.status === 206 ? start : 0, body: response.body ?? emptyBody() };
    },
    close: () => dispatcher.destroy(),
  };
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}

/** Within the repository's folder on any system. */
const isPlainPath = (path: string): boolean =>
  path.split('/').every((name) => name !== '' && name !== '.' && name !== '..' && !/[\\:\0]/.test(name));

/** A proxy's page in place of an answer, or a hub of another kind. */
async function understood<Result>(hubUrl: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof DreamBoothError) throw cause;
    throw new HubUnreachableError(
      `What answers at ${hubUrl} cannot be understood (${(cause as Error).message}): is it the hub, or a proxy's own page?`,
      { cause },
    );
  }
}

/** From `HF_TOKEN` or the file that `huggingface-cli login` writes. */
function hubToken(environment: Environment): string | undefined {
  const given = environment['HF_TOKEN'] || environment['HUGGING_FACE_HUB_TOKEN'];
  if (given) return given.trim();
  try {
    const file = environment['HF_TOKEN_PATH'] || join(huggingFaceFolder(environment), 'token');
    return readFileSync(file, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

/** `other` stands for a licence of the model's own, whose name and place are told beside. */
function licence(card: unknown, tags: readonly string[] = []): string | null {
  const { license, license_name, license_link } = (card ?? {}) as Readonly<Record<string, unknown>>;
  const tag = tags.find((one) => one.startsWith('license:'))?.slice('license:'.length);
  const named = license === 'other' && typeof license_name === 'string' ? license_name : (license ?? tag);
  if (named === undefined || named === null) return null;
  const name = Array.isArray(named) ? named.join(', ') : String(named);
  return typeof license_link === 'string' ? `${name} (${license_link})` : name;
}

interface Answer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
}

function refusal(
  id: HubId,
  { status, headers }: Answer,
  { hubUrl, hasToken }: { readonly hubUrl: string; readonly hasToken: boolean },
): DreamBoothError {
  const reason = headers.get('x-error-code');
  const page = `${hubUrl}/${id.repository}`;
  const token = hasToken
    ? 'The token that was sent has no access to it'
    : 'Set HF_TOKEN to a token of yours that may read it';
  if (reason === 'GatedRepo' || (status === 403 && reason === null)) {
    return new HubAccessError(
      `${id.repository} is given only to those who accept its terms: accept them at ${page}, signed in. ${token}.`,
    );
  }
  if (reason === 'RevisionNotFound')
    return new UnknownModelError(
      writeHubId(id),
      `${page} has no revision "${id.revision}": see its branches and tags there.`,
    );
  if (status === 401 && hasToken && reason !== 'RepoNotFound')
    return new HubAccessError(
      `${hubUrl} does not accept the token that was sent: renew HF_TOKEN, or unset it.`,
    );
  if (status === 401 || status === 404) {
    return new UnknownModelError(
      writeHubId(id),
      `There is no public model ${id.repository} at ${hubUrl}: check its spelling. If it is private: ${token.charAt(0).toLowerCase()}${token.slice(1)}.`,
    );
  }
  return new HubUnreachableError(
    `${hubUrl} answered with ${status}${status === 429 ? ' (too many requests)' : ''}: repeat the command later. What has been fetched is kept.`,
  );
}

function unreachable(hubUrl: string, cause: unknown): HubUnreachableError {
  const proxies = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].filter(
    (name) => process.env[name],
  );
  return new HubUnreachableError(
    `${hubUrl} cannot be reached (${innermost(cause)}): check the network${proxies.length > 0 ? ` and the proxy in ${proxies[0]}` : ', or set HTTPS_PROXY where one is needed'}; HF_ENDPOINT names another hub. What has been fetched is kept.`,
    { cause },
  );
}

/** fetch says "fetch failed", and why in its cause. */
export function innermost(error: unknown): string {
  const { cause, code, message } = error as { cause?: unknown; code?: unknown; message?: string };
  if (cause !== undefined && cause !== null) return innermost(cause);
  return String(message || code || error);
}

/** No name, nobody listening: nothing that passes within seconds. */
function nobodyThere(error: unknown): boolean {
  const { cause, code } = error as { cause?: unknown; code?: unknown };
  if (['ENOTFOUND', 'ECONNREFUSED', 'ENETUNREACH', 'ERR_INVALID_URL'].includes(String(code))) return true;
  return cause !== undefined && cause !== null && nobodyThere(cause);
}

function retryAfter(header: string | null): number | undefined {
  return header !== null && /^\d+$/.test(header) ? 1000 * Number(header) : undefined;
}
