// Makes readings of centrifugal pumps from rules of thumb of how pumps behave, sound and faulty, with the noise of real
// sensors. A fault may be slight: then its readings overlap with those of a healthy pump, and nobody could tell.

import { randomInteger, randomNormal } from '../../../src/random.ts';
import type { Random } from '../../../src/random.ts';
import { CLASSES, COLUMNS } from '../columns.ts';

/** One pump at one moment. */
export interface Reading {
  readonly label: number;
  /** In the order of COLUMNS. */
  readonly values: readonly number[];
}

// Most pumps are well.
const HEALTHY_PART = 0.4;

/** The readings of a random pump. */
export function drawReading(random: Random): Reading {
  const label = random() < HEALTHY_PART ? 0 : 1 + randomInteger(random, CLASSES.length - 1);
  const fault = CLASSES[label]!;
  const severity = fault === 'healthy' ? 0 : 0.15 + 0.85 * random();
  const between = (low: number, high: number): number => low + (high - low) * random();
  const noisy = (value: number, part: number): number => value * (1 + randomNormal(random) * part);

  const speed = between(0.4, 1);
  const ambient = between(5, 35);
  const valve = between(0.55, 1);
  // Cavitation comes from too little pressure at the inlet, blockage from what sits in the pipe.
  const inlet = fault === 'cavitation' ? between(0.1, 0.8 - 0.4 * severity) : between(0.3, 2);
  const open = fault === 'blockage' ? valve * (1 - 0.7 * severity) : valve;
  const worn = fault === 'impeller' ? 1 - 0.35 * severity : 1;
  const starved = fault === 'cavitation' ? 1 - 0.3 * severity : 1;

  const flow = 60 * speed * open * starved * Math.sqrt(worn);
  const head = (45 * speed ** 2 - 0.007 * flow ** 2) * worn * (0.7 + 0.3 * starved);
  const hydraulic = (flow * head * 9.81) / 3600;
  const friction = fault === 'bearing' ? 1 + 0.15 * severity : 1;
  const power = (hydraulic / between(0.6, 0.7) + 0.5 * speed) * friction;
  const shaking = { healthy: 0, cavitation: 2.5, bearing: 4, blockage: 0.6, impeller: 1.2 }[fault];
  const vibration = 1 + 0.8 * speed + shaking * severity * between(0.6, 1.2);
  const heating = { healthy: 0, cavitation: 2, bearing: 28, blockage: 6, impeller: 1 }[fault];
  const bearing = ambient + 14 + 12 * speed + heating * severity;

  const values: Record<(typeof COLUMNS)[number], number> = {
    speed_rpm: noisy(speed * 3000, 0.005),
    flow_m3h: noisy(flow, 0.02),
    inlet_bar: noisy(inlet, 0.03),
    outlet_bar: noisy(inlet + head / 10.2, 0.015),
    power_kw: noisy(power, 0.02),
    vibration_mms: noisy(vibration, 0.1),
    bearing_c: bearing + randomNormal(random) * 1.5,
    ambient_c: ambient + randomNormal(random),
  };
  return { label, values: COLUMNS.map((column) => values[column]) };
}
