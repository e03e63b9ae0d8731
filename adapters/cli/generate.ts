import { existsSync, mkdtempSync, rmdirSync, statSync } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';
import type { GeneratedImage, GenerateRequest } from 'dreambooth';
import { WrongUse } from './failures';
import { given } from './personalize';
import { homeArgument, quoted, type Session, type WorkOptions, withEngine } from './session';

interface GenerateOptions extends WorkOptions {
  readonly count?: number;
  readonly seed?: number;
  readonly steps?: number;
  readonly guidance?: number;
  readonly negative?: string;
  readonly width?: number;
  readonly height?: number;
  readonly scheduler?: string;
  readonly guidanceRescale?: number;
  readonly image?: string;
  readonly mask?: string;
  readonly strength?: number;
  readonly batch?: number;
  readonly vaeTiling?: 'on' | 'off';
  readonly clipSkip?: number;
  readonly out?: string;
  readonly like?: string;
}

export async function generateCommand(
  session: Session,
  typed: string | undefined,
  options: GenerateOptions,
): Promise<void> {
  const like = options.like === undefined ? undefined : await readLike(session, options.like);
  const prompt = typed ?? like?.prompt;
  if (prompt === undefined)
    throw new WrongUse('There is no prompt: write one, as "a photo of @rex in the snow", or --like PICTURE');
  const { count, seed, base, steps, guidance, negative, width, height, scheduler, clipSkip, vaeTiling } =
    options;
  const { image, vae, mask, strength, guidanceRescale, batch } = options;
  if (like?.strength !== undefined && image === undefined) {
    throw new WrongUse(
      `--like ${options.like}: this picture was drawn from a photo, which it does not hold: name that with --image, and --mask if there was one`,
    );
  }
  const fileOf = outputNames(prompt, options.out, count ?? 1);
  const { output } = session;
  output.started(null);
  const files: string[] = [];
  const images = await withEngine(session, options, async (engine, run) => {
    const unsaved = new AbortController();
    let saving = Promise.resolve();
    let last: number | undefined;
    const save = async (image: GeneratedImage) => {
      const file = fileOf(image.seed);
      await image.save(file);
      files.push(file);
      last = image.seed;
      output.picture(file, image.seed);
    };
    const drawing = engine.generate(
      {
        ...like,
        prompt,
        ...given({ count, seed, base, steps, width, height, scheduler, clipSkip }),
        ...given({ guidanceScale: guidance, guidanceRescale, negativePrompt: negative }),
        ...given({ image, mask, strength, batch, vae }),
        ...(vaeTiling === undefined ? {} : { vaeTiling: vaeTiling === 'on' }),
      },
      {
        ...run,
        signal: AbortSignal.any([unsaved.signal, ...(run.signal ? [run.signal] : [])]),
        // What is made is kept, whatever becomes of the rest; where one cannot be written, none is drawn after it.
        onImage(image) {
          saving = saving.then(() => save(image));
          saving.catch(() => unsaved.abort());
        },
      },
    );
    try {
      // What could not be written says more than the stop that it led to.
      const [drawn, saved] = await Promise.allSettled([drawing, drawing.catch(() => {}).then(() => saving)]);
      if (saved.status === 'rejected') throw saved.reason;
      if (drawn.status === 'rejected') throw drawn.reason;
      return drawn.value;
    } catch (error) {
      if (last !== undefined && files.length < (count ?? 1))
        output.say(goOn(typed, options, last + 1, files.length, count ?? 1, fileOf));
      throw error;
    }
  });
  const pictures = images.map(({ seed: own, width: w, height: h, settings }, i) => ({
    file: files[i],
    seed: own,
    width: w,
    height: h,
    settings,
  }));
  output.done({ files, images: pictures }, []);
  const last = images.at(-1)!.seed;
  const again = Object.entries(given({ base, vae, image, mask }))
    .map(([name, value]) => ` --${name} ${quoted(String(value))}`)
    .join('');
  // With more options than these the picture itself says how it was made.
  const { seed: _seed, count: _count, out: _out, home: _home, json: _json, ...others } = options;
  const plain = Object.keys(others).every((name) => ['base', 'vae', 'memoryCheck'].includes(name));
  const same = plain ? quoted(prompt) : `--like ${quoted(files.at(-1)!)}`;
  output.say(
    `Next, four more: dreambooth generate ${same} -n 4 --seed ${last + 1}${again}${homeArgument(options)}`,
  );
}

