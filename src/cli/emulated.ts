// What to say wherever answers may come from emulated devices: they look like answers and are none.

/** What stands beside an emulated device's id in the line about a call. */
export const MADE_UP = '(emulated: the answer is made up)';

/** True for `emulated:3`. */
export function isEmulated(id: string): boolean {
  return id.startsWith('emulated:');
}

/** The line to show where some of these devices are emulated; null where none is. */
export function emulationNotice(devices: readonly { readonly kind: string }[]): string | null {
  const emulated = devices.filter(({ kind }) => kind === 'emulated');
  if (emulated.length === 0) return null;
  const which =
    emulated.length === devices.length ? 'All devices are' : `${emulated.length} of ${devices.length} devices are`;
  return `${which} emulated: nothing is computed there, models answer zeros of the declared shapes.`;
}
