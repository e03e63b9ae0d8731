/** Files that people send, fetched from Discord's own hosts alone, into the host's inbox. */
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DreamBoothError } from 'dreambooth';

/** What an interaction says of a file; size and kind are the sender's word. */
export interface SentFile {
  readonly name: string;
  readonly url: string;
  readonly size: number;
  readonly contentType: string | null;
}

const discordsOwn = ['https://cdn.discordapp.com', 'https://media.discordapp.net'];
const largestFile = 30e6;
const patience = 30_000;

/**
 * Fetches files one after another; returns their paths. `origins` beside Discord's own are for tests. Throws
 * DreamBoothError for a file from elsewhere, one that says it is no picture, or one of more than 30 MB, whatever it
 * says; what was fetched before is removed. What a file is by its bytes the operation looks at.
 */
export async function fetchAttachments(
  inbox: string,
  files: readonly SentFile[],
  origins: readonly string[] = [],
): Promise<string[]> {
  const paths: string[] = [];
  try {
    for (const file of files) {
      const bytes = await fetchFile(file, [...discordsOwn, ...origins]);
      const path = join(inbox, randomBytes(12).toString('hex'));
      writeFileSync(path, bytes, { mode: 0o600 });
      paths.push(path);
    }
    return paths;
  } catch (error) {
    for (const path of paths) rmSync(path, { force: true });
    throw error;
  }
}

async function fetchFile(
  { name, url, size, contentType }: SentFile,
  origins: readonly string[],
): Promise<Uint8Array> {
  const refused = (why: string) => new DreamBoothError('unreadable-image', `${name.slice(0, 80)} ${why}`);
  if (!URL.canParse(url) || !origins.includes(new URL(url).origin))
    throw refused('does not come from Discord: send it as an attachment.');
  if (contentType !== null && !contentType.startsWith('image/'))
    throw refused(`is ${contentType}, no picture: send a JPEG, PNG or WebP.`);
  const tooLarge = () =>
    refused(`has more than ${largestFile / 1e6} MB: make it smaller; 2048 pixels a side are plenty.`);
  if (size > largestFile) throw tooLarge();
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(patience) }).catch(
    () => {
      throw refused('could not be fetched from Discord: send it again.');
    },
  );
  if (!response.ok || response.body === null)
    throw refused(`could not be fetched from Discord (${response.status}): send it again.`);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += part.length;
    if (bytes > largestFile) throw tooLarge();
    parts.push(part);
  }
  return Buffer.concat(parts);
}