/** How the rest is drawn, to the bit as it would have been. */
function goOn(
  typed: string | undefined,
  options: GenerateOptions,
  seed: number,
  done: number,
  count: number,
  fileOf: (seed: number) => string,
): string {
  const { count: _count, seed: _seed, json: _json, memoryCheck, out, ...others } = options;
  const rest = count - done;
  // One picture alone would have the name that was given, without its seed.
  const named =
    out !== undefined && rest === 1 && extname(fileOf(seed)) === extname(out) ? fileOf(seed) : out;
  const flags = Object.entries(given({ ...others, out: named })).map(
    ([name, value]) =>
      ` --${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} ${quoted(String(value))}`,
  );
  const prompt = typed === undefined ? '' : ` ${quoted(typed)}`;
  const check = memoryCheck === false ? ' --no-memory-check' : '';
  return `${done} of ${count} pictures are written. Go on with: dreambooth generate${prompt} --seed ${seed} -n ${rest}${flags.join('')}${check}`;
}

/** The request behind a picture. Throws WrongUse where it says nothing of how it was made. */
async function readLike({ loadSdk, output }: Session, path: string): Promise<GenerateRequest> {
  const sdk = await loadSdk();
  const made = sdk.readPicture(path);
  if (made === null) throw new WrongUse(`--like ${path}: this picture does not say how it was made`);
  if (made.source === 'parameters') {
    const loras = made.subjects.map(({ name }) => name).join(', ');
    if (loras !== '')
      output.warning(`It was drawn with the LoRA ${loras}: import it, and mention it as @name.`);
    const { Sampler } = made.further;
    if (Sampler !== undefined) output.warning(`There is no sampler ${Sampler} here: another is used.`);
  }
  return sdk.requestLike(made);
}

/**
 * Where the picture of a seed goes: the file that was named (with the seed before its ending where there are
 * several), or a file in the folder that was named, called after prompt and seed. Throws WrongUse.
 */
function outputNames(prompt: string, out: string | undefined, count: number): (seed: number) => string {
  const target = resolve(out ?? '.');
  const isFolder =
    out === undefined || /[\\/]$/.test(out) || (existsSync(target) && statSync(target).isDirectory());
  const extension = extname(target);
  refuseUnwritable(isFolder || extension === '' ? target : dirname(target), out);
  if (isFolder || extension === '') return (seed) => join(target, `${slug(prompt)}-${seed}.png`);
  if (extension.toLowerCase() !== '.png') {
    throw new WrongUse(
      `--out ${out}: pictures are written as PNG; name a file that ends in .png, or a folder`,
    );
  }
  if (count <= 1) return () => target;
  return (seed) => `${target.slice(0, -extension.length)}-${seed}${extension}`;
}

/** Found out before minutes of drawing: the nearest folder that is there must be one, and let us write. */
function refuseUnwritable(folder: string, out: string | undefined): void {
  let there = folder;
  while (!existsSync(there)) there = dirname(there);
  try {
    if (!statSync(there).isDirectory()) throw new Error('it is a file, not a folder');
    // Tried rather than asked: not every system's permissions tell the truth (of /proc, of a full disk).
    rmdirSync(mkdtempSync(join(there, '.dreambooth-')));
  } catch (cause) {
    throw new WrongUse(
      `--out ${out ?? '.'}: ${there} cannot be written to (${(cause as Error).message}); name another place`,
    );
  }
}

function slug(prompt: string): string {
  const words = prompt
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 48)
    .replace(/-+$/, '');
  return words === '' ? 'picture' : words;
}
