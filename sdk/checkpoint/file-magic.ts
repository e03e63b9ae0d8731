/** What a file is whose bytes are not what its name says, by how it begins. */
import { BrokenFileError, UnsupportedModelError } from '../errors';

/** As many bytes as `foreignFile` looks at. */
export const magicBytes = 64;

const pickleMend =
  'a Python pickle: reading it would run code from the file, so it is refused. Take the .safetensors files of the same model';

type Format = readonly [begin: RegExp, what: string, kind: 'broken' | 'unsupported'];

/** By how the text begins. */
const texts: readonly Format[] = [
  [
    /^version https:\/\/git-lfs/,
    'only a Git LFS pointer to the file: it was cloned without its contents. Fetch them there with: git lfs pull',
    'broken',
  ],
  [
    /^\s*<(!doctype|html|\?xml)/i,
    'a web page, perhaps of a sign-in or an error: fetch the file again, signed in',
    'broken',
  ],
  [/^\s*\{\s*"/, 'a JSON text: give the file of the weights', 'broken'],
];

/** By how the bytes begin, in hexadecimal; so many that none is also the length that a safetensors file begins with. */
const binaries: readonly Format[] = [
  [/^47475546/, 'a GGUF file, for other programs: take the .safetensors of the same model', 'unsupported'],
  [/^504b0304(?!00000000)/, `a zip archive, as PyTorch writes, and in it ${pickleMend}`, 'unsupported'],
  [/^80028a0a/, pickleMend, 'unsupported'],
  [/^894844460d0a/, 'an HDF5 file: take the .safetensors of the same model', 'unsupported'],
  [/^(89504e47|ffd8ff|47494638|52494646.{8}57454250)/, 'a picture: give the file of the weights', 'broken'],
  [/^1f8b08[0-9a-f]{2}(?!000000)/, 'a gzip archive: unpack it first', 'unsupported'],
];

/** The error that names the format of the file at `path`, of which `head` is the beginning; undefined for none known. */
export function foreignFile(path: string, head: Uint8Array): Error | undefined {
  const bytes = Buffer.from(head);
  const begins = (how: BufferEncoding) => {
    const text = bytes.toString(how);
    return ([begin]: Format) => begin.test(text);
  };
  const [, what, kind] = texts.find(begins('latin1')) ?? binaries.find(begins('hex')) ?? [];
  if (what === undefined) return undefined;
  const message = `${path} is not a .safetensors file but ${what}.`;
  return kind === 'broken' ? new BrokenFileError(path, message) : new UnsupportedModelError(message);
}
