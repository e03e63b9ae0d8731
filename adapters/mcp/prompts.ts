/** Beginnings of conversations that clients offer to people. */
export interface ConversationStart {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly arguments: { name: string; description: string; required: boolean }[];
  text(given: Readonly<Record<string, string>>): string;
}

export const prompts: readonly ConversationStart[] = [
  {
    name: 'learn_subject',
    title: 'Learn a subject from photos',
    description: 'Learns a pet, a toy, a person… from photos, and shows a first picture.',
    arguments: [
      { name: 'class', description: 'What it is, as "dog"', required: true },
      { name: 'name', description: 'How to call it, as "rex"', required: false },
      {
        name: 'photos',
        description: 'Paths of 3 to 6 photos, or of a folder that holds them',
        required: false,
      },
    ],
    text: ({ class: className = 'subject', name, photos }) =>
      `Learn my ${className}${name ? `, called ${name}` : ''}, ${photos ? `from these photos: ${photos}` : 'from photos: ask me for the paths of 3 to 6 that show it from different sides'}. If it is a person, ask me first whether I may. Start it with personalize_subject, look at the job now and then until it is done, and then draw it once in a scene that suits it.`,
  },
  {
    name: 'picture_ideas',
    title: 'Pictures of a subject',
    description: 'Draws a learned subject in scenes that differ.',
    arguments: [
      { name: 'subject', description: 'The name of a learned subject', required: true },
      { name: 'mood', description: 'As "winter" or "like an old photograph"', required: false },
    ],
    text: ({ subject = '', mood }) =>
      `Think of four scenes for @${subject.replace(/^@/, '')} that differ in place, light and style${mood ? `, all of them ${mood}` : ''}. Draw one picture of each with generate_image, and tell me the seed with each, so that I can have more like it.`,
  },
];

export const promptNamed = (name: string) => prompts.find((prompt) => prompt.name === name);
