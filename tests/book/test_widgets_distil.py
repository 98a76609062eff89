"""The figure "Distil": its loss against nnc, and its trainings."""

import json
import statistics

import pytest
import torch
import traitlets
from test_figures import widget_page
from test_widgets_share import check_it_is_open, in_the_page

import nnc
from nnc_book.widgets.distil import Distil

SETTINGS = json.dumps(Distil().settings)


@pytest.mark.parametrize("alpha", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_the_loss_and_its_slopes_are_those_of_nnc(tmp_path, temperature, alpha):
    student = [[1.0, 0.0, -1.0], [0.5, 2.0, 0.0], [-8.0, 9.0, 0.3]]
    teacher = [[3.0, 1.0, 0.0], [0.0, 1.0, 4.0], [12.0, -7.0, 0.0]]
    labels = [0, 2, 1]
    found = in_the_page(Distil, tmp_path, "distillation", f"""
        const [student, teacher, labels] = {json.dumps([student, teacher, labels])};
        const rows = student.map((v, n) =>
            distillation(v, labels[n], teacher[n], {temperature}, {alpha}));
        console.log(JSON.stringify(rows.map(({{ value, slopes }}) => [value, ...slopes])));
    """)  # fmt: skip
    v = torch.tensor(student, dtype=torch.float64, requires_grad=True)
    losses = nnc.distillation_loss(
        v, torch.tensor(teacher, dtype=torch.float64), torch.tensor(labels),
        temperature=temperature, alpha=alpha, reduction="none",
    )  # fmt: skip
    losses.sum().backward()
    expected = torch.cat([losses.detach()[:, None], v.grad], 1)
    torch.testing.assert_close(torch.tensor(found).double(), expected, rtol=1e-6, atol=1e-6)


def test_a_teacher_helps_where_labels_are_few(tmp_path):
    teacher, few, many = in_the_page(
        Distil, tmp_path, "teacherOf, studentsOf, accuracy", f"""
        const settings = {SETTINGS};
        const teacher = teacherOf(settings, 0);
        while (!teacher.done()) teacher.step();
        const score = ({{ network }}) => accuracy(network, teacher.test);
        const trained = (count, seed) => {{
            const set = {{ count, temperature: 4, alpha: 0.9 }};
            const {{ points, pupils }} = studentsOf(settings, teacher, set, seed);
            if (points.labels.length !== count) throw Error("points");
            for (const pupil of pupils) while (!pupil.done()) pupil.step();
            return pupils.map(score);
        }};
        const few = [0, 1, 2, 3, 4, 5].map((seed) => trained(12, seed));
        console.log(JSON.stringify([score(teacher), few, trained(192, 0)]));
    """)  # fmt: skip
    assert teacher > 0.9
    alone, taught = (statistics.fmean(column) for column in zip(*few, strict=True))
    assert alone > 0.6
    assert taught > alone + 0.03
    assert min(many) > 0.9


def quick(**traits):
    """The figure with fewer steps."""
    widget = Distil(**traits)
    widget.settings = widget.settings | {"steps": 90}
    return widget


@pytest.mark.parametrize(("width", "motion"), [(1280, "no-preference"), (375, "reduce")])
def test_students_are_trained_in_the_page(shown, width, motion):
    page = shown(widget_page(quick()), width, reduced_motion=motion, has_touch=width == 375)
    main = page.locator("button.main")
    for trainings in (1, 2):
        (main.tap if width == 375 else main.click)()
        page.get_by_text(f"{trainings} training").wait_for(timeout=120_000)
    scores = page.locator(".panels .number").all_inner_texts()
    assert all(int(score.split()[0]) > 50 for score in scores)
    page.get_by_role("slider", name="temperature").focus()
    page.keyboard.press("ArrowRight")  # other settings: the students have learnt nothing yet
    page.get_by_text("Both students start alike").wait_for()
    assert page.locator(".panels .title").first.inner_text() == "teacher, at T = 5"
    page.get_by_role("radio", name="48 labelled points").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="192 labelled points").is_checked()
    page.locator("summary").click()
    cells = page.locator(".table td").all_inner_texts()
    assert cells[:4] == ["12", "4", "0.9", "2"]
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_open_to_everybody(shown, scheme):
    page = shown(f"<main><h1>t</h1>{widget_page(quick())}</main>", 375)
    check_it_is_open(page, scheme, "button, input, summary")


def test_it_has_a_still_picture_and_says_what_it_is():
    data, _ = Distil(count=48)._repr_mimebundle_()
    assert data["text/plain"] == "Distil(count=48, temperature=4, alpha=0.9)"
    assert "image/png" in data


@pytest.mark.parametrize(
    "traits", [{"count": 13}, {"temperature": 0.5}, {"alpha": 1.5}, {"seed": -1}]
)
def test_values_out_of_range_are_refused(traits):
    with pytest.raises(traitlets.TraitError):
        Distil(**traits)
