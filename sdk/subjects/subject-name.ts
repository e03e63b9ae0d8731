import { InvalidNameError } from '../errors';

const pattern = /^[a-z0-9][a-z0-9_-]{0,39}$/;
/** Names that Windows keeps for devices, in every folder. */
const devices = /^(con|prn|aux|nul|com\d|lpt\d)$/;

/** Returns `name` when it can name a subject, and so a folder on every system. Throws InvalidNameError. */
export function checkSubjectName(name: string): string {
  if (!pattern.test(name) || devices.test(name)) throw new InvalidNameError(name);
  return name;
}

/** The start of a default name: the class in the letters that a name may have, as `toy-car` of "toy car". */
export function nameStem(className: string): string {
  const stem = className
    .toLowerCase()
    .normalize('NFKD')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 32)
    .replace(/-+$/, '');
  return stem === '' || devices.test(stem) ? 'subject' : stem;
}

/** `names` with the ones nearest to `wanted` first (fewest letters to insert, delete, change, swap), else by name. */
export function nearestFirst(wanted: string, names: readonly string[]): string[] {
  const distances = new Map(names.map((name) => [name, editDistance(wanted, name)]));
  return [...names].sort((a, b) => distances.get(a)! - distances.get(b)! || (a < b ? -1 : 1));
}

/** The candidate that `typed` may have been meant for: it begins so, or at most a third of its letters differ. */
export function likelyMeant(typed: string, names: readonly string[]): string | undefined {
  const begun = names.filter((name) => name.toLowerCase().startsWith(typed.toLowerCase()));
  if (typed.length > 2 && begun.length > 0) return nearestFirst(typed.toLowerCase(), begun)[0];
  const [nearest] = nearestFirst(typed.toLowerCase(), names);
  if (nearest === undefined) return undefined;
  const allowed = Math.max(1, Math.floor(Math.max(typed.length, nearest.length) / 3));
  return editDistance(typed.toLowerCase(), nearest.toLowerCase()) <= allowed ? nearest : undefined;
}

/** Letters to insert, delete, change or swap with their neighbour (Damerau), one row at a time. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? before[j - 2]! + 1 : change;
      next.push(Math.min(change, swap, row[j]! + 1, next[j - 1]! + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}
