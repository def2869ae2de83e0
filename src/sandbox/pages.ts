/** The sandbox's few HTML pages. They work without JavaScript and load nothing. */

export function escapeMarkup(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (sign) => entities[sign] ?? sign);
}

const style = `
  :root { color-scheme: light dark; --line: #8885; --accent: #2a7d2e; }
  body { font: 16px/1.5 system-ui, sans-serif; margin: 0; display: grid; place-items: start center; padding: 8vh 1rem; }
  main { width: min(36rem, 100%); border: 1px solid var(--line); border-radius: 12px; padding: 1.5rem 2rem; box-sizing: border-box; }
  h1 { font-size: 1.4rem; margin: 0 0 .75rem; } h2 { font-size: 1.05rem; }
  fieldset { border: 0; padding: 0; margin: 1rem 0; } legend { font-weight: 600; padding: 0 0 .25rem; }
  label { display: flex; gap: .75rem; align-items: center; border: 1px solid var(--line); border-radius: 8px; padding: .6rem .8rem; margin: .5rem 0; cursor: pointer; }
  label small { display: block; opacity: .7; }
  button { font: inherit; border: 1px solid var(--accent); background: var(--accent); color: #fff; border-radius: 8px; padding: .5rem 1.2rem; cursor: pointer; }
  button.quiet { background: none; color: inherit; border-color: var(--line); }
  code { font-size: .9em; overflow-wrap: anywhere; } .note { opacity: .7; font-size: .875rem; }
  table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid var(--line); }`;

/** `body` is markup: whatever it holds from outside is escaped already. */
export function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeMarkup(title)}</title><style>${style}</style></head><body><main>${body}</main></body></html>`;
}
