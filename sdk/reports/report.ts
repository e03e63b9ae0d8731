/** A report as values: what `htmlReport` and `markdownReport` write out. */

export interface Report {
  readonly title: string;
  /** Of what it is: said once, under the title. */
  readonly summary: string;
  readonly sections: readonly Section[];
}

export interface Section {
  readonly heading: string;
  readonly blocks: readonly Block[];
}

export type Block =
  | { readonly kind: 'text'; readonly text: string }
  | Table
  | LineChart
  | {
      readonly kind: 'picture';
      /** A PNG file's bytes, and what it is called beside a Markdown report. */
      readonly png: Uint8Array;
      readonly file: string;
      readonly caption: string;
    };

export interface Table {
  readonly kind: 'table';
  readonly columns: readonly string[];
  /** The first cell names the row; figures are strings as they are to be read. */
  readonly rows: readonly (readonly Cell[])[];
  readonly note?: string;
}

export type Cell =
  | string
  | {
      /** May have several lines. */
      readonly text: string;
      /** Said below it and smaller, as the interval of a mean. */
      readonly below?: string;
      /** `faint`: nothing to stop at. The others are a verdict's colour; the text says the verdict all the same. */
      readonly tone?: 'good' | 'bad' | 'open' | 'faint';
      /** A command, to be copied as it stands. */
      readonly code?: true;
    };

export interface LineChart {
  readonly kind: 'chart';
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** Up to five. */
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly (readonly [x: number, y: number])[];
  }[];
  /** A place on the x axis that is pointed out, as the step that was kept. */
  readonly mark?: { readonly x: number; readonly name: string };
}
