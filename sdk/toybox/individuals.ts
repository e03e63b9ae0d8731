import { createRandom, type Random } from '../random';
import { type Appearance, CLASSES, type ClassName, sampleAppearance } from './scene';

/** Somebody of the world: always of one class and one appearance, anywhere, in any pose. */
export interface Individual {
  readonly name: string;
  readonly class: ClassName;
  readonly appearance: Appearance;
}

/** How many individuals the base model has met by name: thirty of every class. */
export const INDIVIDUAL_COUNT = 240;

/**
 * Rare words that a few captions of random pictures carry, so that a word the model has no use for is
 * nothing new to it.
 */
export const STRAY_IDENTIFIERS = ['sks', 'zwx', 'vqk'] as const;

const SEED = 240_711;
const ONSETS = ['b', 'd', 'f', 'g', 'j', 'k', 'l', 'm', 'n', 'p', 'r', 't', 'v', 'z'];
const VOWELS = ['a', 'e', 'i', 'o', 'u'];
const CODAS = ['b', 'd', 'f', 'k', 'l', 'm', 'n', 'p', 'r', 'v', 'x', 'z'];

/** English words (and near misses of the grammar's own) that the syllables above would spell. */
const WORDS = new Set(
  (
    'bad bed bid bud bib bob bin ban ben bun bar bur bap bum ban bam bel dad did dub dab deb dib dim dam dum dan ' +
    'den din don dun dip dal del dor fad fed fab fib fob fan fen fin fun far fir for fur fix fox fax fad fel fop ' +
    'gab gob gad god gel gal gem gum gym gin gun gap gar gas gig jab job jam jim jan jar jib jen jon jun kid ken ' +
    'kin kip kit lab lob lad led lid lap lip lop lax lex lux lav lab lam lib lip mad mod mud mid mob man men mar ' +
    'mop map mix max mum mel mil nab nib nub nod nan nap nip nil nor nun nix pad pod pub pan pen pin pun pun par ' +
    'per pup pip pop pep pap pax pal pol rad red rid rod rub rob rib ram rim rum ran run rap rip rep rev rex tab ' +
    'tub tad ted tan ten tin ton tar tap tip top tax tux tel til tom tim tam van vex val vim zap zip zen zed zad ' +
    'zak fuk fag dik dol kop kok puk tit tat mom lol fap dev gov tor pom zulu rem pov vip jak lek goku koko vivo ' +
    'melo kilo polo solo velo kulo mam vil jil jor tib tem der dar lan ron tex mik fuku buk rar nim kem fuf zob nob ' +
    'poz muk viv fam gor bul pof kef kun kum tun jak fud lek nuk loko talo nolo bako naz dud vid vol gub kub nid pud pum ref mim lor dob fek jin vin ' +
    'mez'
  ).split(' '),
);

/** The individuals, always the same 240 in the same order: number i is of class i mod 8. */
export function createIndividuals(): Individual[] {
  const random = createRandom(SEED);
  const names = new Set<string>();
  while (names.size < INDIVIDUAL_COUNT) {
    const name = syllable(random);
    if (!WORDS.has(name)) names.add(name);
  }
  return [...names].map((name, index) => ({
    name,
    class: CLASSES[index % CLASSES.length]!,
    appearance: sampleAppearance(random),
  }));
}

/** "bex", "zilo": a closed syllable, or every fourth time two open ones. */
function syllable(random: Random): string {
  const from = (letters: readonly string[]) => letters[random.integer(letters.length)]!;
  const opening = from(ONSETS) + from(VOWELS);
  return random.uniform() < 0.25
    ? opening + from(['z', 'l', 'v', 'k']) + from(['o', 'u'])
    : opening + from(CODAS);
}
