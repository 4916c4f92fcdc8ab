/* Charts by Plotly, which is loaded with the first one. Every chart stands beside the same numbers as text. */

let loading = null;

/* Resolves to Plotly; a page that will draw for sure calls it at once, while it waits for its numbers. */
export function load() {
  const source = document.querySelector('meta[name="chart-script"]');
  loading ??= new Promise((resolve, reject) => {
    // Plotly leaves out a style sheet of which it finds the id; the policy lets it add none
    for (const id of source.dataset.injected.split(" ").filter(Boolean)) {
      const holder = document.createElement("meta");
      holder.id = id;
      document.head.append(holder);
    }
    const script = document.createElement("script");
    script.src = source.content;
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => reject(new Error("The chart script could not be loaded."));
    document.head.append(script);
  });
  return loading;
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/* Draws or redraws a chart; traces may be a function, so that colours follow the scheme. */
export async function draw(place, traces, layout = {}) {
  const plotly = await load();
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
  await plotly.react(
    place,
    traces,
    {
      autosize: true,
      margin: { l: 48, r: 16, t: 12, b: 44 },
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("text") },
      showlegend: false,
      hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("line"), font: { color: colour("text") } },
      ...layout,
      xaxis: { ...axis, ...layout.xaxis },
      yaxis: { ...axis, ...layout.yaxis },
    },
    { displayModeBar: false, responsive: true },
  );
}

/* Plotly reads some marks in texts as markup of its own. */
export function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
