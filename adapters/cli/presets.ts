import type { Preset, PresetName } from 'dreambooth';
import type { Session } from './session';

export async function listCommand({ loadSdk, output }: Session): Promise<void> {
  const { presetNames, presets } = await loadSdk();
  for (const name of presetNames) output.row(row(name, presets[name]), described(name, presets[name]));
  output.say('One with all its settings: dreambooth presets show NAME. --set key=value changes any of them.');
}

export async function showCommand({ loadSdk, output }: Session, typed: string): Promise<void> {
  const { checkSettings, presets } = await loadSdk();
  const name = checkSettings({ preset: typed }).preset!;
  const preset: Preset = presets[name];
  output.row(row(name, preset), [described(name, preset), ...settingLines(preset)].join('\n'));
}

const row = (name: PresetName, preset: Preset) => ({ id: name, name, ...preset });

function described(name: PresetName, { summary, source }: Preset): string {
  return [name, ...wrapped(summary), ...wrapped(`Source: ${source}`)].join('\n  ');
}

function settingLines({ settings, seed }: Preset): string[] {
  const entries = Object.entries({ ...settings, ...(seed === undefined ? {} : { seed }) });
  const width = Math.max(...entries.map(([key]) => key.length));
  return entries.map(([key, value]) => {
    const text = value === null ? "the base's own" : Array.isArray(value) ? value.join(', ') : String(value);
    return `    ${key.padEnd(width)}  ${text || 'none'}`;
  });
}

/** Lines of at most 100 letters. */
function wrapped(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line.length + word.length >= 100) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}
