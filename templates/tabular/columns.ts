// What the model was trained on: the columns in its order, and the classes it tells apart.

/** The readings of one pump, in the order of the model's input. */
export const COLUMNS = [
  'speed_rpm',
  'flow_m3h',
  'inlet_bar',
  'outlet_bar',
  'power_kw',
  'vibration_mms',
  'bearing_c',
  'ambient_c',
] as const;

/** What a pump may have, in the order of the model's output. */
export const CLASSES = ['healthy', 'cavitation', 'bearing', 'blockage', 'impeller'] as const;
