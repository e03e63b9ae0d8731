import type { SettingValue } from '../subjects/subjects';

/** A picture as it leaves the engine. */
export interface GeneratedPicture {
  /** A PNG file's bytes, what made it in its texts. */
  readonly png: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly seed: number;
  /** As typed. */
  readonly prompt: string;
  /** In effect, defaults written out. */
  readonly settings: Readonly<Record<string, SettingValue>>;
}
