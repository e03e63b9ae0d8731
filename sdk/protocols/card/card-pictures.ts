/** What is drawn to judge a subject by: by itself and by its base, in the same scenes; what is there is not drawn again. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { makeFolders } from '../../checkpoint/write-failure';
import type { Engine } from '../../jobs/engine';
import type { GenerateRequest } from '../../jobs/generation';
import type { RunOptions } from '../../jobs/run-options';
import { fillPrompt } from '../../subjects/prompt';
import { snapshotFolder, snapshotSteps, snapshotsFolder } from '../../subjects/snapshots';
import type { Subject } from '../../subjects/subjects';
import { weightFilesOf } from '../../subjects/weight-files';
import { drawMissingFiles, type WantedPictures } from '../draw-missing';

export interface CardPicture {
  readonly file: string;
  readonly seed: number;
}

export interface CardScene {
  /** With `@name` in it. */
  readonly prompt: string;
  /** As the text encoder reads it. */
  readonly text: string;
  /** With the class in the subject's place: what an encoder that does not know it is asked. */
  readonly classText: string;
  readonly pictures: readonly CardPicture[];
  /** By the base, of the class. */
  readonly base: readonly CardPicture[];
}

export interface CardPictures {
  readonly scenes: readonly CardScene[];
  /** Of the bare class, by the subject's weights and by the base; none of an embedding, which changes nothing of it. */
  readonly class: readonly CardPicture[];
  readonly baseClass: readonly CardPicture[];
  /** By steps, first to last: of the first scenes one picture each. The last are the subject's own weights. */
  readonly course: readonly { readonly steps: number; readonly pictures: readonly CardPicture[] }[];
}

/** Of the bare class: enough for a mean, and few beside the scenes on a large base. */
const classCount = 8;
/** Scenes in which the weights of earlier steps are drawn. */
export const courseScenes = 4;
/** Pictures of a scene have seeds of their own, and keep them when more are drawn. */
const sceneSeed = (scene: number) => 1000 * (scene + 1);
const classSeed = 500;

/** Rejects with what `generate` of the engine does; pictures that were drawn stay. */
export async function drawCard(
  engine: Engine,
  subject: Subject,
  { folder, pictures, prompts }: { folder: string; pictures: number; prompts: readonly string[] },
  run: RunOptions,
): Promise<CardPictures> {
  const { name, className, base, kind, settings } = subject;
  const classPrompt = String(settings['classPrompt'] ?? `a photo of ${className}`);
  const onBase = { base: base.path, ...(base.vae === undefined ? {} : { vae: base.vae }) };
  // Pictures of other weights, or drawn in another way, are others and lie elsewhere.
  const look = ['drawSteps', 'drawGuidanceScale', 'drawScheduler', 'clipSkip', 'zeroTerminalSnr'];
  const drawn = [base, prompts, className, classPrompt, look.map((setting) => settings[setting] ?? null)];
  const place = (what: string, of: unknown) => {
    const hash = createHash('sha256').update(JSON.stringify([drawn, of]));
    return join(folder, 'pictures', `${what}-${hash.digest('hex').slice(0, 8)}`);
  };
  const weights = subject.files.filter(({ file }) => !file.startsWith(`${snapshotsFolder}/`));
  const own = place(name, [weights, subject.identifier]);
  const bases = place('base', null);
  const usual: Partial<GenerateRequest> = usualOf(settings);
  const wanted: WantedPictures[] = [];
  /** `NAME-1.png` and so on, of one seed after the other. */
  const draw = (
    request: GenerateRequest,
    at: { folder: string; name: string; seed: number; count: number },
  ): CardPicture[] => {
    makeFolders(at.folder);
    const these = Array.from({ length: at.count }, (_, i) => ({
      file: join(at.folder, `${at.name}-${i + 1}.png`),
      seed: at.seed + i,
    }));
    wanted.push({ request, pictures: these });
    return these;
  };

  const scenes: CardScene[] = [];
  for (const [i, template] of prompts.entries()) {
    const prompt = template.replaceAll('{subject}', `@${name}`);
    const classText = template.replaceAll('{subject}', className);
    const at = { seed: sceneSeed(i), name: `scene-${i + 1}` };
    scenes.push({
      prompt,
      text: fillPrompt(template, subject),
      classText,
      pictures: draw({ prompt }, { ...at, folder: own, count: pictures }),
      base: draw({ prompt: classText, ...usual, ...onBase }, { ...at, folder: bases, count: 1 }),
    });
  }
  const bare = { seed: classSeed, name: 'class', count: classCount };
  const ofClass =
    kind === 'embedding'
      ? []
      : draw({ prompt: classPrompt, learned: { name }, ...onBase }, { ...bare, folder: own });
  const baseClass = draw({ prompt: classPrompt, ...usual, ...onBase }, { ...bare, folder: bases });

  const course: CardPictures['course'][number][] = [];
  for (const step of snapshotSteps(subject.folder).filter((one) => one !== subject.steps)) {
    const kept = weightFilesOf(snapshotFolder(subject, step));
    const then = place(`${name}-${step}`, [kept, subject.identifier]);
    const drawnThen = prompts.slice(0, courseScenes).flatMap((template, i) => {
      const prompt = template.replaceAll('{subject}', `@${name}`);
      const at = { seed: sceneSeed(i), name: `scene-${i + 1}`, count: 1 };
      return draw({ prompt, learned: { name, step } }, { ...at, folder: then });
    });
    course.push({ steps: step, pictures: drawnThen });
  }
  if (course.length > 0) {
    const last = scenes.slice(0, courseScenes).map((scene) => scene.pictures[0]!);
    course.push({ steps: subject.steps, pictures: last });
    course.sort((a, b) => a.steps - b.steps);
  }
  await drawMissingFiles(engine, wanted, run);
  return { scenes, class: ofClass, baseClass, course };
}

/** As the subject is drawn, so that the base is not judged by another sampler. */
const usualOf = (settings: Subject['settings']): Partial<GenerateRequest> => {
  const { drawSteps, drawGuidanceScale, drawScheduler, clipSkip } = settings;
  return {
    ...(typeof drawSteps === 'number' && { steps: drawSteps }),
    ...(typeof drawGuidanceScale === 'number' && { guidanceScale: drawGuidanceScale }),
    ...(typeof drawScheduler === 'string' && { scheduler: drawScheduler }),
    ...(typeof clipSkip === 'number' && { clipSkip }),
  };
};
