/** What is shown of a measured subject, and what each number says. */
import type { SubjectReport } from 'dreambooth';

const digits = (value: number) => value.toFixed(2);

export const measures = [
  {
    name: 'CP',
    of: ({ CP }: SubjectReport) => digits(CP),
    meaning: 'is it the very subject? 0: anyone of its class, 1: as real pictures of it',
  },
  {
    name: 'PF',
    of: ({ PF }: SubjectReport) => digits(PF),
    meaning: 'share of pictures that show scene and accessory as asked',
  },
  {
    name: 'CP·PF',
    of: (report: SubjectReport) => digits(report['CP·PF']),
    meaning: 'the product of the two',
  },
  {
    name: 'PRES',
    of: ({ PRES }: SubjectReport) => digits(PRES),
    meaning: 'how near pictures of the bare class are to the subject; lower is better, the base is the floor',
  },
  {
    name: 'LEAK',
    of: ({ LEAK }: SubjectReport) => digits(LEAK),
    meaning: 'share of pictures of the bare class that show the subject; lower is better',
  },
  {
    name: 'DIV',
    of: ({ DIV }: SubjectReport) => digits(DIV),
    meaning: 'how much the pictures of one prompt differ; higher is better',
  },
] as const;

/** A line of a table: a name, then figures. */
export const row = (name: string, cells: readonly string[]) =>
  `${name.padEnd(18)}${cells.map((cell) => cell.padStart(8)).join('')}`;
