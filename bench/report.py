"""The table on the terminal and the HTML page of a benchmark run."""

import html
import math
import os
import platform
import time


def number(value) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def verdict(result: dict) -> str:
    return {True: "pass", False: "MISSED", None: ""}[result.get("pass")]


def table_head() -> str:
    return f"{'name':20} {'native':>10} {'enclave':>10} {'unit':4} {'ratio':>7}  {'at most':12} bar\n" + "-" * 76


def table_line(r: dict) -> str:
    return (f"{r['name']:20} {number(r['native']):>10} {number(r['enclave']):>10} {r['unit']:4} {number(r['ratio']):>7}  "
            f"{r.get('limit', ''):12} {verdict(r)}").rstrip()


WIDTH, LABEL, LOW, HIGH = 980, 190, 0.03, 300.0


def place(ratio: float) -> float:
    """Logarithmic: 1 lies where enclave and native are equal."""
    ratio = min(max(ratio, LOW), HIGH)
    return LABEL + (math.log(ratio) - math.log(LOW)) / (math.log(HIGH) - math.log(LOW)) * (WIDTH - LABEL - 150)


def bars(results: list[dict]) -> str:
    drawn = [r for r in results if r.get("ratio")]
    height = 30 + 24 * len(drawn)
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" width="100%" role="img" aria-label="ratios, enclave over native">']
    for tick in (0.1, 1, 10, 100):
        x = place(tick)
        parts.append(f'<line x1="{x:.1f}" y1="18" x2="{x:.1f}" y2="{height}" class="{"one" if tick == 1 else "grid"}"/>'
                     f'<text x="{x:.1f}" y="12" text-anchor="middle">{tick:g}</text>')
    for i, r in enumerate(drawn):
        y, one, end = 24 + 24 * i, place(1.0), place(r["ratio"])
        kind = "missed" if r.get("pass") is False else "faster" if r["ratio"] <= 1 else "slower"
        parts.append(f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{html.escape(r["name"])}</text>'
                     f'<rect x="{min(one, end):.1f}" y="{y}" width="{max(abs(end - one), 1):.1f}" height="16" class="{kind}"/>'
                     f'<text x="{max(one, end) + 6:.1f}" y="{y + 13}">{number(r["ratio"])}</text>')
        limit = r.get("limit", "")
        if limit.startswith("ratio "):
            x = place(float(limit[6:]))
            parts.append(f'<line x1="{x:.1f}" y1="{y - 3}" x2="{x:.1f}" y2="{y + 19}" class="limit"/>')
    return "".join(parts) + "</svg>"


def page(results: list[dict], cost_model: str | None) -> str:
    lines = "".join(
        f"<tr><td>{html.escape(r['name'])}</td><td>{number(r['native'])}</td><td>{number(r['enclave'])}</td>"
        f"<td>{html.escape(r['unit'])}</td><td>{number(r['ratio'])}</td><td>{html.escape(r.get('limit', ''))}</td>"
        f"<td>{html.escape(r.get('error', '') or verdict(r))}</td></tr>" for r in results)
    where = f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} CPUs, Linux {platform.release()}"
    where += f", cost model {html.escape(cost_model)}" if cost_model else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Occlum benchmarks</title><style>
body {{ font: 14px system-ui, sans-serif; margin: 2em auto; max-width: 1000px; color: #222; }}
table {{ border-collapse: collapse; margin-top: 2em; }} td, th {{ padding: 3px 12px; border-bottom: 1px solid #ddd; }}
td:nth-child(2), td:nth-child(3), td:nth-child(5) {{ text-align: right; font-variant-numeric: tabular-nums; }}
svg text {{ font-size: 12px; fill: #333; }} .grid {{ stroke: #ddd; }} .one {{ stroke: #333; }}
.limit {{ stroke: #c22; stroke-width: 2; }} .faster {{ fill: #3a8; }} .slower {{ fill: #8ab; }} .missed {{ fill: #d55; }}
</style></head><body><h1>Occlum benchmarks</h1>
<p>{where}. Ratio of the time in the enclave to the native time, logarithmic; left of 1 the enclave is faster. Red lines
are bars. Medians of interleaved rounds.</p>
{bars(results)}
<table><tr><th>name</th><th>native</th><th>enclave</th><th>unit</th><th>ratio</th><th>at most</th><th></th></tr>
{lines}</table></body></html>
"""
