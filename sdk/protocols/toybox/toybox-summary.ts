/** What the rows of the embedded world's evaluation say: means with their intervals, and the paper's directions. */
import { mean } from '../../evaluation/oracle-reading';
import { bootstrap, type Interval, type SignCounts, signCounts } from '../../evaluation/statistics';
import type { SubjectReport } from '../../evaluation/subject-report';
import type { ToySubject } from '../../toybox/toy-subject';
import { distinct, isSame, type ToyRow, toyControls, usualPhotos } from './toybox-evaluation';

export type Measure = keyof SubjectReport;

/** How rows of two arms compare, run by run of the same subject and seed. */
export interface Contrast {
  readonly measure: Measure;
  readonly from: Arm;
  /** Of `to − from`, resampled by subject. */
  readonly difference: Interval;
  /** Over subjects, by the means of their seeds. */
  readonly subjects: SignCounts;
}

export type Verdict = 'pass' | 'fail' | 'inconclusive' | 'not run';

/** One direction of the paper. */
export interface Finding {
  readonly name: string;
  /** What should be seen. */
  readonly claim: string;
  /** Where the paper says so. */
  readonly anchor: string;
  readonly verdict: Verdict;
  /** In figures, what was seen. */
  readonly seen: string;
}

type Arm = ToyRow['arm'];

/** The rows of an arm at the end of the recipe, on the usual photos. */
export const ofArm = (rows: readonly ToyRow[], arm: Arm): ToyRow[] =>
  rows.filter((row) => row.arm === arm && row.steps === null && row.photos === usualPhotos);

const subjectsOf = (rows: readonly { readonly toy: ToySubject }[]): ToySubject[] =>
  distinct(rows.map(({ toy }) => toy));

/** A measure by subject: what `bootstrap` takes. NaN, which says that nothing was asked, is left out. */
const bySubject = (rows: readonly ToyRow[], measure: Measure): number[][] =>
  subjectsOf(rows).map((toy) =>
    rows
      .filter((row) => isSame(row.toy, toy))
      .map(({ report }) => report[measure])
      .filter((value) => !Number.isNaN(value)),
  );

export const interval = (rows: readonly ToyRow[], measure: Measure): Interval =>
  bootstrap(bySubject(rows, measure));

/** `from` may be a control, which has one row a subject. */
export function contrast(rows: readonly ToyRow[], from: Arm, to: Arm, measure: Measure): Contrast {
  const before = ofArm(rows, from);
  const isControl = toyControls.some((control) => control === from);
  const pairs = ofArm(rows, to).flatMap((after) => {
    const same = before.filter((row) => isSame(row.toy, after.toy));
    const pair = isControl ? same[0] : same.find(({ seed }) => seed === after.seed);
    // NaN says that nothing was asked, so that there is nothing to compare.
    return pair === undefined || Number.isNaN(after.report[measure] - pair.report[measure])
      ? []
      : [{ toy: after.toy, from: pair.report[measure], to: after.report[measure] }];
  });
  const grouped = subjectsOf(pairs).map((toy) => pairs.filter((pair) => isSame(pair.toy, toy)));
  return {
    measure,
    from,
    difference: bootstrap(grouped.map((group) => group.map((pair) => pair.to - pair.from))),
    subjects: signCounts(
      grouped.map((group) => [mean(group.map((pair) => pair.from)), mean(group.map((pair) => pair.to))]),
    ),
  };
}

/** Rows of the steps' sweep, the end among them. */
export const courseOf = (rows: readonly ToyRow[], arm: Arm): ToyRow[] => {
  const swept = rows.filter((row) => row.arm === arm && row.steps !== null);
  const isSwept = ({ toy, seed }: ToyRow) => swept.some((row) => isSame(row.toy, toy) && row.seed === seed);
  return [...swept, ...ofArm(rows, arm).filter(isSwept)];
};

/** Rows of the photos' sweep, the usual number among them. */
export function photoCourse(rows: readonly ToyRow[]): ToyRow[] {
  const recipe = rows.filter((row) => row.arm === 'class-images' && row.steps === null && row.seed === 0);
  const swept = recipe.filter(({ photos }) => photos !== usualPhotos);
  return recipe.filter((row) => swept.some(({ toy }) => isSame(toy, row.toy)));
}

