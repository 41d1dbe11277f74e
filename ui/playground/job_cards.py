"""The queue of runs as HTML: what a run is doing, what it has found so far, and its answer in the
end.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlencode

from ui.jobs import Job
from ui.runs.answer import sentences
from ui.runs.cards import duration
from ui.web.style import message_html
from workbench import registry
from workbench.errors import WorkbenchError

PARTIAL = 4  # findings of a run that goes on


def jobs_html(jobs: Sequence[Job]) -> str:
    """The queue, newest first; each running or waiting job has its Cancel button."""
    if not jobs:
        return (
            '<div class="wb try-empty"><p><strong>Nothing is running.</strong> Choose a question,'
            " then press <b>Run</b> below its form. Progress, time left and the answer appear here;"
            " the finished run is kept and listed under Runs. A reload of this page loses nothing."
            "</p></div>"
        )
    return f'<div class="wb jobs">{"".join(_job(job) for job in jobs)}</div>'


def _so_far(job: Job) -> str:
    """What a run that goes on has found already: an analysis goes on filling the result that it
    handed over with `progress.checkpoint`. The latest findings are shown.
    """
    kept = job.progress.kept
    if kept is None or not (found := kept.findings.copy()):
        return ""
    latest = list(found.items())[-PARTIAL:]
    more = f", the latest {PARTIAL}" if len(found) > PARTIAL else ""
    says = _sentences_html(finding.says or name for name, finding in latest)
    return f'<section class="so-far"><h4>Found so far ({len(found)}{more})</h4>{says}</section>'


def _answer(job: Job) -> str:
    """The answer of a finished run; its other findings, and all numbers, are in the Explorer."""
    found = {name: str(finding.get("says") or name) for name, finding in job.findings.items()}
    says = sentences(job.analysis, found)
    return _sentences_html(says) if says else '<p class="wb-muted">This run states no findings.</p>'


def _sentences_html(says: Iterable[str]) -> str:
    items = "".join(f'<li dir="auto">{html.escape(sentence)}</li>' for sentence in says)
    return f'<ul class="findings">{items}</ul>'


def _question(job: Job) -> str:
    """What was asked, in words; the name of the analysis where it is not installed any more."""
    try:
        return registry.get(job.analysis).question
    except WorkbenchError:
        return job.analysis


def _job(job: Job) -> str:
    busy = job.state in ("waiting", "running")
    words = {
        "waiting": "waiting",
        "running": "running",
        "done": "done",
        "cancelled": "cancelled",
        "failed": "failed",
    }[job.state]
    badge = {"failed": "wb-problem", "cancelled": "wb-partial"}.get(job.state, "")
    head = (
        f'<header><h3>{html.escape(_question(job))}</h3><span class="wb-badge {badge}">{words}'
        f'</span><span class="wb-muted on-model">on {html.escape(job.model)}</span>'
    )
    if busy:
        stopping = job.cancelling
        head += (
            f'<button type="button" class="wb-button" data-cancel="{job.id}"'
            f" {'disabled' if stopping else ''}>"
            f"{'Stopping …' if stopping else 'Cancel'}</button>"
        )
    body = ""
    if busy:
        share = round(100 * job.fraction)
        left = f"about {duration(job.left)} left" if job.left is not None else ""
        spent = f"{duration(job.elapsed) or '0 s'} so far" if job.state == "running" else ""
        times = " · ".join(part for part in (f"{share} %", spent, left) if part)
        body = (
            '<div class="progress" role="progressbar" aria-label="Progress of'
            f' {html.escape(job.title)}" aria-valuemin="0" aria-valuemax="100"'
            f' aria-valuenow="{share}"><i style="width:{share}%"></i></div><p'
            f' class="says">{html.escape(job.says)}</p><p class="wb-muted wb-num">{times}</p>'
            f"{_so_far(job)}"
        )
    elif job.error is not None:
        body = message_html(job.error, dismissible=False)
    else:
        body = f'<p class="wb-muted">{html.escape(job.says)} · {duration(job.elapsed) or "0 s"}</p>'
    if job.run_id is not None:
        explore = "../explorer?" + urlencode({"run": job.run_id})
        report = f"../runs/{quote(job.run_id, safe='')}/report.html"
        body += (
            f"{_answer(job)}"
            f'<p class="links"><a class="wb-button wb-primary" href="{explore}">Open in'
            " Explorer</a>"
            f'<a class="wb-button" href="{report}" target="_blank" rel="noopener">Report</a>'
            f'<span class="wb-muted wb-mono">{html.escape(job.run_id)}</span></p>'
        )
    return (
        f'<article class="wb-card job" data-job="{job.id}"'
        f' data-state="{job.state}">{head}</header>{body}</article>'
    )
