/// The page's style: system fonts, one column, colours that colour-blind readers tell apart.
let stylesheet = """
  :root {
    color-scheme: light dark;
    --page: #fdfdfc; --card: #ffffff; --ink: #1d2126; --soft: #5c6570; --rule: #dfe2e6;
    --c0: #2f6fb3; --c1: #d0662a; --c2: #2c8a5b; --c3: #8a4fb0; --c4: #b8892b; --c5: #1f8f9b;
    --c6: #b8416b; --c7: #6c737c;
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --page: #15181c; --card: #1c2025; --ink: #e6e8ea; --soft: #9aa4af; --rule: #333a42;
      --c0: #6ba8e5; --c1: #ec9160; --c2: #62bd8c; --c3: #bb8add; --c4: #d9b25b; --c5: #5cc0cb;
      --c6: #e57fa3; --c7: #a2abb5;
    }
  }
  * { box-sizing: border-box; }
  body {
    overflow-wrap: break-word; margin: 0; background: var(--page); color: var(--ink);
    font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  }
  main { max-width: 80rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
  h1 { font-size: 2rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.01em; margin: 0; }
  h2 { font-size: 1.3rem; font-weight: 620; margin: 0 0 1rem; }
  h3 { font-size: 1rem; font-weight: 620; margin: 1.75rem 0 0.5rem; }
  p { max-width: 46rem; margin: 0 0 1rem; }
  section { margin-top: 2.25rem; padding-top: 1.75rem; border-top: 1px solid var(--rule); }
  .subtitle { font-size: 1.15rem; color: var(--soft); margin: 0.5rem 0 0; }
  .facts { font-size: 0.925rem; color: var(--soft); margin: 0.5rem 0 0; padding: 0; list-style: none; }
  .facts li { display: inline; overflow-wrap: anywhere; }
  .facts li + li::before { content: " \u{B7} "; }
  .note, .label, .legend, figcaption, footer { font-size: 0.85rem; color: var(--soft); }
  footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; font-size: 0.925rem; font-variant-numeric: tabular-nums; }
  th, td {
    padding: 0.4rem 1.5rem 0.4rem 0; text-align: left; vertical-align: top; font-weight: 400;
    border-bottom: 1px solid var(--rule); overflow-wrap: anywhere;
  }
  thead th { color: var(--soft); font-size: 0.85rem; white-space: nowrap; }
  .number { text-align: right; white-space: nowrap; }
  .comparison th, .comparison td { vertical-align: middle; padding-top: 0.6rem; padding-bottom: 0.6rem; }
  .comparison tbody { font-size: 1.05rem; }
  .comparison th { white-space: nowrap; }
  .strong { font-weight: 650; }
  .wide + p { margin-top: 0.75rem; }
  .wide + .charts { margin-top: 1.5rem; }
  details { margin: 1rem 0; }
  summary { cursor: pointer; font-weight: 620; margin-bottom: 0.5rem; }
  figure { margin: 0; }
  .pictures { display: flex; flex-wrap: wrap; gap: 1rem; margin-bottom: 1.5rem; }
  .pictures figure {
    background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 0.75rem;
    display: flex; flex-direction: column; gap: 0.5rem;
  }
  .shots { display: flex; flex-wrap: wrap; gap: 0.75rem; }
  .pictures .shots { align-items: start; }
  .shot { display: flex; flex-direction: column; gap: 0.2rem; min-width: 0; }
  progress { width: min(100%, 30rem); height: 1.1rem; vertical-align: middle; accent-color: var(--c0); }
  .list { padding-left: 1.75rem; }
  .list li { margin-bottom: 0.6rem; }
  .list .sets { display: flex; flex-wrap: wrap; gap: 0.1rem 1.75rem; font-size: 0.85rem; }
  a { color: var(--c0); }
  .pictures img { display: block; max-width: 100%; height: auto; border-radius: 3px; }
  .pixelated img { image-rendering: pixelated; }
  .pictures figcaption { color: var(--ink); width: 0; min-width: 100%; line-height: 1.4; }
  .shot .note { font-variant-numeric: tabular-nums; line-height: 1.35; white-space: pre-line; }
  .charts {
    display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr));
    gap: 2rem; margin-bottom: 1.5rem;
  }
  .chart { max-width: 44rem; }
  .chart figcaption { color: var(--ink); font-size: 1rem; font-weight: 620; margin-bottom: 0.35rem; }
  .chart svg { display: block; width: 100%; height: auto; }
  .legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; margin-bottom: 0.4rem; }
  .legend i {
    display: inline-block; width: 0.9em; height: 0.9em; border-radius: 2px; margin-right: 0.4em;
    vertical-align: -0.08em;
  }
  .legend .faint { opacity: 0.4; }
  svg text { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
  svg .label { paint-order: stroke; stroke: var(--page); stroke-width: 5px; }
  svg .end { text-anchor: end; }
  svg .middle { text-anchor: middle; }
  svg path, svg line { fill: none; }
  .grid { stroke: var(--rule); }
  .axis { stroke: var(--soft); }
  .rule { stroke: var(--soft); stroke-dasharray: 5 4; }
  .line { stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
  .faint { stroke-width: 1; opacity: 0.35; }
  .thin { stroke-width: 1.25; opacity: 0.7; }
  .error { stroke-width: 2; }
  .thick { stroke-width: 3; stroke-linecap: round; }
  .interval { display: block; }

  """
  + (0..<8).map { index in
    ".stroke-\(index) { stroke: var(--c\(index)); } .fill-\(index) { fill: var(--c\(index)); }"
      + " .swatch-\(index) { background: var(--c\(index)); }\n"
  }.joined() + viewerStyle + """
    @media (max-width: 640px) {
      main { padding: 1.5rem 1rem 3rem; }
      h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
      h2 { overflow-wrap: anywhere; }
      .pictures, .pictures figure { width: 100%; }
      .pictures .shots > .shot { flex: 1 1 40%; max-width: calc(50% - 0.375rem); }
      .pictures .shots > .shot:only-child { max-width: 100%; }
      .pictures img { width: 100%; }
      /* A row of a table becomes a block of its own, each cell a line with its column's name. */
      .stacked thead { display: none; }
      .stacked table, .stacked tbody, .stacked tr { display: block; }
      .stacked tr { border-bottom: 1px solid var(--rule); padding: 0.5rem 0; }
      .stacked th, .stacked td {
        display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: 0.15rem 0;
        text-align: right; white-space: normal;
      }
      .stacked tr > :first-child { font-weight: 620; text-align: left; }
      .stacked td:empty { display: none; }
      .stacked [data-label]::before {
        content: attr(data-label); color: var(--soft); font-weight: 400; text-align: left;
      }
    }
    @media print { main { padding: 0; max-width: none; } figure { break-inside: avoid; } }
    """
