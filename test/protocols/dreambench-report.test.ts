/** Where the published row stands beside ours, and where the report says why not. */
import { expect, test } from 'vitest';
import type { DreamBenchEvaluation } from '../../sdk/protocols/dreambench/dreambench-plus';
import { dreamBenchReport, incomparabilities } from '../../sdk/protocols/dreambench/dreambench-report';
import { judgeScores } from '../../sdk/protocols/dreambench/judge-scores';
import type { Answer } from '../../sdk/protocols/dreambench/judging';
import { markdownReport } from '../../sdk/reports/markdown';
import { effectiveSettings } from '../../sdk/training/presets';

/** All of it, every answer 3, as the published judge gave it. */
function whole(): DreamBenchEvaluation {
  const pictures = Array.from({ length: 1350 }, (_, i) => ({
    reference: `r${Math.floor(i / 9)}`,
    prompt: i % 9,
    caption: '',
    seed: 42,
    file: `${i}.png`,
  }));
  const answers = [0, 1, 2].flatMap((run) =>
    pictures.flatMap(({ reference: id, prompt }) =>
      (['CP', 'PF'] as const).map(
        (question): Answer => ({
          key: `${run}${question}${id}${prompt}`,
          reference: id,
          category: 'object',
          prompt,
          question,
          run,
          score: 3,
          why: null,
          said: 'Score: 3',
          model: 'gpt-4o-2024-05-13',
          tokens: { input: 1, output: 1 },
          tries: 1,
          cost: null,
        }),
      ),
    ),
  );
  return {
    about: {
      base: '/models/sd15',
      line: 'SD 1',
      vae: null,
      vaeHash: null,
      preset: 'dreambench-plus-sd15',
      settings: {},
      recipe: effectiveSettings('dreambench-plus-sd15', {}),
      references: 150,
      complete: true,
      drawing: { steps: 100, guidanceScale: 7.5 },
      drawn: { steps: 100, guidanceScale: 7.5, scheduler: 'ddim', width: 512, height: 512 },
      seed: 42,
      judge: { endpoint: 'https://api.openai.com/v1', model: 'gpt-4o-2024-05-13', temperature: 1, runs: 3 },
      versions: {},
    },
    gaps: [],
    pictures,
    answers,
    scores: judgeScores(answers),
    spent: null,
    stopped: null,
  };
}
const text = (evaluation: DreamBenchEvaluation) => markdownReport(dreamBenchReport(evaluation));

test('stands beside ours where judge, recipe and extent are those', () => {
  const evaluation = whole();
  expect(incomparabilities(evaluation)).toEqual([]);
  // What stands beside it is qualified where it stands.
  expect(text(evaluation)).toContain(
    '| published, by the judge instructed in other words: DreamBooth, Stable Diffusion 1.5 | 0.494 | 0.721 | 0.356 |',
  );
  expect(text(evaluation)).toMatch(/0\.356 \|\n\n[^\n]*instructions are this package's own words/);
  expect(text(evaluation)).toMatch(/instructed in other words: DreamBooth \| 0\.640 \|/);
  expect(text(evaluation)).toContain('| here | 0.750 ± 0.0000 | 0.750 ± 0.0000 | 0.563 |');
  // The two files in which it is published.
  for (const vaeHash of [
    '1b909373b28f2137098b0fd9dbc6f97f8410854f31f84ddc9fa04b077b0ace2c',
    '235745af8d86bf4a4c1b5b4f529868b37019a10f7c0b2e79ad0abca3a22bc6e1',
  ]) {
    const lora = { ...evaluation, about: { ...xl, vae: '/vae', vaeHash } };
    expect(incomparabilities(lora)).toEqual([]);
    expect(text(lora)).toContain('| 0.598 | 0.865 | 0.517 |');
  }
});

const about = whole().about;
const xl = { ...about, preset: 'dreambench-plus-sdxl-lora' as const, line: 'SDXL' };
const withJudge = (more: object) => ({ ...about, judge: { ...about.judge!, ...more } });
test.each<[string, Partial<DreamBenchEvaluation>, RegExp]>([
  [
    'another judge',
    { about: { ...about, judge: { ...about.judge!, model: 'gpt-4o' } } },
    /The judge is gpt-4o; published: gpt-4o-2024-05-13/,
  ],
  [
    'a judge that is another than it was asked for',
    { answers: whole().answers.map((answer) => ({ ...answer, model: 'llava' })) },
    /says that llava answered/,
  ],
  ['another recipe', { about: { ...about, preset: 'paper' } }, /by the preset paper/],
  ['other settings', { about: { ...about, settings: { steps: 9 } } }, /preset's: steps=9/],
  ['a picture less', { pictures: whole().pictures.slice(1) }, /1350 pictures have both scores/],
  ['an answer less', { answers: whole().answers.slice(1) }, /1349 pictures have both scores/],
  ['a run less', { answers: whole().answers.filter(({ run }) => run < 2) }, /0 pictures have both scores/],
  [
    'an endpoint that may call its model what it likes',
    { about: withJudge({ endpoint: 'http://127.0.0.1:8000/v1' }) },
    /by 127\.0\.0\.1:8000, which may call any model gpt-4o-2024-05-13; published: by OpenAI's/,
  ],
  ['another temperature', { about: withJudge({ temperature: 0 }) }, /at temperature 0; published: 1/],
  [
    'a single run',
    { about: withJudge({ runs: 1 }), answers: whole().answers.filter(({ run }) => run === 0) },
    /means of 1 run; published: of 3/,
  ],
  ['another line of bases', { about: { ...about, line: 'SDXL' } }, /is SDXL; published: Stable Diffusion 1/],
  ['a base of no line', { about: { ...about, line: null } }, /is of no line that is known/],
  ['another autoencoder', { about: { ...about, vae: '/vae' } }, /with the autoencoder \/vae/],
  [
    "XL's own autoencoder",
    { about: xl },
    /with the autoencoder of the base; published: with madebyollin\/sdxl-vae-fp16-fix/,
  ],
  [
    'an autoencoder of XL that is not known',
    { about: { ...xl, vae: '/vae', vaeHash: 'f00d' } },
    /with the autoencoder \/vae, whose file is not known as one of madebyollin\/sdxl-vae-fp16-fix; published: with that/,
  ],
  ['other references', { about: { ...about, complete: false } }, /References are missing/],
  [
    'a refusal',
    {
      answers: whole().answers.map((answer, i) =>
        i === 0 ? { ...answer, score: null, why: 'refusal' } : answer,
      ),
    },
    /1 of 8100 questions have no score/,
  ],
  ['no judge', { about: { ...about, judge: null } }, /Nobody has judged/],
])('does not with %s, and the report says so', (_, change, why) => {
  const evaluation = { ...whole(), ...change };
  expect(incomparabilities(evaluation).join('\n')).toMatch(why);
  expect(text(evaluation)).toMatch(why);
  expect(text(evaluation)).not.toMatch(/0\.494|0\.598/);
});
