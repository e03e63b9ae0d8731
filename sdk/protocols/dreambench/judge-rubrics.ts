/**
 * What the judge is told, in our own words: the published rubrics (yuangpeng/dreambench_plus, Apache-2.0) have the same
 * structure, criteria and scale, and other sentences. The judge's own restatement of the task stands between the rubric
 * and the pictures, as there.
 */

export type JudgeRubric = 'subject' | 'style' | 'prompt';

export interface RubricTexts {
  readonly task: string;
  /** Said in the judge's place. */
  readonly restated: string;
}

const scale = `Rate on this scale, in whole numbers:
0, very poor: nothing corresponds.
1, poor: a few things correspond, most do not.
2, fair: some things correspond, some important ones do not.
3, good: most things correspond, with small deviations.
4, excellent: everything corresponds, or as good as.`;

const scoreAlone = `Answer with one line and nothing else, in this form, N being your rating from 0 to 4:
Score: N`;

const scoreAfterAnalysis = `Answer in this form, N being your rating from 0 to 4, and write the word "Score" nowhere else:
Analysis: what of the text the picture shows and what it does not, in a few sentences
Score: N`;

export const judgeRubrics: Readonly<Record<JudgeRubric, RubricTexts>> = {
  subject: {
    task: `You compare two pictures. The first shows a subject; the second was generated and should show the same subject. Rate how well the subject of the second is the subject of the first. What surrounds it, what it does, the light and the view may differ and do not count.

Criteria:
1. Shape: outline, build and proportions of the subject.
2. Colour: its own colours and where on it they are.
3. Texture: its surface and pattern, as fur, fabric, gloss.
4. Facial features, where it is a person or an animal: eyes, nose, mouth, and how they are set.

${scale}

${scoreAlone}`,
    restated:
      'I am to rate from 0 to 4 how far the subject of the second picture is that of the first, by shape, colour, texture and, where there is a face, its features. Surroundings, pose, light and view do not count. I answer with the line "Score: N" alone. Please show me the pictures.',
  },
  style: {
    task: `You compare two pictures. The first shows a style; the second was generated and should be in the same style. Rate how well the style of the second is the style of the first. What is depicted may differ and does not count.

Criteria:
1. Colour and toning: palette, contrast, the mood of the colours.
2. Brushwork and texture: strokes, lines, grain, the look of the material.
3. Manner of depiction: how forms are simplified, stylised and composed, and what school or medium it belongs to.

${scale}

${scoreAlone}`,
    restated:
      'I am to rate from 0 to 4 how far the second picture is in the style of the first, by colour and toning, brushwork and texture, and manner of depiction. What is depicted does not count. I answer with the line "Score: N" alone. Please show me the pictures.',
  },
  prompt: {
    task: `You compare a text and a picture that was generated from it. Rate how well the picture shows what the text says.

Criteria:
1. Relevance: the picture is about what the text is about.
2. Accuracy: things, their properties, numbers and actions are as the text says.
3. Completeness: nothing that the text asks for is missing.
4. Context: setting, style and mood are those of the text.

${scale}

${scoreAfterAnalysis}`,
    restated:
      'I am to rate from 0 to 4 how well the picture shows what the text says, by relevance, accuracy, completeness and context. I first write an analysis, then the line "Score: N", once. Please show me text and picture.',
  },
};