/** The acceptance table. Directions that were not run say so. */
export function findings(rows: readonly ToyRow[]): Finding[] {
  const against = (to: Arm, measure: Measure, from: Arm = 'class-images') =>
    contrast(rows, from, to, measure);
  return [
    learns(rows),
    {
      name: 'A2',
      claim: 'without prior preservation the class drifts: PRES, LEAK, PRIOR-FD up, its diversity down',
      anchor: 'table 3: PRES .664 against .493',
      ...mostSubjects(
        (['PRES', 'LEAK', 'PRIOR-FD'] as const).map((one) => ({ ...against('no-prior', one), wanted: 1 })),
        [{ ...against('no-prior', 'priorDIV'), wanted: -1 }],
      ),
    },
    {
      name: 'A3',
      claim: 'without prior preservation the pictures of a prompt differ less, or no more',
      anchor: 'table 3: DIV .371 against .391',
      ...mostSubjects([{ ...against('no-prior', 'DIV'), wanted: -1 }]),
    },
    {
      name: 'A4a',
      claim: 'called another class, the subject is learned worse',
      anchor: 'table 4: DINO .744 against .454',
      ...inTheMean([
        { ...against('wrong-noun', 'CP'), wanted: -1 },
        { ...against('wrong-noun', 'ungatedCP'), wanted: -1 },
      ]),
    },
    {
      name: 'A4b',
      claim: 'without a class noun the subject is learned worse',
      anchor: 'table 4: DINO .744 against .303',
      ...inTheMean([
        { ...against('no-noun', 'CP'), wanted: -1 },
        { ...against('no-noun', 'ungatedCP'), wanted: -1 },
      ]),
    },
    overSteps(rows),
    overPhotos(rows),
    {
      name: 'A7',
      claim:
        'textual inversion keeps something of the subject, but less, follows prompts as well, changes nothing of the class',
      anchor: 'table 1: DINO .569 against .668',
      ...inTheMean([
        // What learned nothing shows nothing.
        { ...against('textual-inversion', 'CP', 'base'), wanted: 1 },
        { ...against('textual-inversion', 'CP'), wanted: -1 },
        { ...against('textual-inversion', 'PF'), wanted: 1, orSame: true },
        { ...against('textual-inversion', 'PRIOR-FD', 'base'), wanted: 0 },
      ]),
    },
    {
      name: 'A8',
      claim: 'with a common word as identifier the subject is learned worse',
      anchor: '§3.2',
      ...inTheMean([{ ...against('common-word', 'CP'), wanted: -1 }]),
    },
    {
      name: 'A9',
      claim: 'a LoRA keeps as much of the subject as training every weight, with less drift of the class',
      anchor: 'DreamBench++, rows of LoRA and of full training',
      ...inTheMean([
        { ...against('class-images', 'CP', 'full'), wanted: 1, orSame: true },
        { ...against('class-images', 'PRIOR-FD', 'full'), wanted: -1 },
      ]),
    },
    adapterOff(rows),
    recipe(rows),
  ];
}

interface Wanted extends Contrast {
  /** 1: up, -1: down, 0: not at all. */
  readonly wanted: number;
  /** The same is as good, if the interval leaves no room for a tenth on the wrong side. */
  readonly orSame?: boolean;
}

const figure = (value: number) => (Number.isNaN(value) ? '–' : value.toFixed(2));
const shownInterval = ({ mean: middle, low, high }: Interval): string =>
  `${figure(middle)} [${figure(low)}, ${figure(high)}]`;
const signed = ({ mean: middle, low, high }: Interval) =>
  `${middle < 0 ? '' : '+'}${figure(middle)} [${figure(low)}, ${figure(high)}]`;

const shown = (contrasts: readonly Wanted[]) =>
  contrasts
    .map(({ measure, from, difference, subjects: { greater, smaller, equal } }) => {
      const same = equal > 0 ? `, = in ${equal}` : '';
      const over = from === 'class-images' ? '' : ` over ${from}`;
      return `${measure}${over} ${signed(difference)}, up in ${greater}, down in ${smaller}${same}`;
    })
    .join('; ');

const wasRun = (contrasts: readonly Contrast[]) => contrasts.every(({ difference }) => difference.count > 0);

/** Of fewer subjects an interval is no more than their range. */
const fewestSubjects = 3;
const fewWords = `nothing is concluded of fewer than ${fewestSubjects} subjects`;
const tooFew = (contrasts: readonly Contrast[]) =>
  contrasts.some(({ subjects: { greater, smaller, equal } }) => greater + smaller + equal < fewestSubjects);

/** Holds for at least four of five subjects, each measure by itself. */
function mostSubjects(...groups: (readonly Wanted[])[]): Pick<Finding, 'verdict' | 'seen'> {
  const contrasts = groups.flat();
  if (!wasRun(contrasts)) return { verdict: 'not run', seen: '' };
  if (tooFew(contrasts)) return { verdict: 'inconclusive', seen: `${shown(contrasts)}; ${fewWords}` };
  const holds = contrasts.every(({ wanted, measure, subjects: { greater, smaller, equal } }) => {
    const right = (wanted > 0 ? greater : smaller) + (measure === 'DIV' ? equal : 0);
    return right >= 0.8 * (greater + smaller + equal);
  });
  return { verdict: holds ? 'pass' : 'fail', seen: shown(contrasts) };
}

