// Commands in messages, as they have to be typed here: through npx where gpufaas itself was called so.

/** Puts `npx` before each `gpufaas …` in backquotes or on a line of its own if that is how this command was called. */
export function asTyped(text: string, environment: NodeJS.ProcessEnv = process.env): string {
  return environment['npm_command'] === 'exec' ? text.replace(/(`|\n {2})gpufaas /g, '$1npx gpufaas ') : text;
}
