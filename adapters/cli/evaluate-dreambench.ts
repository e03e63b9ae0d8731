import { resolve } from 'node:path';
import type { DreamBenchEvaluation, JudgePrice, JudgingEstimate } from 'dreambooth';
import { required, WrongUse } from './failures';
import { assignments, given } from './personalize';
import { type Session, type WorkOptions, withEngine } from './session';

export interface EvaluateDreamBenchOptions extends WorkOptions {
  readonly data?: string;
  readonly out?: string;
  readonly subjects?: number;
  readonly preset?: string;
  readonly set?: readonly string[];
  readonly judge?: string;
  readonly judgeModel?: string;
  readonly runs?: number;
  readonly maxCost?: number;
  readonly maxCalls?: number;
  readonly price?: string;
  readonly callsPerMinute?: number;
}

/** DreamBench++ on its own data, from a folder of the user's; with a judge where one is named. */
export async function evaluateDreamBenchCommand(
  session: Session,
  options: EvaluateDreamBenchOptions,
): Promise<void> {
  const { output } = session;
  const data = resolve(required(options.data, '--data', 'name the folder of DreamBench++'));
  const base = required(options.base, '--base', 'name the model that learns');
  const folder = resolve(options.out ?? 'evaluation-dreambench-plus');
  const { judge: endpoint, judgeModel: model, callsPerMinute } = options;
  const idle = endpoint === undefined && model === undefined ? judgingOption(options) : undefined;
  if (idle !== undefined)
    throw new WrongUse(
      `${idle} is of judging, and no judge is named: add --judge-model gpt-4o-2024-05-13, or --judge URL`,
    );
  const price = options.price === undefined ? undefined : priceOf(options.price);
  output.started(null);
  const { evaluation, files } = await withEngine(session, options, async (engine, run, sdk) => {
    // A wrong key or address is told before hours of drawing.
    const judge =
      endpoint === undefined && model === undefined
        ? undefined
        : await sdk.openJudge({
            ...given({ endpoint, model, callsPerMinute }),
            onBusy: seldom((status) =>
              output.say(
                status === null
                  ? 'The judge has not answered for 20 s: waiting …'
                  : `The judge answers ${status}: asking again …`,
              ),
            ),
          });
    const request = {
      data,
      folder,
      base,
      settings: sdk.checkSettings({
        ...assignments(options.set ?? []),
        ...given({ preset: options.preset }),
      }),
      ...given({
        vae: options.vae,
        subjects: options.subjects,
        judge,
        runs: options.runs,
        price,
        maxCost: options.maxCost,
        maxCalls: options.maxCalls,
      }),
    };
    let told = '';
    const onEstimate = (estimate: JudgingEstimate) => {
      const line = estimateLine(estimate);
      if (line !== told) output.say(line);
      told = line;
    };
    const onAnswer = (done: number, of: number) => {
      if (done % 100 === 0 || done === of) output.say(`Judged ${done}/${of}`);
    };
    const done = await sdk.evaluateDreamBench(engine, request, { onEstimate, onAnswer }, run);
    return { evaluation: done, ...(await sdk.reportDreamBench(done, folder)) };
  });
  const { gaps, pictures, scores, stopped } = evaluation;
  for (const gap of [...gaps, ...(stopped === null ? [] : [`Judging ended early: ${stopped}`])])
    output.warning(gap);
  const shown = (value: number | null) => value?.toFixed(3) ?? 'not measured';
  output.done({ files, gaps, stopped, scores }, [
    `${pictures.length} pictures of ${evaluation.about.references} of 150 references, ${gaps.length} gaps.`,
    `CP ${shown(scores.CP.mean)}  PF ${shown(scores.PF.mean)}  CP·PF ${shown(scores.product)}`,
    ...noScoreLines(evaluation),
    `Look at ${files[0]}`,
  ]);
}

/** Half a minute apart at least. */
function seldom(tell: (status: number | null) => void): (status: number | null) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (status) => {
    if (performance.now() - last < 30_000) return;
    last = performance.now();
    tell(status);
  };
}

/** What has no score is part of no figure. Exported for its test. */
export function noScoreLines({ answers, scores: { noScore } }: DreamBenchEvaluation): string[] {
  const { refusal, prose, 'time-out': late } = noScore;
  const said = refusal + prose;
  if (said + late === 0) return [];
  const why = `refused ${refusal}, no one score in the answer ${prose}, no answer in time ${late}`;
  return [
    `${said + late} of ${answers.length} questions have no score: ${why}.`,
    ...(late === 0 ? [] : [`The same command asks the ${late} that were not answered in time again.`]),
    ...(said === 0
      ? []
      : [
          `${said} are not asked again: for that delete their lines in answers.jsonl, with which what they cost is forgotten, by --max-cost, too.`,
        ]),
  ];
}

/** The first that says something of judging. */
const judgingOption = (options: EvaluateDreamBenchOptions): string | undefined => {
  const { runs, price, maxCost, maxCalls, callsPerMinute } = options;
  const all = { runs, price, 'max-cost': maxCost, 'max-calls': maxCalls, 'calls-per-minute': callsPerMinute };
  const found = Object.entries(all).find(([, value]) => value !== undefined);
  return found && `--${found[0]}`;
};

const millions = (tokens: number) => `${(tokens / 1e6).toFixed(2)} M`;

function estimateLine({ calls, answered, tokens, cost, spent }: JudgingEstimate): string {
  const price = cost === null ? 'at a price that is not known here' : `about $${cost.toFixed(2)}`;
  const before =
    answered === 0 ? '' : ` ${answered} are answered${spent ? `, for $${spent.toFixed(2)}` : ''}.`;
  return `Judging takes ${calls} calls: ${millions(tokens.input)} tokens in and ${millions(tokens.output)} out, ${price}.${before} A question whose answer has no score is put three times at most.`;
}

/** "5/15". */
function priceOf(text: string): JudgePrice {
  const [, input, output] = /^(\d*\.?\d+)\/(\d*\.?\d+)$/.exec(text) ?? [];
  if (input === undefined || output === undefined)
    throw new WrongUse(`--price ${text}: write USD for a million tokens in and out, as --price 5/15`);
  return { input: Number(input), output: Number(output) };
}