/** Holds where the whole interval of the difference is on the right side; fails where one is on the wrong. */
function inTheMean(contrasts: readonly Wanted[]): Pick<Finding, 'verdict' | 'seen'> {
  if (!wasRun(contrasts)) return { verdict: 'not run', seen: '' };
  if (tooFew(contrasts)) return { verdict: 'inconclusive', seen: `${shown(contrasts)}; ${fewWords}` };
  const verdicts = contrasts.map(({ wanted, orSame, difference: { low, high } }): Verdict => {
    if (wanted === 0) return low === 0 && high === 0 ? 'pass' : 'fail';
    const [near, far] = wanted > 0 ? [low, high] : [-high, -low];
    if (near > 0) return 'pass';
    if (far < 0) return 'fail';
    return orSame && near > -0.1 ? 'pass' : 'inconclusive';
  });
  const worst = (['fail', 'inconclusive'] as const).find((one) => verdicts.includes(one));
  return { verdict: worst ?? 'pass', seen: shown(contrasts) };
}

function learns(rows: readonly ToyRow[]): Finding {
  const CP = { ...contrast(rows, 'base', 'class-images', 'CP'), wanted: 1 };
  const PF = { ...contrast(rows, 'base', 'class-images', 'PF'), wanted: -1 };
  const about = {
    name: 'A1',
    claim: 'a subject is learned: CP up by 0.5 or more, at a loss of PF of 0.15 or less',
    anchor: 'table 1',
  };
  if (!wasRun([CP, PF])) return { ...about, verdict: 'not run', seen: '' };
  const holds = CP.difference.mean >= 0.5 && PF.difference.mean >= -0.15;
  const verdict = tooFew([CP, PF]) ? 'inconclusive' : holds ? 'pass' : 'fail';
  const seen = shown([CP, PF]);
  return { ...about, verdict, seen: tooFew([CP, PF]) ? `${seen}; ${fewWords}` : seen };
}

interface Change {
  readonly toy: ToyRow['toy'];
  readonly value: number;
}

/** The change of a measure from the first to the last point of a course, by subject. */
function change(course: readonly ToyRow[], at: (row: ToyRow) => number, measure: Measure): Change[] {
  return subjectsOf(course).flatMap((toy) => {
    const own = course.filter((row) => isSame(row.toy, toy)).sort((a, b) => at(a) - at(b));
    return own.length < 2 ? [] : [{ toy, value: own.at(-1)!.report[measure] - own[0]!.report[measure] }];
  });
}

/** By how much more the first changes, of subjects that both are of. */
const moreThan = (some: readonly Change[], others: readonly Change[]): Change[] =>
  some.flatMap(({ toy, value }) => {
    const other = others.find((one) => isSame(one.toy, toy));
    return other === undefined ? [] : [{ toy, value: value - other.value }];
  });

/** Courses are of few subjects, so that each is shown beside the mean. */
function each(changes: readonly Change[], digits = 2): string {
  const sign = (value: number) => `${value < 0 ? '' : '+'}${value.toFixed(digits)}`;
  const values = changes.map(({ value }) => value);
  return `${sign(mean(values))} (${values.map(sign).join(', ')})`;
}

/** A hundredth is chance. */
const nothing = 0.01;

/**
 * Of changes over a course, by subject, each with the way it should go: holds where each goes that way in the mean and in
 * every subject; fails where a mean goes the other way, and is inconclusive else, or of one subject.
 */
function inEach(...changes: (readonly [readonly Change[], 1 | -1])[]): Verdict {
  const ways = changes.map(([of, way]) => of.map(({ value }) => value * way));
  if (ways.some((along) => mean(along) < 0)) return 'fail';
  const isClear = ways.every((along) => along.length > 1 && along.every((value) => value >= nothing));
  return isClear ? 'pass' : 'inconclusive';
}

const stepOf = ({ steps }: ToyRow) => steps ?? Number.POSITIVE_INFINITY;

function overSteps(rows: readonly ToyRow[]): Finding {
  const about = {
    name: 'A5',
    claim:
      'with the steps CP grows, PF and DIV fall; PRES grows without prior preservation, and less or not at all with it',
    anchor: '§3.3',
  };
  const [kept, free] = (['class-images', 'no-prior'] as const).map((arm) => courseOf(rows, arm));
  const [CP, PF, DIV] = (['CP', 'PF', 'DIV'] as const).map((measure) => change(kept!, stepOf, measure));
  const [with_, without] = [change(kept!, stepOf, 'PRES'), change(free!, stepOf, 'PRES')];
  if (with_.length === 0 || without.length === 0) return { ...about, verdict: 'not run', seen: '' };
  const more = moreThan(without, with_);
  const verdict = inEach([CP!, 1], [PF!, -1], [DIV!, -1], [without, 1], [more, 1]);
  const seen = `CP ${each(CP!)}; PF ${each(PF!)}; DIV ${each(DIV!)}; PRES ${each(with_)} with, ${each(without)} without`;
  return { ...about, verdict, seen };
}

