/** The report's style: no file but this one, light and dark, narrow and wide, on paper too. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #fff; --card: #f6f8fa; --line: #d0d7de;
  --good: #1a7f37; --bad: #b42318; --rate: #0b6bcb; --loss: #c4320a; --double: #8250df; --late: #9a6700; --reject: #57606a;
  --h0: #e7edf3; --h1: #f9d9a8; --h2: #f2a65a; --h3: #dd6b20; --h4: #b23a0e; --h5: #6b1204; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9da7b3; --paper: #0d1117; --card: #161b22; --line: #30363d;
  --good: #3fb950; --bad: #ff7b72; --rate: #58a6ff; --loss: #ff8c5a; --double: #bc8cff; --late: #d9a520; --reject: #9da7b3;
  --h0: #1d2530; --h1: #5a3a12; --h2: #8f4f14; --h3: #c9661c; --h4: #f08a3c; --h5: #ffd0a1; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 66rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; font-weight: 600; }
p, ul { margin: .25rem 0 .75rem; max-width: 48rem; } .soft { color: var(--soft); }
.result { border-left: .4rem solid var(--good); background: var(--card); padding: .75rem 1rem; margin: 1rem 0; }
.result.bad { border-color: var(--bad); } .result strong { color: var(--good); } .result.bad strong { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .5rem; margin: 1rem 0; padding: 0; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .75rem; }
.tiles dt { color: var(--soft); font-size: .8rem; } .tiles dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; min-width: 40rem; height: auto; } svg text { fill: var(--soft); font-size: 11px; }
.axis { fill: none; stroke: var(--line); } .rate { fill: var(--rate); } .loss { fill: var(--loss); } .double { fill: var(--double); }
.late { fill: var(--late); } .reject { fill: var(--reject); } .good { fill: var(--good); } .bad { fill: var(--bad); }
.heat0 { fill: var(--h0); } .heat1 { fill: var(--h1); } .heat2 { fill: var(--h2); } .heat3 { fill: var(--h3); } .heat4 { fill: var(--h4); } .heat5 { fill: var(--h5); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: 0; color: var(--soft); font-size: .85rem; }
.legend svg { display: inline-block; width: .9rem; min-width: 0; height: .9rem; vertical-align: -.1rem; margin-right: .35rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; } code { font-size: .85em; overflow-wrap: anywhere; } td code { display: inline-block; min-width: 5rem; } td code.id { min-width: 20rem; }
.no { color: var(--bad); font-weight: 600; } .yes { color: var(--good); font-weight: 600; }
@media print { body { max-width: none; } h2 { break-after: avoid; } svg { break-inside: avoid; } }
`;
