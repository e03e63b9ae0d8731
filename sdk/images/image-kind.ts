export type ImageKind = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif' | 'heic';

/** What kind of picture a file is by its first 32 bytes, whatever its name says; null: none. */
export function imageKind(head: Uint8Array): ImageKind | null {
  const text = String.fromCharCode(...head.subarray(0, 32));
  if (text.startsWith('\xff\xd8\xff')) return 'jpeg';
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
  if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return 'webp';
  if (text.startsWith('GIF8')) return 'gif';
  if (text.startsWith('II*\0') || text.startsWith('MM\0*')) return 'tiff';
  if (text.slice(4, 8) !== 'ftyp') return null;
  return text.slice(8).includes('avif') || text.slice(8).includes('avis') ? 'avif' : 'heic';
}