function overPhotos(rows: readonly ToyRow[]): Finding {
  const about = {
    name: 'A6',
    claim: 'from one photo to five CP·PF grows and copying falls',
    anchor: 'supplement: best at four',
  };
  const course = photoCourse(rows);
  const [product, copy, leak] = (['CP·PF', 'COPY', 'backgroundLeak'] as const).map((measure) =>
    change(course, ({ photos }) => photos, measure),
  );
  if (product!.length === 0) return { ...about, verdict: 'not run', seen: '' };
  const verdict = inEach([product!, 1], [copy!, -1]);
  const seen = `CP·PF ${each(product!)}; COPY ${each(copy!, 3)}; photos' backgrounds ${each(leak!)}`;
  return { ...about, verdict, seen };
}

/** NaN for none. */
function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return mean(sorted.slice(Math.ceil(half) - 1, Math.floor(half) + 1));
}

/** The median of those whose time is known, in seconds, since a machine may do other things, too; NaN for none. */
export const learningTime = (rows: readonly ToyRow[]): number =>
  median(rows.flatMap(({ seconds }) => (seconds > 0 ? [seconds] : [])));

function adapterOff(rows: readonly ToyRow[]): Finding {
  const about = {
    name: 'prior of the base itself',
    claim: 'adapter-off preserves the class as generated class images do, in less time',
    anchor: 'eq. 2, with its own prediction for x_pr',
  };
  const contrasts = (['PRES', 'LEAK'] as const).map((measure) => ({
    ...contrast(rows, 'class-images', 'adapter-off', measure),
    wanted: 0,
  }));
  if (!wasRun(contrasts)) return { ...about, verdict: 'not run', seen: '' };
  const sides = (['PRES', 'LEAK'] as const).map((measure) => ({
    measure,
    value: interval(ofArm(rows, 'adapter-off'), measure).mean,
    drawn: interval(ofArm(rows, 'class-images'), measure),
  }));
  // Learnings of the steps' sweep draw samples in between.
  const swept = courseOf(rows, 'class-images');
  const plain = ofArm(rows, 'class-images').filter(
    (row) => !swept.some(({ toy, seed }) => isSame(toy, row.toy) && seed === row.seed),
  );
  // By pairs, which were learned one after the other: a machine is not always as fast.
  const pairs = ofArm(rows, 'adapter-off').flatMap(({ toy, seed, seconds }) => {
    const other = plain.find((row) => isSame(row.toy, toy) && row.seed === seed);
    const isKnown = other !== undefined && seconds > 0 && other.seconds > 0;
    return isKnown ? [{ drew: other.drewClassImages, share: seconds / other.seconds }] : [];
  });
  const [drawing, finding] = [true, false].map((drew) =>
    median(pairs.flatMap((pair) => (pair.drew === drew ? [pair.share] : []))),
  );
  // Of both less is better.
  const isWithin = sides.every(({ value, drawn }) => value <= drawn.high);
  const isTold = !tooFew(contrasts) && (!isWithin || !Number.isNaN(drawing!));
  const holds = isWithin && drawing! < 1;
  const times = [
    `${figure(drawing!)} of the time where class images are drawn first`,
    `${figure(finding!)} where they are there`,
  ].filter((words) => !words.startsWith('–'));
  return {
    ...about,
    verdict: !isTold ? 'inconclusive' : holds ? 'pass' : 'fail',
    seen: [
      ...sides.map(
        ({ measure, value, drawn }) => `${measure} ${figure(value)} against ${shownInterval(drawn)}`,
      ),
      ...(times.length > 0 ? [times.join(', ')] : []),
    ].join('; '),
  };
}

function recipe(rows: readonly ToyRow[]): Finding {
  const about = {
    name: 'the recipe',
    claim: 'CP·PF of 0.65 or more with LEAK of 0.1 or less',
    anchor: 'our own aim; 0.8 is the next',
  };
  const own = ofArm(rows, 'class-images');
  if (own.length === 0) return { ...about, verdict: 'not run', seen: '' };
  const [CP, PF, LEAK] = (['CP', 'PF', 'LEAK'] as const).map((measure) => interval(own, measure));
  const product = CP!.mean * PF!.mean;
  const isFew = subjectsOf(own).length < fewestSubjects;
  const holds = product >= 0.65 && LEAK!.mean <= 0.1;
  const seen = `CP·PF ${figure(product)} (CP ${shownInterval(CP!)}, PF ${shownInterval(PF!)}), LEAK ${shownInterval(LEAK!)}`;
  return { ...about, verdict: isFew ? 'inconclusive' : holds ? 'pass' : 'fail', seen };
}
