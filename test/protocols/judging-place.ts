/** Two pictures and a server that judges them, anew for every test of a file. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { Judge } from '../../sdk/protocols/dreambench/judge';
import {
  type JudgedPicture,
  type JudgingEstimate,
  type JudgingLimits,
  judgeAll,
} from '../../sdk/protocols/dreambench/judging';
import { type OpenAIJudgeOptions, openJudge } from '../../sdk/protocols/dreambench/openai-judge';
import { type FakeOpenAI, startFakeOpenAI } from './fake-openai';
import { paint } from './protocol-engine';

export interface JudgingPlace {
  folder: string;
  server: FakeOpenAI;
  /** An animal and a style. */
  pictures: JudgedPicture[];
}

interface Asking extends JudgingLimits {
  readonly runs?: number;
  readonly onEstimate?: (estimate: JudgingEstimate) => void;
  readonly signal?: AbortSignal;
}

export const key = 'sk-very-secret-0123456789';

export function placeForJudging(): JudgingPlace {
  const place = {} as JudgingPlace;
  beforeEach(async () => {
    place.folder = mkdtempSync(join(tmpdir(), 'judge-'));
    place.server = await startFakeOpenAI();
    place.pictures = [];
    for (const [i, category] of (['animal', 'style'] as const).entries()) {
      const reference = join(place.folder, `reference-${i}.jpg`);
      const picture = join(place.folder, `picture-${i}.png`);
      await paint(reference, [10 * i, 0, 200]);
      await paint(picture, [10 * i, 200, 0]);
      place.pictures.push({
        reference: { id: `r${i}`, category, number: '00', picture: reference, subject: 'dog', captions: [] },
        prompt: 0,
        caption: `a dog on the beach ${i}`,
        picture,
      });
    }
  });
  afterEach(async () => {
    await place.server.close();
    rmSync(place.folder, { recursive: true });
  });
  return place;
}

/** What a test does there. */
export const judgingIn = (place: JudgingPlace) => ({
  judge: (more: OpenAIJudgeOptions = {}) =>
    openJudge({ endpoint: place.server.url, key, retries: 1, ...more }),
  ask: (by: Judge, { runs = 1, onEstimate, signal, ...limits }: Asking = {}) =>
    judgeAll(
      by,
      place.folder,
      place.pictures,
      runs,
      { concurrency: 1, ...limits },
      { ...(onEstimate && { onEstimate }) },
      signal,
    ),
  rows: () =>
    readFileSync(join(place.folder, 'answers.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
});
