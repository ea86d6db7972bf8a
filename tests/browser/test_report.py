"""The report of the bundled sample as a person sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the lake is made first


@pytest.fixture
def report(window: Page, scored_lake: Path) -> Page:
    window.goto((scored_lake / "report" / "index.html").as_uri())
    return window


def test_heading_and_tiles_tell_how_many_people_there_are(report: Page, tmp_path: Path) -> None:
    report.screenshot(path=tmp_path / "report.png", full_page=True)
    assert report.locator("h1").inner_text() == "carelake report"
    tiles = dict(
        zip(
            report.locator(".tiles span").all_inner_texts(),
            report.locator(".tiles b").all_inner_texts(),
            strict=True,
        )
    )
    assert tiles["people"] == "93"
    assert int(tiles["records landed"].replace(",", "")) > 200_000


def test_five_plots_of_each_model_are_drawn(report: Page) -> None:
    images = report.locator("#model img")
    assert images.count() == 5 * report.locator("#model h3").count() > 0
    widths = images.evaluate_all("all => all.map(i => i.naturalWidth)")
    assert all(w > 0 for w in widths)


def test_worklist_has_people_with_reasons(report: Page) -> None:
    rows = report.locator("#worklist tbody tr")
    assert rows.count() == 25 * report.locator("#model h3").count() > 0
    assert rows.first.locator("li").count() >= 1


def test_what_is_watched_is_told_for_each_model_without_what_is_as_ever(report: Page) -> None:
    told = report.locator("#watched tbody tr").all_inner_texts()
    assert len([t for t in told if "\tscore\t" in t]) == report.locator("#model h3").count()
    assert all("\tscore\t" in t or "outcome" in t or t.endswith(("watch", "alarm")) for t in told)


def test_population_is_called_synthetic_and_the_model_what_it_is(report: Page) -> None:
    head = report.locator("header").inner_text()
    assert "The population is synthetic" in head
    failed = report.locator("#model td b", has_text="fails").count()
    assert ("is not approved" in head) == (failed > 0)
    notice = report.locator("#worklist .notice", has_text="Not approved")
    assert notice.count() == (1 if failed else 0)


def test_ledger_opens_by_a_click(report: Page) -> None:
    sender = report.locator("#ledger details").first
    assert not sender.locator("table").is_visible()
    sender.locator("summary").click()
    assert sender.locator("table").is_visible()


@pytest.mark.parametrize("width", [1280, 800])
def test_page_is_not_wider_than_the_window(report: Page, width: int) -> None:
    report.set_viewport_size({"width": width, "height": 900})
    report.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert report.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_but_the_file_is_fetched(window: Page, scored_lake: Path) -> None:
    asked: list[str] = []
    faults: list[str] = []
    window.on("request", lambda r: asked.append(r.url))
    window.on("console", lambda m: faults.append(m.text))
    window.on("pageerror", lambda e: faults.append(str(e)))
    place = (scored_lake / "report" / "index.html").as_uri()
    window.goto(place, wait_until="networkidle")
    assert [u for u in asked if not u.startswith("data:")] == [place]
    assert faults == []
