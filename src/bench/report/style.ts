// The look of a report: one style sheet for light and dark, nothing loaded from anywhere.

/** CSS of the page; colours of policies are c0, c1, … in the order of the table. */
export const REPORT_STYLE = `
:root { color-scheme: light dark; --ground: #fcfcfb; --ink: #1d1d1b; --soft: #6b6a66; --line: #e2e1dc; --card: #ffffff;
  --c0: #8a8984; --c1: #2a78d6; --c2: #d2691e; --c3: #128a5e; --c4: #8b4fc6; --c5: #b8860b; --c6: #c2347a; --c7: #3c7d86;
  --hit: #128a5e; --miss: #c8452f; --false: #e0a84a; --run: #2a78d6; --load: #d2691e; }
@media (prefers-color-scheme: dark) { :root { --ground: #171716; --ink: #ecebe6; --soft: #a3a29c; --line: #35342f; --card: #1f1f1d;
  --c0: #9c9b95; --c1: #5ea2f0; --c2: #f0935a; --c3: #4cc795; --c4: #b98af0; --c5: #dcb04a; --c6: #ee79ae; --c7: #72bcc6;
  --hit: #4cc795; --miss: #ef7d68; --false: #e6bd72; --run: #5ea2f0; --load: #f0935a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 32px 24px 64px; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 40px 0 12px; } p { margin: 0 0 12px; max-width: 80ch; }
.soft, figcaption span { color: var(--soft); font-weight: 400; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0 0 12px; }
th, td { padding: 5px 14px 5px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 20px; }
figure { margin: 0; padding: 14px 16px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
figure.wide { margin-bottom: 16px; } figcaption { font-weight: 600; margin-bottom: 4px; }
svg { display: block; width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 0 0 6px; padding: 0; font-size: 13px; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
.grid { stroke: var(--line); } .axis, .tick { stroke: var(--soft); } .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
${Array.from({ length: 8 }, (_, color) => `.line.c${color} { stroke: var(--c${color}); } .dot.c${color} { fill: var(--c${color}); } .swatch.c${color} { background: var(--c${color}); }`).join('\n')}
rect.run { fill: var(--run); } rect.load { fill: var(--load); } line.evict { stroke: var(--miss); }
.swatch.run { background: var(--run); } .swatch.load { background: var(--load); } .swatch.evict { background: var(--miss); }
rect.hit { fill: var(--hit); } rect.miss { fill: var(--miss); } rect.false-miss { fill: var(--false); }
.swatch.hit { background: var(--hit); } .swatch.miss { background: var(--miss); } .swatch.false-miss { background: var(--false); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; overflow-x: auto; font-size: 13px; }
`;
/** How many colours there are for policies. */
export const COLORS = 8;
