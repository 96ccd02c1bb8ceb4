// The profile of the paper's workload: 22 CNNs with the memory they take on a device and the time to load and run them.
// A reconstruction: the figures are recalled from table I of arXiv 2303.05601 (batch 32, RTX 2080) and were not checked
// against it. Good for the scale of things; say "reconstruction" wherever they are used.

/** Where the figures come from, to be shown with every result that rests on them. */
export const PAPER_PROVENANCE =
  'Reconstruction: recalled from table I of arXiv 2303.05601 (22 CNNs, batch 32, RTX 2080), not verified against it.';

/** Name, memory in MB (10^6 bytes), load and run time in milliseconds. */
export const PAPER_MODELS: readonly (readonly [name: string, memoryMB: number, loadMs: number, runMs: number])[] = [
  ['squeezenet1.1', 1269, 2410, 1280],
  ['resnet18', 1313, 2520, 1250],
  ['resnet34', 1357, 2600, 1250],
  ['squeezenet1.0', 1435, 2320, 1330],
  ['alexnet', 1437, 2810, 1250],
  ['resnext50.32x4d', 1555, 2640, 1290],
  ['densenet121', 1601, 2490, 1280],
  ['densenet169', 1631, 2560, 1300],
  ['densenet201', 1665, 2670, 1400],
  ['resnet50', 1701, 2670, 1280],
  ['resnet101', 1757, 2950, 1300],
  ['resnet152', 1827, 3100, 1310],
  ['densenet161', 1919, 2750, 1320],
  ['inception.v3', 2157, 4420, 1630],
  ['resnext101.32x8d', 2191, 3510, 1330],
  ['vgg11', 2903, 3930, 1290],
  ['wideresnet502', 3611, 3160, 1310],
  ['wideresnet1012', 3831, 3910, 1320],
  ['vgg13', 3887, 3980, 1300],
  ['vgg16', 3907, 4040, 1270],
  ['vgg16.bn', 3907, 4030, 1280],
  ['vgg19', 3947, 4070, 1330],
];
