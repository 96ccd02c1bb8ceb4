// Reads the one digit in a picture: POST a PNG or JPEG, get { label, score, scores }.

import { defineHandler, HttpError, tensor } from 'gpufaas';

import { findDigit, SIZE } from './digit.ts';
import { decodePicture } from './image.ts';

export default defineHandler<'classifier'>(async (request, { models }) => {
  const picture = await decodePicture(request.bytes());
  if (typeof picture === 'string') throw new HttpError(400, picture);

  const input = findDigit(picture);
  if (input === null) throw new HttpError(400, 'The picture is empty. Send one that shows a digit.');

  // This is what is scheduled: the run waits for a device, and for the model if no device holds it.
  const { logits } = await models.classifier.run<'logits'>({ input: tensor([1, 1, SIZE, SIZE], input) });

  const scores = softmax([...logits.data]);
  const score = Math.max(...scores);
  return { label: scores.indexOf(score), score: round(score), scores: scores.map(round) };
});

function softmax(logits: readonly number[]): number[] {
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
