"""The page's looks: one column, system fonts, light and dark as the reader's system says; no script anywhere.

What is wider than the screen scrolls by itself; a shadow stands at the edge behind which there is more (two gradients
that scroll along hide two that stay).
"""

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2127;--faint:#5b6470;--line:#d7dce2;--card:#f5f7f9;--link:#0b5cad;
--bar:#4a7fb5;--bad:#b3261e;--good:#1b7f4b;--warn:#fdf1dc;--warnline:#b26a00;--edge:#8a94a0}
@media(prefers-color-scheme:dark){:root{--paper:#14181d;--ink:#e4e8ec;--faint:#a3adb8;--line:#39424c;--card:#1d232a;
--link:#7db7f0;--bar:#6ea3d8;--bad:#ff8a80;--good:#6fd39b;--warn:#33270f;--warnline:#e0a030;--edge:#66717d}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:84rem;padding:1rem;background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:break-word}
h1,h2,h3{overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}
h2{font-size:1.3rem;line-height:1.3;margin:2.2rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.6rem 0 .4rem}
p{margin:.5rem 0;max-width:46rem}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.5rem;z-index:1}
nav ol{margin:.3rem 0;padding-left:0;list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1.2rem}
nav li{min-width:0}
nav a{display:inline-block;padding:.25rem 0;overflow-wrap:anywhere}
code,pre,.mono{font-family:ui-monospace,"SFMono-Regular",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.86em}
code{overflow-wrap:anywhere}
pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.6rem .8rem;margin:.5rem 0;
white-space:pre-wrap;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:.2rem 0 .6rem;background:
linear-gradient(to right,var(--paper) 40%,transparent) 0 0/3rem 100% no-repeat local,
linear-gradient(to left,var(--paper) 40%,transparent) 100% 0/3rem 100% no-repeat local,
linear-gradient(to right,var(--edge),transparent) 0 0/1rem 100% no-repeat scroll,
linear-gradient(to left,var(--edge),transparent) 100% 0/1rem 100% no-repeat scroll}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.caption{font-weight:600;margin:1rem 0 0}
th,td{padding:.28rem .8rem .28rem 0;text-align:left;vertical-align:top;white-space:nowrap;
border-bottom:1px solid var(--line)}
thead th{white-space:normal;font-weight:600;color:var(--faint);vertical-align:bottom}
td.num,th.num{text-align:right}
td.wide,th.wide{white-space:normal;min-width:18rem}
tbody th{font-weight:400}
dl{display:grid;grid-template-columns:minmax(9rem,max-content) minmax(0,1fr);gap:.15rem 1rem;margin:.5rem 0}
dt{color:var(--faint)}dd{margin:0;overflow-wrap:anywhere}
.warn,.missing{border-left:4px solid var(--warnline);background:var(--warn);padding:.4rem .8rem;
border-radius:0 6px 6px 0}
.missing{border-color:var(--line);background:var(--card)}
.on{color:var(--faint);font-size:.85rem}
figure{margin:.8rem 0}figcaption{color:var(--faint);font-size:.9rem;max-width:46rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));gap:0 1.5rem}
.photo img{display:block;max-width:100%;height:auto}
svg{display:block;width:100%;max-width:32rem;height:auto}
td svg{width:80px}
details{border:1px solid var(--line);border-radius:8px;margin:.7rem 0;padding:0 .9rem}
summary{cursor:pointer;padding:.6rem 0;font-weight:600}
summary h2{display:inline;border:0;font-size:1.1rem;margin:0;padding:0}
svg path{fill:none}
svg .axis{stroke:var(--faint)}svg .grid{stroke:var(--line)}svg .whisker{stroke:var(--faint);stroke-width:1.2}
svg .bar{fill:var(--bar)}svg .worst{fill:var(--bad)}svg .interval{fill:var(--faint);fill-opacity:.55}
svg .median{fill:var(--ink)}svg .trace{stroke:var(--warnline);stroke-width:2}
svg .frontline{stroke:var(--good);stroke-width:1.8;stroke-dasharray:5 3}
svg .dot{stroke:var(--good);stroke-width:1.6;fill:var(--good)}
svg .dot.undecided{fill-opacity:.35}svg .dot.behind{stroke:var(--faint);fill:var(--paper)}
svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg .faint{fill:var(--faint)}
svg .strong{font-weight:700;paint-order:stroke;stroke:var(--paper);stroke-width:3px}
svg .bad{fill:var(--bad);font-weight:700}
@media(max-width:30rem){tbody th{white-space:normal;overflow-wrap:anywhere;min-width:8.5rem}td,th{padding-right:.6rem}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.35rem}body{padding:.8rem}}
@media print{details{border:0}.skip{display:none}}
"""
