"""What the report page of a text classifier shows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.text_classification.answers import Answers, difference_interval
from toolkit import classification_plots as plots
from toolkit import report as pages
from toolkit.evaluation import classification
from toolkit.report import Paragraph, Section, Table, picture

MISTAKES = 20


def render(
    report: Mapping[str, Any],
    model: Answers,
    baselines: Mapping[str, Answers],
    history: list[dict[str, float]],
    texts: list[str],
    labels: tuple[str, ...],
    monitor: str,
) -> tuple[str, str]:
    """The page as HTML, and its verdict. `report` holds the numbers that report.json has.

    Args:
        monitor: the score that chose the epoch.
    """
    many = model.truth.ndim == 2
    metric = "macro_f1" if many or monitor == "macro_f1" else "accuracy"
    verdict = pages.verdict(
        metric,
        report["test"][metric],
        {name: scores[metric] for name, scores in report["baselines"].items()},
        lambda name: difference_interval(model, baselines[name], metric),
    )
    rows = f"{len(texts):,} test rows, {len(labels)} labels, {report['seconds']['train']:,.0f} s of training"
    sections = [
        Section("Scores on the test rows", [pages.metrics_table(report["test"], report["baselines"])]),
        _labels_section(model, baselines, labels),
        *([] if many else [_confusion_section(model, labels)]),
        _confidence_section(model, baselines),
        _training_section(history, report.get("linear_weight")),
        _mistakes_section(model, texts, labels),
    ]
    page = pages.render_report(title="Text classification", subtitle=rows, verdict=verdict, sections=sections)
    return page, verdict


def _labels_section(model: Answers, baselines: Mapping[str, Answers], labels: tuple[str, ...]) -> Section:
    scores = {name: classification.label_scores(*answers.judged()) for name, answers in baselines.items()}
    rival = max(scores, key=lambda name: scores[name].macro_f1)
    own = classification.label_scores(*model.judged())
    counted = np.flatnonzero(own.counted)
    bars = plots.f1_bars([labels[i] for i in counted], own.f1[counted], scores[rival].f1[counted], rival)
    return Section("Every label", [picture(bars, "F1 of each label"), plots.label_table(labels, own)])


def _confusion_section(model: Answers, labels: tuple[str, ...]) -> Section:
    matrix = classification.confusion_matrix(model.truth, model.best(), len(labels))
    names = [*labels, "none of the above"]
    if not matrix[-1].any() and not matrix[:, -1].any():
        matrix, names = matrix[:-1, :-1], names[:-1]
    return Section("What is taken for what", [plots.confusion(matrix, names)])


def _confidence_section(model: Answers, baselines: Mapping[str, Answers]) -> Section:
    confidence, correct = _stated(model)
    rows = "in rows that have a label, " if (model.truth == classification.OUT_OF_SCOPE).any() else ""
    curves = {"this model": classification.risk_coverage(*_sureness(model))}
    curves |= {name: classification.risk_coverage(*_sureness(answers)) for name, answers in baselines.items()}
    return Section(
        "Can its probabilities be trusted?",
        [
            Paragraph(
                f"Left: {rows}how often what is stated comes true. Right: mistakes when only the surest are answered."
            ),
            picture(
                plots.reliability_diagram(classification.reliability(confidence, correct)),
                "Stated probability against the share that came true",
            ),
            picture(plots.risk_coverage_plot(curves), "Mistakes by the share of rows answered"),
        ],
    )


def _stated(answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Stated probabilities and whether they came true: of the best label, or of each label where there may be many."""
    if answers.truth.ndim == 2:
        return answers.probabilities.ravel(), answers.truth.ravel()
    confidence, correct = classification.best_label(answers.truth, answers.probabilities)
    inside = answers.truth != classification.OUT_OF_SCOPE
    return confidence[inside], correct[inside]


def _sureness(answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    """How sure each row's answer is and whether it is right."""
    if answers.truth.ndim == 2:
        return classification.whole_answer(answers.truth, answers.flags(), answers.probabilities)
    return classification.best_label(answers.truth, answers.probabilities)


def _training_section(history: list[dict[str, float]], linear_weight: float | None) -> Section:
    first = [row for row in history if row["member"] == 1]
    members = int(history[-1]["member"])
    caption = f"The first of {members} networks." if members > 1 else ""
    curves = picture(pages.learning_curves(first), "Learning curves by epoch", caption)
    return Section("Training", [*_linear_part(linear_weight), curves])


def _linear_part(weight: float | None) -> list[Paragraph]:
    """What `model.linear` came to."""
    if weight is None:
        return []
    if not weight:
        return [Paragraph("A linear model was fitted too; on validation rows it earned no weight.")]
    shares = f"{1 - weight:.0%} of the networks and {weight:.0%} of the linear model"
    return [Paragraph(f"Answers are {shares}, as weighed on validation rows.")]


def _mistakes_section(model: Answers, texts: list[str], labels: tuple[str, ...]) -> Section:
    """The mistakes that the model was surest of, where a wrong label in the data is most likely too."""
    confidence, _ = _sureness(model)
    truth, given = model.judged()
    wrong = np.flatnonzero((truth != given).any(axis=1))
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    rows = [
        (
            texts[i],
            ", ".join(labels[k] for k in np.flatnonzero(truth[i])) or "none",
            ", ".join(labels[k] for k in model.decided[i]) or "none",
            float(confidence[i]),
        )
        for i in order
    ]
    caption = f"The surest {len(rows)} of {len(wrong)} mistakes; some may be mistakes in the data."
    return Section("Mistakes", [Table(("text", "true", "given", "sure"), rows, caption)])
